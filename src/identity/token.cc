#include "identity/token.h"

#include "crypto/jws.h"
#include "identity/claims.h"

namespace hexr::identity {
namespace {

using wire::Json;
using wire::JsonArray;
using wire::JsonObject;

Error BadToken(std::string_view what) { return Unauthenticated("token: " + std::string(what)); }

// What JWT-SVID.md 2 allows: alg, kid, typ, and nothing else.
Status CheckJwtHeader(const crypto::RawJwt& token) {
  if (token.has_other_header_members()) return BadToken("the header holds more than alg, kid and typ");
  if (!token.type().empty() && token.type() != "JWT" && token.type() != "JOSE")
    return BadToken("\"typ\" is neither JWT nor JOSE");
  return Ok();
}

Result<crypto::RawJwt> ParseToken(std::string_view token) {
  auto raw = crypto::RawJwt::Parse(token);
  if (!raw.ok()) return BadToken(raw.error().message());
  return raw;
}

Result<SpiffeId> SubjectOf(const Json& claims) {
  const auto sub = claims.FindString("sub");
  if (!sub.has_value()) return BadToken("\"sub\" is missing");
  auto id = SpiffeId::Parse(*sub);
  if (!id.ok()) return BadToken("\"sub\" is no SPIFFE ID");
  if (!id->has_path()) return BadToken("\"sub\" names a trust domain, not a workload");
  return id;
}

struct Believed {
  SpiffeId id;
  Json claims;
};

// Believes the signature, by the keys of the subject's own trust domain alone.
Result<Believed> CheckSignature(const crypto::RawJwt& token, const FindBundle& bundles, KeySet TrustBundle::*keys) {
  if (token.key_id().empty()) return BadToken("\"kid\" is missing");
  ASSIGN_OR_RETURN(const Json unverified, ParseClaims(token.unverified_payload()));
  ASSIGN_OR_RETURN(SpiffeId id, SubjectOf(unverified));
  const TrustBundle* bundle = bundles(id.trust_domain());
  if (bundle == nullptr) return BadToken("no bundle for trust domain " + id.trust_domain().name());
  ASSIGN_OR_RETURN(const crypto::VerifiedJwt verified,
                   crypto::VerifyJwt(token, bundle->*keys, crypto::AllAlgorithms()));
  ASSIGN_OR_RETURN(Json claims, ParseClaims(verified.payload()));
  return Believed{std::move(id), std::move(claims)};
}

}  // namespace

Result<std::string> SignJwtSvid(const JwtSvidClaims& claims, std::string_view kid, const crypto::PrivateKey& key) {
  JsonArray audience(claims.audience.begin(), claims.audience.end());
  JsonObject payload{{"sub", claims.subject.ToString()},
                     {"aud", std::move(audience)},
                     {"exp", ToUnixSeconds(claims.expires_at)},
                     {"iat", ToUnixSeconds(claims.issued_at)},
                     {"jti", claims.token_id},
                     {"assurance", AssuranceName(claims.assurance)}};
  if (!claims.issuer.empty()) payload.Set("iss", claims.issuer);
  if (claims.on_behalf_of.has_value()) {
    payload.Set("on_behalf_of",
                JsonObject{{"sub", claims.on_behalf_of->subject}, {"issuer", claims.on_behalf_of->issuer}});
  }
  return crypto::SignJwt(key, crypto::DefaultAlgorithm(key.type()), kid, "JWT", wire::ToJson(payload));
}

Result<std::string> SignWitSvid(const WitSvidClaims& claims, std::string_view kid, const crypto::PrivateKey& key) {
  ASSIGN_OR_RETURN(Json holder,
                   wire::ParseJson(crypto::EncodeJwk(
                       {.key = claims.holder, .algorithm = crypto::DefaultAlgorithm(claims.holder.type())})));
  const JsonObject payload{{"sub", claims.subject.ToString()},
                           {"exp", ToUnixSeconds(claims.expires_at)},
                           {"iat", ToUnixSeconds(claims.issued_at)},
                           {"jti", claims.token_id},
                           {"assurance", AssuranceName(claims.assurance)},
                           {"cnf", JsonObject{{"jwk", std::move(holder)}}}};
  return crypto::SignJwt(key, crypto::DefaultAlgorithm(key.type()), kid, "wit+jwt", wire::ToJson(payload));
}

Result<VerifiedJwtSvid> VerifyJwtSvid(std::string_view token, std::string_view audience, const FindBundle& bundles,
                                      WallTime now) {
  ASSIGN_OR_RETURN(const crypto::RawJwt raw, ParseToken(token));
  RETURN_IF_ERROR(CheckJwtHeader(raw));
  ASSIGN_OR_RETURN(Believed jwt, CheckSignature(raw, bundles, &TrustBundle::jwt_keys));
  ASSIGN_OR_RETURN(const WallTime expires, CheckTimes(jwt.claims, now, kTokenLeeway));
  if (jwt.claims.Find("aud") == nullptr) return BadToken("\"aud\" is missing");
  if (!HasAudience(jwt.claims, audience)) return BadToken("it is for another audience");
  return VerifiedJwtSvid(std::move(jwt.id), expires, std::move(jwt.claims));
}

Result<VerifiedWitSvid> VerifyWitSvid(std::string_view token, const FindBundle& bundles, WallTime now) {
  ASSIGN_OR_RETURN(const crypto::RawJwt raw, ParseToken(token));
  if (raw.type() != "wit+jwt") return BadToken("\"typ\" is not wit+jwt");
  ASSIGN_OR_RETURN(Believed wit, CheckSignature(raw, bundles, &TrustBundle::wit_keys));
  ASSIGN_OR_RETURN(const WallTime expires, CheckTimes(wit.claims, now, kTokenLeeway));
  if (wit.claims.Find("aud") != nullptr) return BadToken("a WIT-SVID has no \"aud\"");
  const Json* cnf = wit.claims.Find("cnf");
  const Json* jwk = cnf == nullptr ? nullptr : cnf->Find("jwk");
  if (jwk == nullptr) return BadToken("\"cnf\" holds no key");
  auto holder = crypto::ParseJwk(wire::ToJson(*jwk));
  if (!holder.ok()) return BadToken("the key in \"cnf\" cannot be read");
  if (!holder->algorithm.has_value() || !crypto::Fits(*holder->algorithm, holder->key.type())) {
    return BadToken("the key in \"cnf\" has no algorithm of its kind");
  }
  return VerifiedWitSvid(std::move(wit.id), std::move(holder->key), expires);
}

}  // namespace hexr::identity
