// What others accept and refuse as an X.509-SVID: the sentences of X509-SVID.md and RFC 5280, and the cases that
// go-spiffe and SPIRE test themselves with, on certificates made here. What svid_test.cc has already is not repeated.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "crypto/svid.h"
#include "crypto/testing/test_certificates.h"

namespace hexr::crypto {
namespace {

using testing::CaSpec;
using testing::CertificateSpec;
using testing::MakeCertificate;

Bytes DnsName(std::string_view name) { return der::Text(der::ContextPrimitive(2), name); }
Bytes MailName(std::string_view name) { return der::Text(der::ContextPrimitive(1), name); }
Bytes IpName(std::string_view bytes) { return der::Text(der::ContextPrimitive(7), bytes); }
// RFC 5280 4.2.1.10: the URIs below one host, allowed (0) or not (1).
Bytes UriConstraint(uint8_t permitted_or_excluded, std::string_view host) {
  const Bytes subtree = der::Sequence({der::Text(der::ContextPrimitive(6), host)});
  return EncodeExtension(oid::kNameConstraints, true,
                         der::Sequence({der::Tlv(der::ContextConstructed(permitted_or_excluded), {subtree})}));
}

class SvidStandard : public ::testing::Test {
 protected:
  static WallTime On(std::string_view t) { return ParseRfc3339(t).value(); }
  static X509Bundle BundleOf(const char* trust_domain, const CertificateSpec& root, const PrivateKey& key) {
    return X509Bundle::Create(TrustDomain::Parse(trust_domain).value(), {MakeCertificate(root, key.public_key(), key)})
        .value();
  }
  SvidStandard() { bundles_.Set(BundleOf("example.org", CaSpec("issuer"), root_)); }
  Certificate Leaf(const CertificateSpec& s = {}) const { return MakeCertificate(s, leaf_.public_key(), root_); }
  // Empty: accepted.
  std::string Why(const std::vector<Certificate>& chain) const {
    const auto svid = VerifySvid(chain, bundles_, On("2026-06-01T00:00:00Z"));
    return svid.ok() ? "" : svid.error().message();
  }

