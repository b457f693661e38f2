#include <gtest/gtest.h>

#include "base/limits/keys.h"
#include "crypto/authority.h"
#include "crypto/jose_json.h"
#include "crypto/jwk.h"
#include "crypto/jws.h"

namespace hexr::crypto {
namespace {

// RFC 7515, A.2 and A.3: the same payload under RS256 and ES256.
constexpr std::string_view kPayload =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
constexpr std::string_view kRsaKey =
    R"({"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT)"
    R"(-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapH)"
    R"(g665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",)"
    R"("e":"AQAB"})";
constexpr std::string_view kRsaSignature =
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
    "O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQ"
    "jbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"
    "eOkHWEsqt"
    "FZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
constexpr std::string_view kEcKey =
    R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})";
constexpr std::string_view kEcSignature =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

std::string Token(std::string_view header_json, std::string_view payload, std::string_view signature) {
  return Base64UrlEncode(AsBytes(header_json)) + "." + std::string(payload) + "." + std::string(signature);
}

TEST(Jws, Rfc7515Vectors) {
  const std::vector<Jwk> rsa = {ParseJwk(kRsaKey).value()}, ec = {ParseJwk(kEcKey).value()};
  const auto rs256 = RawJwt::Parse(Token(R"({"alg":"RS256"})", kPayload, kRsaSignature)).value();
  const auto es256 = RawJwt::Parse(Token(R"({"alg":"ES256"})", kPayload, kEcSignature)).value();
  EXPECT_TRUE(VerifyJwt(rs256, rsa, AllAlgorithms()).ok());
  EXPECT_TRUE(VerifyJwt(es256, ec, AllAlgorithms()).ok());
  EXPECT_TRUE(VerifyJwt(es256, ec, AllAlgorithms())->payload().starts_with(R"({"iss":"joe")"));
  EXPECT_FALSE(VerifyJwt(rs256, ec, AllAlgorithms()).ok());
  EXPECT_FALSE(VerifyJwt(es256, rsa, AllAlgorithms()).ok());
  const std::vector<SignatureAlgorithm> only_rsa = {SignatureAlgorithm::kRs256};
  EXPECT_EQ(VerifyJwt(es256, ec, only_rsa).error().code(), ErrorCode::kUnauthenticated);
  EXPECT_FALSE(VerifyJwt(es256, ec, {}).ok());
}

TEST(Jws, Rfc7638Vector) {
  const auto jwk = ParseJwk(
      R"({"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiF)"
      R"(V4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvR)"
      R"(L5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",)"
      R"("e":"AQAB","alg":"RS256","kid":"2011-04-29"})");
  ASSERT_TRUE(jwk.ok()) << jwk.error().ToString();
  EXPECT_EQ(Thumbprint(jwk->key), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
  EXPECT_EQ(jwk->key_id, "2011-04-29");
}

class JwsKeys : public ::testing::TestWithParam<SignatureAlgorithm> {
 protected:
  static KeyType TypeOf(SignatureAlgorithm a) {
    for (const KeyType t : {KeyType::kP256, KeyType::kP384, KeyType::kP521}) {
      if (Fits(a, t)) return t;
    }
    return KeyType::kRsa;
  }
};
INSTANTIATE_TEST_SUITE_P(All, JwsKeys, ::testing::ValuesIn(AllAlgorithms().begin(), AllAlgorithms().end()),
                         [](const auto& param) { return std::string(AlgorithmName(param.param)); });

TEST(Jws, ATokenWithoutKeyIdIsTriedWithFewKeys) {
  const PrivateKey key = PrivateKey::Generate(KeyType::kP256);
  const std::string token = SignJwt(key, SignatureAlgorithm::kEs256, "", "JWT", "{}").value();
  const RawJwt raw = RawJwt::Parse(token).value();
  std::vector<Jwk> keys;
  while (keys.size() + 1 < limits::kMaxUnnamedKeys)
    keys.push_back({PrivateKey::Generate(KeyType::kP256).public_key(), ""});
  keys.push_back({key.public_key(), ""});
  EXPECT_TRUE(VerifyJwt(raw, keys, AllAlgorithms()).ok());
  keys.insert(keys.begin(), {PrivateKey::Generate(KeyType::kP256).public_key(), ""});
  EXPECT_FALSE(VerifyJwt(raw, keys, AllAlgorithms()).ok()) << "each try costs a verification";
}

