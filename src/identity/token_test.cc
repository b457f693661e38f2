#include "identity/token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/limits/keys.h"
#include "crypto/jws.h"
#include "identity/claims.h"
#include "identity/private_jwk.h"

namespace hexr::identity {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::HasSubstr;
using wire::Json;
using wire::JsonObject;

const TrustDomain kTokenDomain = *TrustDomain::Parse("example.org");
const TrustDomain kOtherDomain = *TrustDomain::Parse("other.org");
const WallTime kIssued{std::chrono::hours(500'000)};

class TokenTest : public ::testing::Test {
 protected:
  TokenTest() {
    ours_.jwt_keys = {{key_.public_key(), "k1", "jwt-svid"}, {rsa_.public_key(), "k2", "jwt-svid"}};
    ours_.wit_keys = {{wit_.public_key(), "w1", "wit-svid"}};
    theirs_.jwt_keys = {{other_.public_key(), "k1", "jwt-svid"}};
  }
  Result<VerifiedJwtSvid> Verify(std::string_view token, std::string_view audience = "db",
                                 WallTime now = kIssued) const {
    return VerifyJwtSvid(token, audience, bundles_, now);
  }
  // Signs whatever header and payload say: what an attacker with a key can do.
  static std::string Sign(const crypto::PrivateKey& key, const std::string& header, const std::string& payload) {
    std::string token = Base64UrlEncode(AsBytes(header)) + "." + Base64UrlEncode(AsBytes(payload));
    return token + "." + Base64UrlEncode(*key.Sign(crypto::DefaultAlgorithm(key.type()), AsBytes(token)));
  }
  static JsonObject Claims() {
    return {{"sub", "spiffe://example.org/agent/a/b/c"},
            {"aud", "db"},
            {"exp", ToUnixSeconds(kIssued + minutes(5))},
            {"iat", ToUnixSeconds(kIssued)}};
  }
  std::string With(std::string_view name, Json value) const {
    JsonObject claims = Claims();
    claims.Set(name, std::move(value));
    return Sign(key_, kHeader, wire::ToJson(claims));
  }
  std::string Without(std::string_view name) const {
    JsonObject claims = Claims();
    claims.Erase(name);
    return Sign(key_, kHeader, wire::ToJson(claims));
  }

  static constexpr const char* kHeader = R"({"alg":"ES256","kid":"k1","typ":"JWT"})";
  crypto::PrivateKey key_ = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
  crypto::PrivateKey other_ = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
  crypto::PrivateKey wit_ = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
  crypto::PrivateKey rsa_ = crypto::PrivateKey::Generate(crypto::KeyType::kRsa);
  TrustBundle ours_{kTokenDomain}, theirs_{kOtherDomain};
  FindBundle bundles_ = [this](const TrustDomain& td) -> const TrustBundle* {
    if (td == kTokenDomain) return &ours_;
    return td == kOtherDomain ? &theirs_ : nullptr;
  };
  JwtSvidClaims claims_{*SpiffeId::Parse("spiffe://example.org/agent/a/b/c"),
                        {"db", "mail"},
                        kIssued,
                        kIssued + minutes(5),
                        "id",
                        "",
                        Assurance::kAttested,
                        OnBehalfOf{"alice", "https://login.example.org", "{}"}};
};

TEST_F(TokenTest, WhatIsSignedIsBelieved) {
  for (const auto* pair : {&key_, &rsa_}) {
    const auto token = SignJwtSvid(claims_, pair == &key_ ? "k1" : "k2", *pair);
    ASSERT_TRUE(token.ok());
    const auto jwt = Verify(*token, "mail");
    ASSERT_TRUE(jwt.ok()) << jwt.error().ToString();
    EXPECT_EQ(jwt->id().ToString(), "spiffe://example.org/agent/a/b/c");
    EXPECT_EQ(jwt->expires_at(), kIssued + minutes(5));
    EXPECT_EQ(jwt->claims().FindString("sub"), "spiffe://example.org/agent/a/b/c");
    EXPECT_EQ(jwt->claims().FindString("assurance"), "attested");
    EXPECT_EQ(jwt->claims().Find("on_behalf_of")->FindString("sub"), "alice");
    EXPECT_EQ(jwt->claims().Find("on_behalf_of")->FindString("issuer"), "https://login.example.org");
  }
}

TEST_F(TokenTest, RefusesWrongHeaders) {
  const std::string payload = wire::ToJson(Claims());
  EXPECT_TRUE(Verify(Sign(key_, kHeader, payload)).ok());
  EXPECT_TRUE(Verify(Sign(key_, R"({"alg":"ES256","kid":"k1"})", payload)).ok());
  EXPECT_TRUE(Verify(Sign(key_, R"({"alg":"ES256","kid":"k1","typ":"JOSE"})", payload)).ok());
  for (const char* header : {R"({"alg":"none","kid":"k1"})",
                             R"({"alg":"HS256","kid":"k1"})",
                             R"({"alg":"EdDSA","kid":"k1"})",
                             R"({"alg":"es256","kid":"k1"})",
                             R"({"kid":"k1"})",
                             R"({"alg":"ES256"})",
                             R"({"alg":"ES256","kid":""})",
                             R"({"alg":"ES256","kid":"k9"})",
                             R"({"alg":"ES256","kid":"k2"})",
                             R"({"alg":"RS256","kid":"k1"})",
                             R"({"alg":"ES384","kid":"k1"})",
                             R"({"alg":"ES256","kid":"k1","typ":"jwt"})",
                             R"({"alg":"ES256","kid":"k1","typ":"wit+jwt"})",
                             R"({"alg":"ES256","kid":"k1","cty":"JWT"})",
                             R"({"alg":"ES256","kid":"k1","crit":["exp"]})",
                             R"({"alg":"ES256","kid":"k1","jku":"https://x"})",
                             R"({"alg":"ES256","kid":"k1","jwk":{}})",
                             R"({"alg":"ES256","kid":"k1","x5c":[]})",
                             R"({"alg":"ES256","kid":"k1","kid":"k1"})",
                             R"({"alg":"ES256","kid":"w1"})"}) {
    EXPECT_EQ(Verify(Sign(key_, header, payload)).error().code(), ErrorCode::kUnauthenticated) << header;
  }
}

TEST_F(TokenTest, RefusesWrongClaims) {
  EXPECT_THAT(Verify(Without("sub")).error().message(), HasSubstr("\"sub\" is missing"));
  EXPECT_THAT(Verify(Without("aud")).error().message(), HasSubstr("\"aud\" is missing"));
  EXPECT_THAT(Verify(Without("exp")).error().message(), HasSubstr("\"exp\" is missing"));
  EXPECT_TRUE(Verify(Without("iat")).ok());
  for (const char* sub :
       {"", "alice", "spiffe://example.org", "spiffe://example.org/", "spiffe://EXAMPLE.org/a", "http://example.org/a",
        "spiffe://example.org/a/../b", "spiffe://example.org/a?x", "spiffe://unknown.org/a"}) {
    EXPECT_FALSE(Verify(With("sub", sub)).ok()) << sub;
  }
  for (const Json& aud : {Json("other"), Json(""), Json(wire::JsonArray{}), Json(wire::JsonArray{Json("a"), Json("b")}),
                          Json(1), Json(), Json(wire::JsonArray{Json(1)}), Json(JsonObject{{"db", true}})}) {
    EXPECT_FALSE(Verify(With("aud", aud)).ok()) << wire::ToJson(aud);
  }
  EXPECT_FALSE(Verify(Sign(key_, kHeader, wire::ToJson(Claims())), "").ok());
  for (const Json& exp :
       {Json("tomorrow"), Json(-1), Json(1e300), Json(), Json(true), Json(ToUnixSeconds(kIssued) - 31)}) {
    EXPECT_FALSE(Verify(With("exp", exp)).ok()) << wire::ToJson(exp);
  }
  EXPECT_FALSE(Verify(With("nbf", ToUnixSeconds(kIssued) + 60)).ok());
  EXPECT_FALSE(Verify(With("iat", ToUnixSeconds(kIssued) + 60)).ok());
  EXPECT_TRUE(Verify(With("nbf", ToUnixSeconds(kIssued) + 20)).ok());  // within the leeway
  EXPECT_TRUE(Verify(With("exp", ToUnixSeconds(kIssued) - 20)).ok());
}

TEST_F(TokenTest, ATrustDomainSpeaksForItselfAlone) {
  JsonObject claims = Claims();
  EXPECT_FALSE(Verify(Sign(other_, kHeader, wire::ToJson(claims))).ok());  // their key, our name
  claims.Set("sub", "spiffe://other.org/x");
  EXPECT_TRUE(Verify(Sign(other_, kHeader, wire::ToJson(claims))).ok());
  EXPECT_FALSE(Verify(Sign(key_, kHeader, wire::ToJson(claims))).ok());
}

TEST_F(TokenTest, RefusesBrokenSerializations) {
  const std::string good = Sign(key_, kHeader, wire::ToJson(Claims()));
  for (const std::string& token : std::initializer_list<std::string>{
           "", ".", "..", "a.b", "a.b.c", good + ".", good + "=", " " + good, good + "\n",
           good.substr(0, good.rfind('.') + 1), good.substr(0, good.size() - 4), "{\"payload\":\"\"}",
           std::string(limits::kMaxJwtBytes + 1, 'a')}) {
    EXPECT_EQ(Verify(token).error().code(), ErrorCode::kUnauthenticated) << token;
  }
  for (size_t i = 0; i < good.size(); i += 7) {
    std::string changed = good;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(Verify(changed).ok()) << i;
  }
  EXPECT_FALSE(Verify(Sign(key_, kHeader, "[]")).ok());
  EXPECT_FALSE(Verify(Sign(key_, kHeader, R"({"sub":"spiffe://example.org/a","sub":"spiffe://example.org/b"})")).ok());
}

TEST_F(TokenTest, WitSvidsCarryTheHoldersKeyAndNoAudience) {
  const crypto::PrivateKey holder = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
  const WitSvidClaims claims{claims_.subject,     holder.public_key(), kIssued, kIssued + minutes(5), "id",
                             Assurance::kAttested};
  const auto token = SignWitSvid(claims, "w1", wit_);
  ASSERT_TRUE(token.ok());
  const auto wit = VerifyWitSvid(*token, bundles_, kIssued);
  ASSERT_TRUE(wit.ok()) << wit.error().ToString();
  EXPECT_EQ(wit->holder(), holder.public_key());
  EXPECT_EQ(wit->id(), claims_.subject);
  // Neither is good for the other: a proof-of-possession token must never pass as a bearer token.
  EXPECT_FALSE(Verify(*token).ok());
  EXPECT_FALSE(VerifyWitSvid(*SignJwtSvid(claims_, "k1", key_), bundles_, kIssued).ok());
  EXPECT_FALSE(VerifyWitSvid(*token, bundles_, kIssued + minutes(6)).ok());

  const std::string header = R"({"alg":"ES256","kid":"w1","typ":"wit+jwt"})";
  const std::string jwk =
      crypto::EncodeJwk({.key = holder.public_key(), .algorithm = crypto::SignatureAlgorithm::kEs256});
  const auto body = [](const std::string& more) {
    return R"({"sub":"spiffe://example.org/a","exp":)" + std::to_string(ToUnixSeconds(kIssued + minutes(5))) + more +
           "}";
  };
  EXPECT_TRUE(VerifyWitSvid(Sign(wit_, header, body(R"(,"cnf":{"jwk":)" + jwk + "}")), bundles_, kIssued).ok());
  for (const char* other : {R"({"alg":"ES256","kid":"w1","typ":"JWT"})", R"({"alg":"ES256","kid":"w1"})"}) {
    EXPECT_FALSE(VerifyWitSvid(Sign(wit_, other, body(R"(,"cnf":{"jwk":)" + jwk + "}")), bundles_, kIssued).ok())
        << other;
  }
  for (const std::string& more : std::initializer_list<std::string>{
           "", R"(,"cnf":{})", R"(,"cnf":{"jwk":{}})", R"(,"cnf":{"kid":"x"})",
           R"(,"cnf":{"jwk":)" + crypto::EncodeJwk({.key = holder.public_key()}) + "}",  // without alg
           R"(,"aud":"db","cnf":{"jwk":)" + jwk + "}"}) {
    EXPECT_FALSE(VerifyWitSvid(Sign(wit_, header, body(more)), bundles_, kIssued).ok()) << more;
  }
}

TEST_F(TokenTest, ThePrivateJwkIsTheHoldersKey) {
  const auto secret = PrivateJwk(key_);
  ASSERT_TRUE(secret.ok());
  const auto json = wire::ParseJson(secret->RevealText(crypto::RevealToken::For("test of the private JWK")));
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(json->FindString("kty"), "EC");
  EXPECT_EQ(json->FindString("alg"), "ES256");
  EXPECT_EQ(Base64UrlDecode(*json->FindString("d"))->size(), 32U);
  JsonObject without = *json->as_object();
  without.Erase("d");
  EXPECT_EQ(crypto::ParseJwk(wire::ToJson(without))->key, key_.public_key());
  EXPECT_FALSE(PrivateJwk(rsa_).ok());
}

}  // namespace
}  // namespace hexr::identity