  const PrivateKey root_ = PrivateKey::Generate(KeyType::kP256), middle_ = PrivateKey::Generate(KeyType::kP256),
                   leaf_ = PrivateKey::Generate(KeyType::kP256);
  X509BundleSet bundles_;
};

TEST_F(SvidStandard, WhatALeafMayHaveBesideItsId) {
  const struct {
    const char* what;
    bool accepted;
    std::function<void(CertificateSpec&)> change;
  } cases[] = {
      {"2: any number of other names, DNS among them", true,
       [](CertificateSpec& s) {
         s.other_names = der::Concat({DnsName("db.example.org"), DnsName("db"), MailName("db@example.org"),
                                      IpName(std::string_view("\x7f\0\0\1", 4))});
       }},
      {"2: but no other URI, whichever comes first", false,
       [](CertificateSpec& s) { s.uris.insert(s.uris.begin(), "https://db.example.org"); }},
      {"2: a name of another kind is no URI", false,
       [](CertificateSpec& s) {
         s.other_names = DnsName("spiffe://example.org/agent");
         s.uris.clear();
       }},
      {"3.1: no subject, and the names critical", true,
       [](CertificateSpec& s) {
         s.subject.clear();
         s.names_critical = true;
       }},
      {"3.1: a subject, and the names critical", true, [](CertificateSpec& s) { s.names_critical = true; }},
      {"4.3: key usage with keyEncipherment", true,
       [](CertificateSpec& s) { s.key_usage = kDigitalSignature | kKeyEncipherment | kKeyAgreement; }},
      {"4.3: key usage of digitalSignature alone", true, [](CertificateSpec& s) { s.key_usage = kDigitalSignature; }},
      {"4.3: keyEncipherment alone signs nothing", false, [](CertificateSpec& s) { s.key_usage = kKeyEncipherment; }},
      {"4.3: keyCertSign and cRLSign together", false,
       [](CertificateSpec& s) { s.key_usage = kDigitalSignature | kKeyCertSign | kCrlSign; }},
      {"4.4: extended key usage may be critical", true,
       [](CertificateSpec& s) { s.extended_key_usage_critical = true; }},
      {"4.4: critical, and of one side alone", false,
       [](CertificateSpec& s) {
         s.extended_key_usage_critical = true;
         s.client_auth = false;
       }},
      {"5.2 asks nobody who validates whether key usage is critical", true,
       [](CertificateSpec& s) { s.key_usage_critical = false; }},
      {"5.2: a scheme that only looks like it", false,
       [](CertificateSpec& s) { s.uris = {"sparfe://example.org/workload"}; }},
      {"SPIFFE-ID 2.1: a port", false, [](CertificateSpec& s) { s.uris = {"spiffe://example.org:443/workload"}; }},
      {"SPIFFE-ID 2.1: a user", false, [](CertificateSpec& s) { s.uris = {"spiffe://root@example.org/workload"}; }},
      {"SPIFFE-ID 2.2: a trailing slash", false,
       [](CertificateSpec& s) { s.uris = {"spiffe://example.org/workload/"}; }},
      {"SPIFFE-ID 2.2: an empty part", false, [](CertificateSpec& s) { s.uris = {"spiffe://example.org//workload"}; }},
      {"SPIFFE-ID 2: a query", false, [](CertificateSpec& s) { s.uris = {"spiffe://example.org/workload?x"}; }},
      {"SPIFFE-ID 2.2: percent and digits", false,
       [](CertificateSpec& s) { s.uris = {"spiffe://example.org/%77orkload"}; }},
      {"SPIFFE-ID 2.1: a trust domain in capitals", false,
       [](CertificateSpec& s) { s.uris = {"spiffe://Example.org/workload"}; }},
      {"SPIFFE-ID 2.2: capitals, dots and dashes in the path", true,
       [](CertificateSpec& s) { s.uris = {"spiffe://example.org/Work.load/a-b_c"}; }},
  };
  for (const auto& c : cases) {
    CertificateSpec s;
    c.change(s);
    const std::string why = Why({Leaf(s)});
    EXPECT_EQ(why.empty(), c.accepted) << c.what << ": " << why;
  }
}

TEST_F(SvidStandard, LeavesOfEveryKindOfKey) {
  for (const KeyType type : {KeyType::kP256, KeyType::kP384, KeyType::kP521, KeyType::kRsa}) {
    const PrivateKey key = PrivateKey::Generate(type);
    EXPECT_EQ(Why({MakeCertificate({}, key.public_key(), root_)}), "") << static_cast<int>(type);
  }
}

TEST_F(SvidStandard, PathsThatAreValidAndOthers) {
  const auto chain_of = [this](const std::function<void(CertificateSpec&)>& change) {
    CertificateSpec middle = CaSpec("middle"), leaf;
    middle.issuer = "issuer";
    leaf.issuer = "middle";
    change(middle);
    return std::vector<Certificate>{MakeCertificate(leaf, leaf_.public_key(), middle_),
                                    MakeCertificate(middle, middle_.public_key(), root_)};
  };
  const struct {
    const char* what;
    bool accepted;
    std::function<void(CertificateSpec&)> change;
  } cases[] = {
      {"3.2: a signing certificate is an SVID itself, or not", true, [](CertificateSpec&) {}},
      {"3.2: it has the ID of its trust domain", true, [](CertificateSpec& s) { s.uris = {"spiffe://example.org"}; }},
      {"3.2: it may be of another trust domain", true, [](CertificateSpec& s) { s.uris = {"spiffe://other.org"}; }},
      {"5.2 asks nobody who validates for its path", true,
       [](CertificateSpec& s) { s.uris = {"spiffe://example.org/ca"}; }},
      {"4.1: cA has to be there", false, [](CertificateSpec& s) { s.is_ca.reset(); }},
      {"4.3: cRLSign signs no certificate", false, [](CertificateSpec& s) { s.key_usage = kCrlSign; }},
      {"4.3: no key usage forbids nothing", true, [](CertificateSpec& s) { s.key_usage.reset(); }},
      {"4.2: a constraint to our trust domain", true,
       [](CertificateSpec& s) { s.extra_extension = UriConstraint(0, "example.org"); }},
      {"4.2: a constraint to another trust domain", false,
       [](CertificateSpec& s) { s.extra_extension = UriConstraint(0, "other.org"); }},
      {"4.2: to the hosts below ours", false,
       [](CertificateSpec& s) { s.extra_extension = UriConstraint(0, ".example.org"); }},
      {"4.2: ours is left out", false, [](CertificateSpec& s) { s.extra_extension = UriConstraint(1, "example.org"); }},
      {"4.2: another one is left out", true,
       [](CertificateSpec& s) { s.extra_extension = UriConstraint(1, "other.org"); }},
      {"RFC 5280 6.1: not valid yet", false, [](CertificateSpec& s) { s.not_before = On("2026-06-02T00:00:00Z"); }},
      {"RFC 5280 6.1: names that do not chain", false, [](CertificateSpec& s) { s.subject = "another"; }},
  };
  for (const auto& c : cases) {
    const std::string why = Why(chain_of(c.change));
    EXPECT_EQ(why.empty(), c.accepted) << c.what << ": " << why;
  }
}

// 4.2, where the authority itself is held to names: what it signs for others' is worth nothing.
TEST_F(SvidStandard, AnAuthorityOfTheBundleIsHeldToItsConstraintsToo) {
  CertificateSpec root = CaSpec("issuer");
  root.extra_extension = UriConstraint(0, "other.org");
  bundles_.Set(BundleOf("example.org", root, root_));
  EXPECT_NE(Why({Leaf()}), "");
  root.extra_extension = UriConstraint(0, "example.org");
  bundles_.Set(BundleOf("example.org", root, root_));
  EXPECT_EQ(Why({Leaf()}), "");
}

// Trust Domain and Bundle 4.1.3 and 5.2: which bundle is asked follows from the leaf's ID and from nothing else.
TEST_F(SvidStandard, TheBundleIsThatOfTheLeafsTrustDomain) {
  const PrivateKey theirs = PrivateKey::Generate(KeyType::kP256);
  CertificateSpec leaf;
  leaf.uris = {"spiffe://other.org/workload"};
  EXPECT_NE(Why({Leaf(leaf)}), "") << "no bundle of that name, though ours has its authority";
  bundles_.Set(BundleOf("other.org", CaSpec("issuer"), theirs));
  EXPECT_NE(Why({Leaf(leaf)}), "") << "its own authority did not sign it";
  EXPECT_EQ(Why({MakeCertificate(leaf, leaf_.public_key(), theirs)}), "");
  EXPECT_NE(Why({MakeCertificate({}, leaf_.public_key(), theirs)}), "");
  bundles_.Set(BundleOf("other.org", CaSpec("issuer"), root_));
  EXPECT_EQ(Why({Leaf(leaf)}), "") << "one key in two trust domains is theirs to answer for";
  bundles_.Set(X509Bundle::Create(TrustDomain::Parse("other.org").value(), {}).value());
  EXPECT_NE(Why({Leaf(leaf)}), "") << "an empty bundle has revoked everything";
  EXPECT_EQ(Why({Leaf()}), "");
}

// Others put more into a chain than its path needs, and in any order behind the leaf. Who stands first authenticates.
TEST_F(SvidStandard, TheFirstCertificateIsTheLeaf) {
  CertificateSpec of_another;
  of_another.uris = {"spiffe://example.org/another"};
  const Certificate another = Leaf(of_another), root = MakeCertificate(CaSpec("issuer"), root_.public_key(), root_);
  EXPECT_EQ(Why({Leaf(), another}), "");
  EXPECT_EQ(Why({Leaf(), Leaf(), root}), "");
  EXPECT_NE(Why({root, Leaf()}), "");
  const auto first = VerifySvid({another, Leaf()}, bundles_, On("2026-06-01T00:00:00Z"));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->id().path(), "/another");
  EXPECT_NE(Why({MakeCertificate({}, leaf_.public_key(), leaf_)}), "") << "signed by itself";
}

}  // namespace
}  // namespace hexr::crypto