TEST_P(JwsKeys, SignsAndVerifies) {
  const PrivateKey key = PrivateKey::Generate(TypeOf(GetParam()));
  const std::string token = SignJwt(key, GetParam(), "k \"1\"", "JWT", R"({"sub":"x"})").value();
  const RawJwt raw = RawJwt::Parse(token).value();
  EXPECT_EQ(raw.key_id(), "k \"1\"");
  EXPECT_EQ(raw.type(), "JWT");
  EXPECT_FALSE(raw.has_other_header_members());
  std::vector<Jwk> keys = {{key.public_key(), "k \"1\""}};
  const auto verified = VerifyJwt(raw, keys, AllAlgorithms());
  ASSERT_TRUE(verified.ok());
  EXPECT_EQ(verified->payload(), R"({"sub":"x"})");
  keys[0].key_id = "other";
  EXPECT_FALSE(VerifyJwt(raw, keys, AllAlgorithms()).ok()) << "kid has to match";
  keys[0] = {PrivateKey::Generate(TypeOf(GetParam())).public_key(), "k \"1\""};
  EXPECT_FALSE(VerifyJwt(raw, keys, AllAlgorithms()).ok());
  // Every bit of the signature and of the payload counts.
  for (size_t i = token.find('.') + 1; i < token.size(); i += 7) {
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    const auto r = RawJwt::Parse(changed);
    if (changed == token || !r.ok()) continue;
    EXPECT_FALSE(VerifyJwt(*r, std::vector<Jwk>{{key.public_key(), "k \"1\""}}, AllAlgorithms()).ok()) << i;
  }
}

TEST(Jws, KeyWithAlgIsBoundToIt) {
  const PrivateKey key = PrivateKey::Generate(KeyType::kRsa);
  const RawJwt raw = RawJwt::Parse(SignJwt(key, SignatureAlgorithm::kRs256, "k", "", "{}").value()).value();
  std::vector<Jwk> keys = {{key.public_key(), "k", "", SignatureAlgorithm::kPs256}};
  EXPECT_FALSE(VerifyJwt(raw, keys, AllAlgorithms()).ok());
  keys[0].algorithm = SignatureAlgorithm::kRs256;
  EXPECT_TRUE(VerifyJwt(raw, keys, AllAlgorithms()).ok());
}

TEST(Jws, UnnamedTokensTryUnnamedKeysAFewTimes) {
  const PrivateKey key = PrivateKey::Generate(KeyType::kP256);
  const RawJwt raw = RawJwt::Parse(SignJwt(key, SignatureAlgorithm::kEs256, "", "", "{}").value()).value();
  std::vector<Jwk> keys = {{key.public_key(), "named"}};
  EXPECT_FALSE(VerifyJwt(raw, keys, AllAlgorithms()).ok());
  keys.assign(7, {PrivateKey::Generate(KeyType::kP256).public_key()});
  keys.push_back({key.public_key()});
  EXPECT_TRUE(VerifyJwt(raw, keys, AllAlgorithms()).ok());
  keys.insert(keys.begin(), {PrivateKey::Generate(KeyType::kP256).public_key()});
  EXPECT_FALSE(VerifyJwt(raw, keys, AllAlgorithms()).ok()) << "the ninth is not tried";
}

TEST(Jws, HeadersThatAreRefused) {
  for (const char* header :
       {R"({"alg":"none"})", R"({"alg":"None"})", R"({"alg":"HS256"})", R"({"alg":"EdDSA"})", R"({"alg":""})", R"({})",
        R"({"alg":null})", R"({"alg":["ES256"]})", R"({"alg":"ES256","alg":"ES256"})",
        R"({"alg":"ES256","\u0061lg":"none"})", R"({"alg":"ES256","crit":["exp"]})", R"({"alg":"ES256","crit":[]})",
        R"({"alg":"ES256","kid":1})", R"({"alg":"ES256","typ":{}})", R"({"alg":"ES256"}x)", R"(["ES256"])", "", "{",
        R"({"alg":"ES256",})"}) {
    EXPECT_FALSE(RawJwt::Parse(Token(header, kPayload, kEcSignature)).ok()) << header;
  }
  for (const char* header : {R"({"alg":"ES256","jku":"https://evil"})", R"({"alg":"ES256","jwk":{"kty":"EC"}})",
                             R"({"alg":"ES256","x5c":["a"]})"}) {
    const auto r = RawJwt::Parse(Token(header, kPayload, kEcSignature));
    ASSERT_TRUE(r.ok()) << header;
    EXPECT_TRUE(r->has_other_header_members());
    EXPECT_FALSE(VerifyJwt(*r, std::vector<Jwk>{ParseJwk(kEcKey).value()}, AllAlgorithms()).ok())
        << "keys inside a token mean nothing";
  }
}

