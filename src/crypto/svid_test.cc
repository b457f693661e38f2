#include "crypto/svid.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <functional>

#include "base/limits/keys.h"
#include "crypto/openssl_ptr.h"
#include "crypto/testing/test_certificates.h"

namespace hexr::crypto {
namespace {

using testing::CaSpec;
using testing::CertificateSpec;
using testing::MakeCertificate;
using testing::MakeDer;

TrustDomain Td(std::string_view name) { return TrustDomain::Parse(name).value(); }
WallTime At(std::string_view t) { return ParseRfc3339(t).value(); }

class Svid : public ::testing::Test {
 protected:
  const PrivateKey root_key_ = PrivateKey::Generate(KeyType::kP256);
  const PrivateKey foreign_key_ = PrivateKey::Generate(KeyType::kP256);
  const PrivateKey leaf_key_ = PrivateKey::Generate(KeyType::kP256);
  const Certificate root_ = MakeCertificate(CaSpec("issuer"), root_key_.public_key(), root_key_);
  const WallTime now_ = At("2026-06-01T00:00:00Z");
  X509BundleSet bundles_;

  void SetUp() override {
    bundles_.Set(X509Bundle::Create(Td("example.org"), {root_}).value());
    bundles_.Set(X509Bundle::Create(Td("foreign.org"),
                                    {MakeCertificate(CaSpec("foreign"), foreign_key_.public_key(), foreign_key_)})
                     .value());
  }
  Certificate Leaf(const CertificateSpec& s = {}) const {
    return MakeCertificate(s, leaf_key_.public_key(), root_key_);
  }
  std::string Verify(const std::vector<Certificate>& chain) const {
    const auto r = VerifySvid(chain, bundles_, now_);
    if (!r.ok()) {
      EXPECT_EQ(r.error().code(), ErrorCode::kUnauthenticated);
    }
    return r.ok() ? "" : r.error().message();
  }
};

TEST_F(Svid, GoodLeafIsEvidence) {
  const Certificate leaf = Leaf();
  const auto svid = VerifySvid({leaf}, bundles_, now_);
  ASSERT_TRUE(svid.ok()) << svid.error().ToString();
  EXPECT_EQ(svid->id().ToString(), "spiffe://example.org/agent/t/a/r");
  EXPECT_EQ(svid->leaf(), leaf);
  EXPECT_EQ(svid->not_after(), At("2027-01-01T00:00:00Z"));
  CertificateSpec no_eku;
  no_eku.server_auth = no_eku.client_auth = false;
  EXPECT_EQ(Verify({Leaf(no_eku)}), "");
  CertificateSpec no_bc;
  no_bc.is_ca.reset();
  EXPECT_EQ(Verify({Leaf(no_bc)}), "");
}

TEST_F(Svid, RulesOfTheLeaf) {
  const struct {
    const char* name;
    std::function<void(CertificateSpec&)> spoil;
  } cases[] = {
      {"a CA certificate", [](CertificateSpec& s) { s.is_ca = true; }},
      {"no key usage", [](CertificateSpec& s) { s.key_usage.reset(); }},
      {"of an authority", [](CertificateSpec& s) { s.key_usage = kDigitalSignature | kKeyCertSign; }},
      {"of an authority", [](CertificateSpec& s) { s.key_usage = kDigitalSignature | kCrlSign; }},
      {"without digitalSignature", [](CertificateSpec& s) { s.key_usage = kKeyAgreement; }},
      {"both serverAuth", [](CertificateSpec& s) { s.client_auth = false; }},
      {"both serverAuth", [](CertificateSpec& s) { s.server_auth = false; }},
      {"exactly one URI", [](CertificateSpec& s) { s.uris.clear(); }},
      {"exactly one URI", [](CertificateSpec& s) { s.uris.push_back("spiffe://example.org/other"); }},
      {"exactly one URI", [](CertificateSpec& s) { s.uris.push_back("https://example.org/"); }},
      {"spiffe://", [](CertificateSpec& s) { s.uris = {"https://example.org/agent"}; }},
      {"the ID of a trust domain", [](CertificateSpec& s) { s.uris = {"spiffe://example.org"}; }},
      {"SPIFFE ID", [](CertificateSpec& s) { s.uris = {"spiffe://example.org/"}; }},
      {"SPIFFE ID", [](CertificateSpec& s) { s.uris = {"spiffe://example.org/a/../b"}; }},
      {"lower case", [](CertificateSpec& s) { s.uris = {"SPIFFE://example.org/a"}; }},
      {"unknown critical", [](CertificateSpec& s) { s.unknown_critical = true; }},
      {"expired", [](CertificateSpec& s) { s.not_after = At("2026-05-31T23:59:58Z"); }},
      {"not valid yet", [](CertificateSpec& s) { s.not_before = At("2026-06-01T00:00:01Z"); }},
      {"no bundle", [](CertificateSpec& s) { s.uris = {"spiffe://unknown.org/a"}; }},
  };
  for (const auto& c : cases) {
    CertificateSpec s;
    c.spoil(s);
    EXPECT_NE(Verify({Leaf(s)}).find(c.name), std::string::npos) << c.name << " got: " << Verify({Leaf(s)});
  }
}

// The attack of a hostile federated authority: it signs a name of ours (or we one of its), and both bundles are at
// hand.
TEST_F(Svid, ForeignAuthorityCannotSpeakForOurNames) {
  CertificateSpec ours;
  ours.issuer = "foreign";
  EXPECT_NE(Verify({MakeCertificate(ours, leaf_key_.public_key(), foreign_key_)}), "");
  CertificateSpec theirs;
  theirs.uris = {"spiffe://foreign.org/a"};
  EXPECT_NE(Verify({Leaf(theirs)}), "");
  theirs.issuer = "foreign";
  EXPECT_EQ(Verify({MakeCertificate(theirs, leaf_key_.public_key(), foreign_key_)}), "");
}

TEST_F(Svid, Intermediates) {
  const PrivateKey mid_key = PrivateKey::Generate(KeyType::kP384);
  CertificateSpec mid_spec = CaSpec("mid");
  mid_spec.issuer = "issuer";
  mid_spec.not_after = At("2026-07-01T00:00:00Z");
  CertificateSpec leaf_spec;
  leaf_spec.issuer = "mid";
  const Certificate leaf = MakeCertificate(leaf_spec, leaf_key_.public_key(), mid_key);
  const Certificate mid = MakeCertificate(mid_spec, mid_key.public_key(), root_key_);
  EXPECT_EQ(Verify({leaf, mid}), "");
  EXPECT_EQ(VerifySvid({leaf, mid}, bundles_, now_)->not_after(), At("2026-07-01T00:00:00Z"))
      << "the earliest end counts";
  EXPECT_NE(Verify({leaf}), "") << "without the intermediate";
  EXPECT_EQ(Verify({leaf, root_, mid}), "") << "order behind the leaf does not matter";

  CertificateSpec bad = mid_spec;
  bad.is_ca = false;
  EXPECT_NE(Verify({leaf, MakeCertificate(bad, mid_key.public_key(), root_key_)}), "") << "a leaf that signs";
  bad = mid_spec;
  bad.key_usage = kDigitalSignature;
  EXPECT_NE(Verify({leaf, MakeCertificate(bad, mid_key.public_key(), root_key_)}), "") << "no keyCertSign";
  bad = mid_spec;
  bad.not_after = At("2026-05-01T00:00:00Z");
  EXPECT_NE(Verify({leaf, MakeCertificate(bad, mid_key.public_key(), root_key_)}), "") << "expired intermediate";
  bad = mid_spec;
  bad.unknown_critical = true;
  EXPECT_NE(Verify({leaf, MakeCertificate(bad, mid_key.public_key(), root_key_)}), "") << "unknown critical extension";

  // A path length of nothing, and an authority below it.
  CertificateSpec end_spec = mid_spec;
  end_spec.path_length = 0;
  const Certificate end = MakeCertificate(end_spec, mid_key.public_key(), root_key_);
  EXPECT_EQ(Verify({leaf, end}), "");
  const PrivateKey low_key = PrivateKey::Generate(KeyType::kP256);
  CertificateSpec low_spec = CaSpec("low");
  low_spec.issuer = "mid";
  CertificateSpec low_leaf;
  low_leaf.issuer = "low";
  EXPECT_NE(Verify({MakeCertificate(low_leaf, leaf_key_.public_key(), low_key),
                    MakeCertificate(low_spec, low_key.public_key(), mid_key), end}),
            "");
}

TEST_F(Svid, OnlyTheChainAsSigned) {
  const Bytes der = MakeDer({}, leaf_key_.public_key(), root_key_);
  size_t parsed = 0;
  for (size_t i = 0; i < der.size(); ++i) {
    for (const int bit : {0x01, 0x80}) {
      Bytes changed = der;
      changed[i] = static_cast<uint8_t>(changed[i] ^ bit);
      const auto c = Certificate::Parse(changed);
      if (!c.ok()) continue;
      ++parsed;
      EXPECT_NE(Verify({*c}), "") << "byte " << i;
    }
  }
  EXPECT_GT(parsed, 100U);
}

TEST_F(Svid, WrongKeyEmptyChainEmptyBundleLongChain) {
  EXPECT_NE(Verify({MakeCertificate({}, leaf_key_.public_key(), foreign_key_)}), "");
  EXPECT_EQ(Verify({}), "SVID: no certificate");
  EXPECT_EQ(Verify(std::vector<Certificate>(limits::kMaxChainCertificates + 1, Leaf())), "SVID: chain too long");
  bundles_.Set(X509Bundle::Create(Td("example.org"), {}).value());  // all keys revoked
  EXPECT_NE(Verify({Leaf()}), "");
  bundles_.Remove(Td("example.org"));
  EXPECT_NE(Verify({Leaf()}), "");
}

TEST_F(Svid, EndsOfValidity) {
  CertificateSpec s;
  s.not_after = now_;
  EXPECT_TRUE(VerifySvid({Leaf(s)}, bundles_, now_ - std::chrono::nanoseconds(1)).ok());
  EXPECT_FALSE(VerifySvid({Leaf(s)}, bundles_, now_).ok());
  EXPECT_TRUE(VerifySvid({Leaf()}, bundles_, Leaf().not_before()).ok());
}

TEST_F(Svid, ExpiredAuthorityBelievesNothing) {
  CertificateSpec old = CaSpec("issuer");
  old.not_after = At("2026-05-01T00:00:00Z");
  bundles_.Set(
      X509Bundle::Create(Td("example.org"), {MakeCertificate(old, root_key_.public_key(), root_key_)}).value());
  EXPECT_NE(Verify({Leaf()}), "");
}

TEST_F(Svid, AnchorThatSomebodyElseSigned) {
  const PrivateKey mid_key = PrivateKey::Generate(KeyType::kP256);
  CertificateSpec mid_spec = CaSpec("mid");
  mid_spec.issuer = "issuer";
  CertificateSpec leaf_spec;
  leaf_spec.issuer = "mid";
  bundles_.Set(
      X509Bundle::Create(Td("example.org"), {MakeCertificate(mid_spec, mid_key.public_key(), root_key_)}).value());
  EXPECT_EQ(Verify({MakeCertificate(leaf_spec, leaf_key_.public_key(), mid_key)}), "");
  EXPECT_NE(Verify({Leaf()}), "") << "and nothing above it";
}

TEST_F(Svid, BundlesHoldAuthoritiesOnly) {
  EXPECT_FALSE(X509Bundle::Create(Td("example.org"), {Leaf()}).ok());
  CertificateSpec s = CaSpec("x");
  s.key_usage = kDigitalSignature;
  EXPECT_FALSE(X509Bundle::Create(Td("example.org"), {Leaf(s)}).ok());
  EXPECT_FALSE(
      X509Bundle::Create(Td("example.org"), std::vector<Certificate>(limits::kMaxBundleAuthorities + 1, root_)).ok());
}

// SHA-1 collisions are cheap: a chain that rests on it is refused although the signature is mathematically right.
TEST_F(Svid, Sha1IsRefused) {
  Bytes der = MakeDer({}, leaf_key_.public_key(), root_key_);
  der::Reader outer(der);
  const ByteView body = outer.Expect(der::kSequence).value();
  der::Reader r(body);
  const der::Element tbs = r.Next().value();
  Bytes changed(tbs.whole.begin(), tbs.whole.end());
  const Bytes sha256 = EncodeSignatureAlgorithm(SignatureAlgorithm::kEs256);
  const Bytes sha1 = der::Sequence({der::Oid(oid::Make(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01))});
  // One byte shorter: rebuild the two lengths by re-encoding the body.
  const auto at = std::search(changed.begin(), changed.end(), sha256.begin(), sha256.end());
  ASSERT_NE(at, changed.end());
  const Bytes contents = der::Concat(
      {ByteView(changed).subspan(tbs.whole.size() - tbs.contents.size(),
                                 static_cast<size_t>(at - changed.begin()) - (tbs.whole.size() - tbs.contents.size())),
       sha1, ByteView(changed).subspan(static_cast<size_t>(at - changed.begin()) + sha256.size())});
  const Bytes new_tbs = der::Sequence({contents});
  const MdCtxPtr ctx(EVP_MD_CTX_new());
  Bytes signature(128);
  size_t size = signature.size();
  ASSERT_EQ(EVP_DigestSignInit(ctx.get(), nullptr, EVP_sha1(), nullptr, root_key_.handle()), 1);
  ASSERT_EQ(EVP_DigestSign(ctx.get(), signature.data(), &size, new_tbs.data(), new_tbs.size()), 1);
  signature.resize(size);
  const auto c = Certificate::Parse(der::Sequence({new_tbs, sha1, der::BitString(signature)}));
  ASSERT_TRUE(c.ok()) << c.error().ToString();
  EXPECT_FALSE(c->IsSignedBy(root_key_.public_key()));
  EXPECT_NE(Verify({*c}), "");
}

}  // namespace
}  // namespace hexr::crypto
