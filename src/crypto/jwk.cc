#include "crypto/jwk.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/decimal.h"
#include "base/limits/keys.h"
#include "base/log.h"
#include "crypto/digest.h"
#include "crypto/jose_json.h"

namespace hexr::crypto {
namespace {

struct CurveName {
  KeyType type;
  std::string_view name;
};
constexpr std::array<CurveName, 3> kCurveNames = {
    {{KeyType::kP256, "P-256"}, {KeyType::kP384, "P-384"}, {KeyType::kP521, "P-521"}}};

Error BadJwk(std::string_view what) { return InvalidArgument("JWK: " + std::string(what)); }

Result<Bytes> Number(const JsonObject& o, std::string_view name) {
  ASSIGN_OR_RETURN(const std::string* const text, o.FindString(name));
  if (text == nullptr) return BadJwk("no " + std::string(name));
  return Base64UrlDecode(*text);
}

Result<PublicKey> ParseKey(const JsonObject& o) {
  ASSIGN_OR_RETURN(const std::string* const kty, o.FindString("kty"));
  if (kty == nullptr) return BadJwk("no kty");
  if (*kty == "EC") {
    ASSIGN_OR_RETURN(const std::string* const crv, o.FindString("crv"));
    if (crv == nullptr) return BadJwk("no crv");
    const auto curve = std::ranges::find(kCurveNames, *crv, &CurveName::name);
    if (curve == kCurveNames.end()) return BadJwk("the curve is none of P-256, P-384, P-521");
    ASSIGN_OR_RETURN(const Bytes x, Number(o, "x"));
    ASSIGN_OR_RETURN(const Bytes y, Number(o, "y"));
    return PublicKey::FromEcPoint(curve->type, x, y);
  }
  if (*kty != "RSA") return BadJwk("kty is neither EC nor RSA");
  ASSIGN_OR_RETURN(const Bytes n, Number(o, "n"));
  ASSIGN_OR_RETURN(const Bytes e, Number(o, "e"));
  return PublicKey::FromRsa(n, e);
}

bool HoldsPrivateKey(const JsonObject& o) {
  for (const char* name : {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}) {
    if (o.Find(name) != nullptr) return true;
  }
  return false;
}

Result<Jwk> FromObject(const JsonObject& o) {
  // A private half in a public document is somebody's accident; keeping the key would make it ours.
  if (HoldsPrivateKey(o)) return BadJwk("holds a private key");
  ASSIGN_OR_RETURN(PublicKey key, ParseKey(o));
  Jwk jwk{std::move(key)};
  ASSIGN_OR_RETURN(const std::string* const kid, o.FindString("kid"));
  if (kid != nullptr) jwk.key_id = *kid;
  ASSIGN_OR_RETURN(const std::string* const use, o.FindString("use"));
  if (use != nullptr) jwk.use = *use;
  ASSIGN_OR_RETURN(const std::string* const alg, o.FindString("alg"));
  if (alg != nullptr) {
    ASSIGN_OR_RETURN(const SignatureAlgorithm algorithm, ParseAlgorithm(*alg));
    if (!Fits(algorithm, jwk.key.type())) return BadJwk("alg does not fit the key");
    jwk.algorithm = algorithm;
  }
  if (const JsonValue* const x5c = o.Find("x5c"); x5c != nullptr) {
    ASSIGN_OR_RETURN(const std::vector<JsonValue> entries, ParseJsonArray(x5c->raw));
    if (entries.empty() || entries.size() > limits::kMaxChainCertificates) return BadJwk("x5c is empty or too long");
    for (const JsonValue& entry : entries) {
      if (entry.kind != JsonKind::kString) return BadJwk("x5c holds something else than strings");
      ASSIGN_OR_RETURN(const Bytes der, Base64Decode(entry.text));
      ASSIGN_OR_RETURN(Certificate certificate, Certificate::Parse(der));
      jwk.x5c.push_back(std::move(certificate));
    }
    // RFC 7517 4.7; otherwise two readers of one document would believe two keys.
    if (!std::ranges::equal(jwk.x5c.front().spki(), jwk.key.spki())) return BadJwk("x5c is another key's certificate");
  }
  return jwk;
}

Result<std::optional<uint64_t>> Unsigned(const JsonObject& o, std::string_view name) {
  const JsonValue* const v = o.Find(name);
  if (v == nullptr) return std::optional<uint64_t>();
  const auto n = ParseDecimal<uint64_t>(v->raw);
  if (v->kind != JsonKind::kNumber || !n) {
    return InvalidArgument("JWK set: " + std::string(name) + " is not an unsigned integer");
  }
  return n;
}

std::string CurveNameOf(KeyType type) {
  return std::string(std::ranges::find(kCurveNames, type, &CurveName::type)->name);
}

}  // namespace

Result<Jwk> ParseJwk(std::string_view json) {
  if (json.size() > limits::kMaxJwkSetBytes) return BadJwk("too large");
  ASSIGN_OR_RETURN(const JsonObject object, JsonObject::Parse(json));
  return FromObject(object);
}

Result<JwkSet> ParseJwkSet(std::string_view json) {
  if (json.size() > limits::kMaxJwkSetBytes) return InvalidArgument("JWK set: too large");
  ASSIGN_OR_RETURN(const JsonObject object, JsonObject::Parse(json));
  const JsonValue* const keys = object.Find("keys");
  if (keys == nullptr || keys->kind != JsonKind::kArray) return InvalidArgument("JWK set: no array `keys`");
  ASSIGN_OR_RETURN(const std::vector<JsonValue> entries, ParseJsonArray(keys->raw));
  if (entries.size() > limits::kMaxJwkSetKeys) return InvalidArgument("JWK set: too many keys");
  JwkSet set;
  ASSIGN_OR_RETURN(set.sequence, Unsigned(object, "spiffe_sequence"));
  ASSIGN_OR_RETURN(set.refresh_hint_seconds, Unsigned(object, "spiffe_refresh_hint"));
  for (const JsonValue& entry : entries) {
    if (entry.kind != JsonKind::kObject) return InvalidArgument("JWK set: a key is an object");
    ASSIGN_OR_RETURN(const JsonObject key, JsonObject::Parse(entry.raw));
    if (HoldsPrivateKey(key)) ++set.private_keys;
    Result<Jwk> jwk = FromObject(key);
    if (jwk.ok()) {
      set.keys.push_back(std::move(jwk).value());
    } else {
      ++set.skipped;
    }
  }
  return set;
}

std::string EncodeJwk(const Jwk& jwk) {
  const PublicKey::Parts parts = jwk.key.parts();
  const std::string first = Base64UrlEncode(parts.first), second = Base64UrlEncode(parts.second);
  std::string out = jwk.key.type() == KeyType::kRsa ? fmt::format(R"({{"kty":"RSA","n":"{}","e":"{}")", first, second)
                                                    : fmt::format(R"({{"kty":"EC","crv":"{}","x":"{}","y":"{}")",
                                                                  CurveNameOf(jwk.key.type()), first, second);
  if (!jwk.key_id.empty()) out += R"(,"kid":)" + JsonQuote(jwk.key_id);
  if (!jwk.use.empty()) out += R"(,"use":)" + JsonQuote(jwk.use);
  if (jwk.algorithm.has_value()) out += fmt::format(R"(,"alg":"{}")", AlgorithmName(*jwk.algorithm));
  if (!jwk.x5c.empty()) {
    out += R"(,"x5c":[)";
    for (size_t i = 0; i < jwk.x5c.size(); ++i) {
      out += fmt::format(R"({}"{}")", i == 0 ? "" : ",", Base64Encode(jwk.x5c[i].der()));
    }
    out += ']';
  }
  return out + '}';
}

std::string EncodeJwkSet(const JwkSet& set) {
  std::string out = R"({"keys":[)";
  for (size_t i = 0; i < set.keys.size(); ++i) {
    if (i > 0) out += ',';
    out += EncodeJwk(set.keys[i]);
  }
  out += ']';
  if (set.sequence.has_value()) out += fmt::format(R"(,"spiffe_sequence":{})", *set.sequence);
  if (set.refresh_hint_seconds.has_value()) {
    out += fmt::format(R"(,"spiffe_refresh_hint":{})", *set.refresh_hint_seconds);
  }
  return out + '}';
}

std::string Thumbprint(const PublicKey& key) {
  const PublicKey::Parts parts = key.parts();
  const std::string first = Base64UrlEncode(parts.first), second = Base64UrlEncode(parts.second);
  // The required members in the order of their names, nothing else: RFC 7638 3.
  const std::string members =
      key.type() == KeyType::kRsa
          ? fmt::format(R"({{"e":"{}","kty":"RSA","n":"{}"}})", second, first)
          : fmt::format(R"({{"crv":"{}","kty":"EC","x":"{}","y":"{}"}})", CurveNameOf(key.type()), first, second);
  return Base64UrlEncode(Sha256(members));
}

}  // namespace hexr::crypto