TEST(Jws, FormsThatAreRefused) {
  const std::string h = Base64UrlEncode(AsBytes(R"({"alg":"ES256"})"));
  const std::string good = h + "." + std::string(kPayload) + "." + std::string(kEcSignature);
  ASSERT_TRUE(RawJwt::Parse(good).ok());
  for (const std::string& bad :
       {std::string(), std::string("a"), std::string(".."), h + "." + std::string(kPayload), good + ".x", good + "=",
        good + "\n", " " + good, h + "=." + std::string(kPayload) + "." + std::string(kEcSignature),
        h + ".//8." + std::string(kEcSignature),
        h + "._w." + std::string(kEcSignature),  // not UTF-8
        std::string(R"({"payload":"e30","signatures":[]})")}) {
    EXPECT_FALSE(RawJwt::Parse(bad).ok()) << bad;
  }
  EXPECT_FALSE(RawJwt::Parse(h + "." + std::string(limits::kMaxJwtBytes, 'A') + "." + std::string(kEcSignature)).ok());
  const PrivateKey key = PrivateKey::Generate(KeyType::kP256);
  EXPECT_FALSE(SignJwt(key, SignatureAlgorithm::kEs256, "", "", std::string(limits::kMaxJwtBytes, ' ')).ok());
  EXPECT_FALSE(SignJwt(key, SignatureAlgorithm::kRs256, "", "", "{}").ok());
  // An empty signature: the "none" attack with an honest header.
  const auto unsigned_token = RawJwt::Parse(h + "." + std::string(kPayload) + ".");
  EXPECT_TRUE(!unsigned_token.ok() ||
              !VerifyJwt(*unsigned_token, std::vector<Jwk>{ParseJwk(kEcKey).value()}, AllAlgorithms()).ok());
}

TEST(Jwk, RoundTripWithEverything) {
  SystemRandom random;
  const WallTime now = ParseRfc3339("2026-06-01T12:00:00Z").value();
  const auto ca =
      CertificateAuthority::CreateRoot(TrustDomain::Parse("example.org").value(), PrivateKey::Generate(KeyType::kP384),
                                       now, std::chrono::hours(1), random)
          .value();
  JwkSet set;
  set.keys.push_back({ca.key().public_key(), "", "x509-svid", {}, {ca.certificate()}});
  set.keys.push_back(
      {PrivateKey::Generate(KeyType::kRsa).public_key(), "a\"\\\n\xc3\xa9", "jwt-svid", SignatureAlgorithm::kPs512});
  set.sequence = UINT64_MAX;
  set.refresh_hint_seconds = 300;
  const auto again = ParseJwkSet(EncodeJwkSet(set));
  ASSERT_TRUE(again.ok()) << again.error().ToString();
  ASSERT_EQ(again->keys.size(), 2U);
  EXPECT_EQ(again->skipped, 0U);
  EXPECT_EQ(again->sequence, UINT64_MAX);
  EXPECT_EQ(again->refresh_hint_seconds, 300U);
  EXPECT_EQ(again->keys[0].key, set.keys[0].key);
  EXPECT_EQ(again->keys[0].x5c, set.keys[0].x5c);
  EXPECT_EQ(again->keys[1].key_id, set.keys[1].key_id);
  EXPECT_EQ(again->keys[1].use, "jwt-svid");
  EXPECT_EQ(again->keys[1].algorithm, SignatureAlgorithm::kPs512);
  EXPECT_EQ(EncodeJwkSet(*again), EncodeJwkSet(set));
}

TEST(Jwk, SetsPassOverWhatTheyDoNotKnow) {
  const std::string ec(kEcKey);
  const auto set = ParseJwkSet(R"({"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"},{"kty":"oct","k":"AA"},)" + ec +
                               R"(,{"kty":"EC"},)"
                               R"({"kty":"RSA","n":"AQAB","e":"AQAB"}],"other":{"a":[1,2.5e3,true,null]}})");
  ASSERT_TRUE(set.ok()) << set.error().ToString();
  EXPECT_EQ(set->keys.size(), 1U);
  EXPECT_EQ(set->skipped, 4U);
  EXPECT_FALSE(set->sequence.has_value());
  EXPECT_TRUE(ParseJwkSet(R"({"keys":[]})")->keys.empty());
}

