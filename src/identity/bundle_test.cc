#include "identity/bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/bytes.h"
#include "base/limits/identity.h"
#include "base/limits/keys.h"
#include "base/random.h"
#include "crypto/authority.h"
#include "crypto/digest.h"
#include "identity/bundle_set.h"
#include "wire/json.h"

namespace hexr::identity {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

const TrustDomain kOurs = *TrustDomain::Parse("example.org");
const TrustDomain kTheirs = *TrustDomain::Parse("other.org");
const WallTime kNow{std::chrono::hours(500'000)};

crypto::CertificateAuthority MakeCa(const TrustDomain& td) {
  SystemRandom random;
  return *crypto::CertificateAuthority::CreateRoot(td, crypto::PrivateKey::Generate(crypto::KeyType::kP256), kNow,
                                                   std::chrono::hours(24), random);
}

std::string Jwk(std::string_view use, std::string_view kid, const crypto::PublicKey& key) {
  return crypto::EncodeJwk({key, std::string(kid), std::string(use)});
}

TrustBundle FullBundle(const TrustDomain& td) {
  TrustBundle bundle(td);
  bundle.x509_authorities = {MakeCa(td).certificate(), MakeCa(td).certificate()};
  bundle.jwt_keys = {{crypto::PrivateKey::Generate(crypto::KeyType::kP256).public_key(), "jwt-1", "jwt-svid"},
                     {crypto::PrivateKey::Generate(crypto::KeyType::kRsa).public_key(), "jwt-2", "jwt-svid"}};
  bundle.wit_keys = {{crypto::PrivateKey::Generate(crypto::KeyType::kP384).public_key(), "wit-1", "wit-svid"}};
  bundle.sequence = 18'446'744'073'709'551'615U;
  bundle.refresh_hint = std::chrono::seconds(60);
  return bundle;
}

TEST(TrustBundle, RoundTrips) {
  const TrustBundle bundle = FullBundle(kOurs);
  const auto parsed = TrustBundle::Parse(kOurs, bundle.ToJson());
  ASSERT_TRUE(parsed.ok()) << parsed.error().ToString();
  EXPECT_TRUE(parsed->SameKeys(bundle));
  EXPECT_EQ(parsed->sequence, bundle.sequence);
  EXPECT_EQ(parsed->refresh_hint, bundle.refresh_hint);
}

TEST(TrustBundle, ADocumentWithAPrivateKeyIsRefusedAsAWhole) {
  const std::string whole = FullBundle(kTheirs).ToJson();
  for (const std::string leak : {R"({"kty":"EC","crv":"P-256","use":"jwt-svid","kid":"z","x":"AA","y":"AA","d":"AA"})",
                                 R"({"kty":"oct","kid":"z","k":"c2VjcmV0"})",
                                 R"({"kty":"RSA","use":"x509-svid","n":"AA","e":"AQAB","q":"AA"})"}) {
    std::string json = whole;
    json.insert(json.find('[') + 1, leak + ",");
    const auto parsed = TrustBundle::Parse(kTheirs, json);
    ASSERT_FALSE(parsed.ok()) << leak;
    EXPECT_THAT(parsed.error().message(), HasSubstr("private key"));
  }
}

TEST(TrustBundle, TheKeysOfOneUseAreAPlainJwkSet) {
  const TrustBundle bundle = FullBundle(kOurs);
  const auto jwks = wire::ParseJson(bundle.JwtJwks());
  ASSERT_TRUE(jwks.ok());
  ASSERT_THAT(*jwks->FindArray("keys"), SizeIs(2));
  EXPECT_EQ(jwks->as_object()->size(), 1U);  // nothing of SPIFFE's own
  for (const wire::Json& key : *jwks->FindArray("keys")) {
    EXPECT_EQ(key.Find("use"), nullptr);
    EXPECT_TRUE(key.FindString("kid").has_value());
  }
  EXPECT_THAT(bundle.JwtJwks(), Not(HasSubstr("wit-1")));
  EXPECT_THAT(bundle.JwtJwks(), Not(HasSubstr("x5c")));
  EXPECT_THAT(bundle.WitJwks(), HasSubstr("wit-1"));
  EXPECT_THAT(bundle.OidcJwks(), HasSubstr("\"alg\":\"RS256\""));
  EXPECT_THAT(bundle.OidcJwks(), HasSubstr("\"use\":\"sig\""));
}

TEST(TrustBundle, AnEmptyListIsValidAndTrustsNobody) {
  const auto bundle = TrustBundle::Parse(kOurs, R"({"keys":[]})");
  ASSERT_TRUE(bundle.ok());
  EXPECT_TRUE(bundle->x509_authorities.empty());
  EXPECT_EQ(bundle->refresh_hint, kDefaultRefreshHint);
  EXPECT_FALSE(bundle->sequence.has_value());
}

// A document in the form that SPIRE publishes (SPIFFE_Trust_Domain_and_Bundle.md 4), from other hands than ours: the
// certificate is openssl(1)'s, the keys' coordinates were taken apart by a script.
constexpr char kCertificate[] =
    "MIIBtzCCAV2gAwIBAgIFGis8TV4wCgYIKoZIzj0EAwIwHjELMAkGA1UEBhMCVVMxDzANBgNVBAoMBlNQSUZGRTAgFw0yNjExMzAy"
    "MTA1MjRaGA8yMTI2MTEwNjIxMDUyNFowHjELMAkGA1UEBhMCVVMxDzANBgNVBAoMBlNQSUZGRTBZMBMGByqGSM49AgEGCCqGSM49"
    "AwEHA0IABGzRrbkUBVEJz3LXVSxgw+s3SgTFfcGeHP+dpnmrImbS9nCMIiTer0WagQNg8Z6ietjITG269e3l0f4Jsjvt056jgYUw"
    "gYIwHQYDVR0OBBYEFBFRTyXqEAROELUSg4tF4K9MWebKMB8GA1UdIwQYMBaAFBFRTyXqEAROELUSg4tF4K9MWebKMA8GA1UdEwEB"
    "/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgEGMB8GA1UdEQQYMBaGFHNwaWZmZTovL2RvbWFpbi50ZXN0MAoGCCqGSM49BAMCA0gAMEUC"
    "IQCt+45py72ZDESNDTYtdPZRhMYqwnAHE1cxqoRO3n6qmwIgGC4v13Rx8JCL/ioRxrhWQOZ2P8nfaBS2nephDoTkVrk=";
constexpr char kModulus[] =
    "7eA9z20pkBMLPZYMstZctyFbTmOk02JCFUrF-NwNJ2jfb48coXRNU5XfLDlkMESRvI419FF2vyR9URmi306kDXdeUpdSHnt_9w4I"
    "GF310DnNRnmaNDAqRlqvHjHMnWAVnrdSS8esWm7QU9SeZVvHSkjzpxqWwJ6ObgqcntJVssrHfz99SHpBL1I5Eoq_N7Y_nQpAHMzl"
    "ZSgXubSo_hJknrdvgvkz97jDxs5o458kNnhSXs0OuOXk_EyjOoq80dXX0yW8DrvCdUK4zpjiw0MC0I4_ia-4ll86zuOgYA9bU-fv"
    "Qg5cB8NIJiCp6NDgyO8LkCbc9qxiEOmq1WBx6dFClQ";

std::string Published(const std::string& x509_use = "x509-svid", const std::string& jwt_use = "jwt-svid") {
  return R"({
    "keys": [
        {"use": ")" +
         x509_use + R"(", "kty": "EC", "crv": "P-256",
         "x": "bNGtuRQFUQnPctdVLGDD6zdKBMV9wZ4c_52measiZtI", "y": "9nCMIiTer0WagQNg8Z6ietjITG269e3l0f4Jsjvt054",
         "x5c": [")" +
         std::string(kCertificate) + R"("]},
        {"use": ")" +
         jwt_use + R"(", "kty": "EC", "kid": "C6vs25welZOx6WksNYfbMfiw9l96pMnD", "crv": "P-256",
         "x": "g9mkXNHO8aOfsqGom3Z7yk7uskNpYuyZ1Ue_tF-10q4", "y": "AuB70kZt7s-SZtQfMa-vk4qwYJD31M97UpdPhojQ2LU"},
        {"use": ")" +
         jwt_use + R"(", "kty": "RSA", "kid": "rsa-1", "e": "AQAB", "n": ")" + std::string(kModulus) + R"("}
    ],
    "spiffe_sequence": 12035488,
    "spiffe_refresh_hint": 2419200
})";
}

TEST(TrustBundle, ReadsADocumentOfTheStandard) {
  const auto bundle = TrustBundle::Parse(kOurs, Published());
  ASSERT_TRUE(bundle.ok()) << bundle.error().ToString();
  ASSERT_THAT(bundle->x509_authorities, SizeIs(1));
  EXPECT_EQ(HexEncode(crypto::Sha256(bundle->x509_authorities[0].der())),
            "4dd05b337717156011166b3286d192b26b6839696cc249d60191c544c6a9b3a2");
  ASSERT_THAT(bundle->jwt_keys, SizeIs(2));
  EXPECT_EQ(bundle->jwt_keys[0].key_id, "C6vs25welZOx6WksNYfbMfiw9l96pMnD");
  EXPECT_EQ(bundle->jwt_keys[0].key.type(), crypto::KeyType::kP256);
  EXPECT_EQ(bundle->jwt_keys[1].key.type(), crypto::KeyType::kRsa);
  EXPECT_EQ(bundle->sequence, 12035488U);
  EXPECT_EQ(bundle->refresh_hint, std::chrono::hours(24)) << "a hint of four weeks is cut";
  // Section 4.2.2: keys of a use that is not known, and those that name none, are passed over.
  EXPECT_THAT(TrustBundle::Parse(kOurs, Published("x509-svid", "another"))->jwt_keys, SizeIs(0));
  EXPECT_THAT(TrustBundle::Parse(kOurs, Published("", "jwt-svid"))->x509_authorities, SizeIs(0));
}

// A key stands for its certificate: other coordinates beside it are somebody's mistake, or somebody's attempt.
TEST(TrustBundle, ACertificateIsTheOneOfItsKey) {
  std::string json = Published();
  json.replace(json.find("bNGtuRQF"), 43, "g9mkXNHO8aOfsqGom3Z7yk7uskNpYuyZ1Ue_tF-10q4");
  json.replace(json.find("9nCMIiTe"), 43, "AuB70kZt7s-SZtQfMa-vk4qwYJD31M97UpdPhojQ2LU");
  const auto bundle = TrustBundle::Parse(kOurs, json);
  EXPECT_TRUE(!bundle.ok() || bundle->x509_authorities.empty());
}

TEST(TrustBundle, PassesOverWhatItDoesNotKnow) {
  const crypto::PublicKey key = crypto::PrivateKey::Generate(crypto::KeyType::kP256).public_key();
  const auto bundle = TrustBundle::Parse(kOurs, R"({"keys":[)" + Jwk("", "a", key) + "," + Jwk("sig", "b", key) + "," +
                                                    Jwk("JWT-SVID", "c", key) + "," + Jwk("x509-svid", "", key) + "," +
                                                    Jwk("jwt-svid", "d", key) + R"(],"anything":{"else":1}})");
  ASSERT_TRUE(bundle.ok()) << bundle.error().ToString();
  EXPECT_TRUE(bundle->x509_authorities.empty());
  ASSERT_THAT(bundle->jwt_keys, SizeIs(1));
  EXPECT_EQ(bundle->jwt_keys[0].key_id, "d");
}

TEST(TrustBundle, AKeyThatIsNotPublicIsNotUsed) {
  std::string jwk = Jwk("jwt-svid", "a", crypto::PrivateKey::Generate(crypto::KeyType::kP256).public_key());
  jwk.insert(1, R"("d":"AAAA",)");
  const auto bundle = TrustBundle::Parse(kOurs, R"({"keys":[)" + jwk + "]}");
  EXPECT_TRUE(!bundle.ok() || bundle->jwt_keys.empty());
}

TEST(TrustBundle, TakesTheFirstCertificateOfAnEntry) {
  TrustBundle both(kOurs);
  const crypto::Certificate first = MakeCa(kOurs).certificate();
  const crypto::Certificate second = MakeCa(kOurs).certificate();
  const std::string json =
      crypto::EncodeJwkSet({.keys = {{*first.public_key(), "", "x509-svid", {}, {first, second}}}});
  const auto bundle = TrustBundle::Parse(kOurs, json);
  ASSERT_TRUE(bundle.ok()) << bundle.error().ToString();
  ASSERT_THAT(bundle->x509_authorities, SizeIs(1));
  EXPECT_EQ(bundle->x509_authorities[0], first);
}

TEST(TrustBundle, RefusesBrokenDocuments) {
  const crypto::PrivateKey key = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
  const std::string jwk = Jwk("jwt-svid", "a", key.public_key());
  SystemRandom random;
  const auto leaf = *MakeCa(kOurs).IssueSvid(
      {*SpiffeId::Parse("spiffe://example.org/x"), key.public_key(), std::chrono::seconds(60)}, kNow, random);
  const std::string leaf_entry = crypto::EncodeJwkSet({.keys = {{key.public_key(), "", "x509-svid", {}, {leaf}}}});
  for (const std::string& json : std::initializer_list<std::string>{
           "", "{}", "[]", R"({"keys":null})", R"({"keys":{}})", R"({"keys":[1]})", R"({"keys":[]} x)",
           R"({"keys":[],"keys":[]})",
           R"({"keys":[)" + Jwk("jwt-svid", "", key.public_key()) + "]}",               // a token key without ID
           R"({"keys":[)" + jwk + "," + jwk + "]}",                                     // one ID twice
           R"({"keys":[)" + jwk + "," + Jwk("wit-svid", "a", key.public_key()) + "]}",  // also across uses
           R"({"keys":[)" + Jwk("jwt-svid", std::string(limits::kMaxKeyIdBytes + 1, 'k'), key.public_key()) + "]}",
           leaf_entry, R"({"keys":[],"spiffe_sequence":-1})", R"({"keys":[],"spiffe_sequence":"1"})",
           R"({"keys":[],"spiffe_sequence":1.5})", R"({"keys":[],"spiffe_sequence":18446744073709551616})"}) {
    EXPECT_FALSE(TrustBundle::Parse(kOurs, json).ok()) << json;
  }
}

TEST(TrustBundle, ARefreshHintStaysWithinReason) {
  EXPECT_EQ(TrustBundle::Parse(kOurs, R"({"keys":[],"spiffe_refresh_hint":0})")->refresh_hint, std::chrono::seconds(1));
  EXPECT_EQ(TrustBundle::Parse(kOurs, R"({"keys":[],"spiffe_refresh_hint":99999999})")->refresh_hint,
            std::chrono::hours(24));
}

TEST(BundleMap, RoundTripsAndRefusesADomainTwice) {
  std::map<TrustDomain, TrustBundle> map{{kOurs, FullBundle(kOurs)}, {kTheirs, FullBundle(kTheirs)}};
  const std::string json = BundleMapToJson(map);
  const auto parsed = ParseBundleMap(json);
  ASSERT_TRUE(parsed.ok()) << parsed.error().ToString();
  ASSERT_THAT(*parsed, SizeIs(2));
  EXPECT_TRUE(parsed->at(kTheirs).SameKeys(map.at(kTheirs)));
  EXPECT_EQ(parsed->at(kOurs).refresh_hint, kDefaultRefreshHint);
  for (const char* bad : {"{}", R"({"trust_domains":[]})", R"({"trust_domains":{"Example.org":{"keys":[]}}})",
                          R"({"trust_domains":{"":{"keys":[]}}})", R"({"trust_domains":{"a.org":{}}})",
                          R"({"trust_domains":{"a.org":{"keys":[]},"a.org":{"keys":[]}}})",
                          R"({"trust_domains":{"spiffe://a.org":{"keys":[]}}})"}) {
    EXPECT_FALSE(ParseBundleMap(bad).ok()) << bad;
  }
}

TEST(BundleMap, IsBounded) {
  std::string json = R"({"trust_domains":{)";
  for (size_t i = 0; i <= limits::kMaxFederatedDomains; ++i) {
    json += (i == 0 ? "" : ",") + std::string("\"d") + std::to_string(i) + R"(":{"keys":[]})";
  }
  EXPECT_EQ(ParseBundleMap(json + "}}").error().code(), ErrorCode::kResourceExhausted);
  EXPECT_FALSE(ParseBundleMap(std::string(limits::kMaxBundleMapBytes + 1, ' ')).ok());
}

class BundleSetTest : public ::testing::Test {
 protected:
  int changes_ = 0;
  BundleSet set_{kOurs, [this] { ++changes_; }};
};

TEST_F(BundleSetTest, KeepsTrustDomainsApart) {
  const crypto::CertificateAuthority ours = MakeCa(kOurs);
  const crypto::CertificateAuthority theirs = MakeCa(kTheirs);
  TrustBundle a(kOurs), b(kTheirs);
  a.x509_authorities = {ours.certificate()};
  b.x509_authorities = {theirs.certificate()};
  ASSERT_TRUE(set_.SetOwn(a).ok());
  ASSERT_TRUE(set_.SetFederated(b).ok());
  EXPECT_EQ(changes_, 2);

  SystemRandom random;
  ManualClock clock(kNow);
  std::set<Bytes> revoked;
  const PeerVerifier verifier(set_.x509(), clock, [&revoked](const SpiffeId&, ByteView serial) {
    return revoked.contains(Bytes(serial.begin(), serial.end()));
  });
  const crypto::PublicKey key = crypto::PrivateKey::Generate(crypto::KeyType::kP256).public_key();
  const auto leaf =
      *theirs.IssueSvid({*SpiffeId::Parse("spiffe://other.org/db"), key, std::chrono::seconds(60)}, kNow, random);
  const auto peer = verifier.Verify({leaf});
  ASSERT_TRUE(peer.ok()) << peer.error().ToString();
  EXPECT_EQ(peer->id().ToString(), "spiffe://other.org/db");

  // Their key signs one of our names (spiffe/spiffe#375).
  const auto rogue =
      *crypto::CertificateAuthority::CreateRoot(kOurs, theirs.key(), kNow, std::chrono::hours(1), random);
  const auto forged = *rogue.IssueSvid(
      {*SpiffeId::Parse("spiffe://example.org/agent/a/b/c"), key, std::chrono::seconds(60)}, kNow, random);
  EXPECT_EQ(verifier.Verify({forged}).error().code(), ErrorCode::kUnauthenticated);
  EXPECT_EQ(verifier.Verify({forged, theirs.certificate()}).error().code(), ErrorCode::kUnauthenticated);

  const ByteView serial = leaf.serial();
  revoked.emplace(serial.begin(), serial.end());
  EXPECT_THAT(verifier.Verify({leaf}).error().message(), HasSubstr("revoked"));
  revoked.clear();
  ASSERT_TRUE(set_.RemoveFederated(kTheirs).ok());
  EXPECT_FALSE(verifier.Verify({leaf}).ok());
}

TEST_F(BundleSetTest, NobodyOutsideSpeaksForUs) {
  EXPECT_EQ(set_.SetFederated(TrustBundle(kOurs)).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(set_.SetOwn(TrustBundle(kTheirs)).error().code(), ErrorCode::kInvalidArgument);
}

TEST_F(BundleSetTest, RefusesToGoBack) {
  TrustBundle newer = FullBundle(kTheirs);
  newer.sequence = 5;
  ASSERT_TRUE(set_.SetFederated(newer).ok());
  TrustBundle older = FullBundle(kTheirs);
  older.sequence = 4;
  EXPECT_EQ(set_.SetFederated(older).error().code(), ErrorCode::kFailedPrecondition);
  older.sequence.reset();
  EXPECT_EQ(set_.SetFederated(older).error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_TRUE(set_.Find(kTheirs)->SameKeys(newer));
  EXPECT_TRUE(set_.SetFederated(older, BundleSet::Older::kAllow).ok());
}

TEST_F(BundleSetTest, EqualKeysAreNoNews) {
  TrustBundle bundle = FullBundle(kTheirs);
  bundle.sequence = 1;
  ASSERT_TRUE(set_.SetFederated(bundle).ok());
  const uint64_t version = set_.version();
  bundle.sequence = 2;
  ASSERT_TRUE(set_.SetFederated(bundle).ok());
  EXPECT_EQ(set_.version(), version);
  EXPECT_EQ(changes_, 1);
  EXPECT_EQ(set_.Find(kTheirs)->sequence, 2U);
}

TEST_F(BundleSetTest, IsBounded) {
  for (size_t i = 0; i < limits::kMaxFederatedDomains; ++i) {
    ASSERT_TRUE(set_.SetFederated(TrustBundle(*TrustDomain::Parse("d" + std::to_string(i)))).ok());
  }
  EXPECT_EQ(set_.SetFederated(TrustBundle(kTheirs)).error().code(), ErrorCode::kResourceExhausted);
}

}  // namespace
}  // namespace hexr::identity
