#include "crypto/x509.h"

#include <gtest/gtest.h>

#include "base/limits/keys.h"
#include "crypto/testing/test_certificates.h"

namespace hexr::crypto {
namespace {

using testing::CaSpec;
using testing::CertificateSpec;
using testing::MakeCertificate;
using testing::MakeDer;

class X509Parse : public ::testing::Test {
 protected:
  const PrivateKey key_ = PrivateKey::Generate(KeyType::kP256);
  bool Parses(const CertificateSpec& s) const { return Certificate::Parse(MakeDer(s, key_.public_key(), key_)).ok(); }
};

TEST_F(X509Parse, FieldsAsWritten) {
  CertificateSpec s = CaSpec("root");
  s.path_length = 3;
  s.uris = {"spiffe://example.org"};
  const Certificate c = MakeCertificate(s, key_.public_key(), key_);
  EXPECT_TRUE(c.is_ca());
  EXPECT_EQ(c.path_length(), 3U);
  EXPECT_EQ(c.key_usage(), kKeyCertSign | kCrlSign);
  EXPECT_TRUE(c.key_usage_critical());
  EXPECT_FALSE(c.has_extended_key_usage());
  EXPECT_EQ(c.uris(), s.uris);
  EXPECT_EQ(c.not_after(), s.not_after);
  EXPECT_EQ(HexEncode(c.serial()), "1267");
  EXPECT_EQ(*c.public_key(), key_.public_key());
  EXPECT_TRUE(c.IsSignedBy(key_.public_key()));
  EXPECT_FALSE(c.IsSignedBy(PrivateKey::Generate(KeyType::kP256).public_key()));
  EXPECT_FALSE(c.IsSignedBy(PrivateKey::Generate(KeyType::kRsa).public_key()));
}

TEST_F(X509Parse, Refuses) {
  EXPECT_TRUE(Parses({}));
  CertificateSpec s;
  s.version = 1;
  EXPECT_FALSE(Parses(s)) << "version 2";
  s = {};
  s.extra_extension = EncodeExtension(oid::kKeyUsage, true, der::BitString(Bytes{0x80}, 7));
  EXPECT_FALSE(Parses(s)) << "key usage twice";
  s = {};
  s.is_ca = false;
  s.path_length = 1;
  EXPECT_FALSE(Parses(s)) << "path length without cA";
  s = {};
  s.not_after = s.not_before - std::chrono::seconds(1);
  EXPECT_FALSE(Parses(s)) << "ends before it begins";
  for (const Bytes& usage :
       {der::BitString(Bytes{0x80}, 0), der::BitString(Bytes{0x00}, 0), der::BitString(Bytes{0x81}, 7),
        der::BitString(Bytes{}), der::BitString(Bytes{1, 2, 3}), der::OctetString(Bytes{0x80})}) {
    s = {};
    s.key_usage.reset();
    s.extra_extension = EncodeExtension(oid::kKeyUsage, true, usage);
    EXPECT_FALSE(Parses(s)) << HexEncode(usage);
  }
  for (const std::string& uri :
       {std::string("spiffe://a/b\0c", 14), std::string("spiffe://a/\xc3\xa9"), std::string("a b"), std::string()}) {
    s = {};
    s.uris = {uri};
    EXPECT_FALSE(Parses(s)) << uri;
  }
  s = {};
  s.uris.assign(limits::kMaxCertificateNames, "spiffe://a/b");
  EXPECT_TRUE(Parses(s));
  s.uris.push_back("spiffe://a/b");
  EXPECT_FALSE(Parses(s)) << "too many names";
  s = {};
  s.extra_extension = EncodeExtension(Bytes{0x2a, 0x03}, false, Bytes(limits::kMaxCertificateBytes));
  EXPECT_FALSE(Parses(s)) << "too large";
}

TEST_F(X509Parse, NothingBehindTheEndAndNothingMissing) {
  const Bytes der = MakeDer({}, key_.public_key(), key_);
  for (size_t n = 0; n < der.size(); ++n) EXPECT_FALSE(Certificate::Parse(ByteView(der).first(n)).ok()) << n;
  Bytes longer = der;
  longer.push_back(0);
  EXPECT_FALSE(Certificate::Parse(longer).ok());
}

TEST_F(X509Parse, Chains) {
  const Certificate c = MakeCertificate({}, key_.public_key(), key_);
  const std::vector<Certificate> three(3, c);
  EXPECT_EQ(*Certificate::ParseChain(EncodeChain(three)), three);
  EXPECT_EQ(*Certificate::ParsePemChain(EncodePemChain(three)), three);
  EXPECT_FALSE(Certificate::ParseChain({}).ok());
  EXPECT_FALSE(Certificate::ParsePemChain("").ok());
  const std::vector<Certificate> many(limits::kMaxChainCertificates + 1, c);
  EXPECT_FALSE(Certificate::ParseChain(EncodeChain(many)).ok());
  EXPECT_FALSE(Certificate::ParsePemChain(EncodePemChain(many)).ok());
  Bytes cut = EncodeChain(three);
  cut.pop_back();
  EXPECT_FALSE(Certificate::ParseChain(cut).ok());
}

}  // namespace
}  // namespace hexr::crypto