TEST(Jwk, Refuses) {
  const std::string ec(kEcKey);
  for (const std::string& bad :
       {std::string("{}"), std::string(R"({"keys":{}})"), std::string(R"({"keys":[1]})"), std::string("[]"),
        std::string(), std::string(R"({"keys":[],"keys":[]})"), R"({"keys":[{"kty":"EC","kty":"EC"}]})" + std::string(),
        std::string(R"({"keys":[],"spiffe_sequence":-1})"), std::string(R"({"keys":[],"spiffe_sequence":1.5})"),
        std::string(R"({"keys":[],"spiffe_sequence":18446744073709551616})"),
        std::string(R"({"keys":[],"spiffe_sequence":"1"})"), R"({"keys":[)" + ec + "]", R"({"keys":[)" + ec + ",]}"}) {
    EXPECT_FALSE(ParseJwkSet(bad).ok()) << bad;
  }
  std::string many = R"({"keys":[)";
  for (size_t i = 0; i < limits::kMaxJwkSetKeys; ++i) many += "{},";
  EXPECT_TRUE(ParseJwkSet(many.substr(0, many.size() - 1) + "]}").ok());
  EXPECT_FALSE(ParseJwkSet(many + "{}]}").ok());
  EXPECT_FALSE(ParseJwkSet(R"({"keys":[]})" + std::string(limits::kMaxJwkSetBytes, ' ')).ok());
  const std::string start = ec.substr(0, ec.size() - 1);
  for (const char* more : {R"(,"d":"AA"})", R"(,"alg":"ES384"})", R"(,"alg":"none"})", R"(,"x5c":[]})",
                           R"(,"x5c":["AA"]})", R"(,"x5c":[1]})", R"(,"kid":1})", R"(,"use":[]})"}) {
    EXPECT_FALSE(ParseJwk(start + more).ok()) << more;
  }
  // A certificate of another key: two readers would believe two keys.
  SystemRandom random;
  const auto ca =
      CertificateAuthority::CreateRoot(TrustDomain::Parse("example.org").value(), PrivateKey::Generate(KeyType::kP256),
                                       ParseRfc3339("2026-06-01T12:00:00Z").value(), std::chrono::hours(1), random)
          .value();
  EXPECT_FALSE(ParseJwk(start + R"(,"x5c":[")" + Base64Encode(ca.certificate().der()) + R"("]})").ok());
}

TEST(JoseJson, Strict) {
  for (const char* bad : {"",
                          "{",
                          "}",
                          "{}}",
                          "{\"a\"}",
                          "{\"a\":}",
                          "{\"a\":01}",
                          "{\"a\":1.}",
                          "{\"a\":.5}",
                          "{\"a\":1e}",
                          "{\"a\":+1}",
                          "{\"a\":tru}",
                          "{\"a\":nul}",
                          "{'a':1}",
                          "{\"a\":\"\n\"}",
                          "{\"a\":\"\\x\"}",
                          "{\"a\":\"\\u12\"}",
                          "{\"a\":\"\\ud800\"}",
                          "{\"a\":\"\\udc00\"}",
                          "{\"a\":\"\\ud800\\u0041\"}",
                          "{\"a\":\"",
                          "{\"a\":[}",
                          "{\"a\":[1,]}",
                          "{\"a\":{\"b\":1,\"b\":2}}",
                          "{\"a\":\"\xff\"}",
                          "{\"a\":1,}",
                          "{,}",
                          "\xef\xbb\xbf{}",
                          "{\"a\":NaN}",
                          "{\"a\":1}//"}) {
    EXPECT_FALSE(JsonObject::Parse(bad).ok()) << bad;
  }
  const auto o =
      JsonObject::Parse(" {\"a\" : \"\\u00e9\\ud83d\\ude00\\/\\n\" , \"b\":[ 1 , {\"c\":-0.5E+3} ],\"d\":{} } ");
  ASSERT_TRUE(o.ok()) << o.error().ToString();
  EXPECT_EQ(o->Find("a")->text, "\xc3\xa9\xf0\x9f\x98\x80/\n");
  EXPECT_EQ(o->Find("b")->raw, "[ 1 , {\"c\":-0.5E+3} ]");
  EXPECT_FALSE(o->FindString("b").ok());
  EXPECT_EQ(*o->FindString("x"), nullptr);
  std::string wide = "{";
  for (size_t i = 0; i < limits::kMaxJoseMembers; ++i) wide += "\"" + std::to_string(i) + "\":0,";
  EXPECT_TRUE(JsonObject::Parse(wide.substr(0, wide.size() - 1) + "}").ok());
  EXPECT_FALSE(JsonObject::Parse(wide + "\"x\":0}").ok());
  const size_t depth = limits::kMaxJoseDepth;
  EXPECT_TRUE(JsonObject::Parse("{\"a\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}").ok());
  EXPECT_FALSE(JsonObject::Parse("{\"a\":" + std::string(depth + 1, '[') + std::string(depth + 1, ']') + "}").ok());
}

}  // namespace
}  // namespace hexr::crypto
