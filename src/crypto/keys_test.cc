#include "crypto/keys.h"

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/x509.h>

#include "base/limits/keys.h"
#include "crypto/der.h"
#include "crypto/oid.h"
#include "crypto/openssl_ptr.h"

namespace hexr::crypto {
namespace {

constexpr RevealToken kKeysTest = RevealToken::For("test");
constexpr SignatureAlgorithm kAll[] = {
    SignatureAlgorithm::kEs256, SignatureAlgorithm::kEs384, SignatureAlgorithm::kEs512,
    SignatureAlgorithm::kRs256, SignatureAlgorithm::kRs384, SignatureAlgorithm::kRs512,
    SignatureAlgorithm::kPs256, SignatureAlgorithm::kPs384, SignatureAlgorithm::kPs512};

class Keys : public ::testing::TestWithParam<KeyType> {};
INSTANTIATE_TEST_SUITE_P(All, Keys, ::testing::Values(KeyType::kP256, KeyType::kP384, KeyType::kP521, KeyType::kRsa));

TEST_P(Keys, SignAndVerifyInBothForms) {
  const PrivateKey key = PrivateKey::Generate(GetParam());
  const PrivateKey other = PrivateKey::Generate(GetParam());
  for (const SignatureAlgorithm a : kAll) {
    const auto signature = key.Sign(a, AsBytes("m"));
    ASSERT_EQ(signature.ok(), Fits(a, GetParam())) << AlgorithmName(a);
    if (!signature.ok()) continue;
    EXPECT_TRUE(key.public_key().Verify(a, AsBytes("m"), *signature));
    EXPECT_FALSE(key.public_key().Verify(a, AsBytes("n"), *signature));
    EXPECT_FALSE(other.public_key().Verify(a, AsBytes("m"), *signature));
    EXPECT_FALSE(key.public_key().Verify(a, AsBytes("m"), {}));
    for (size_t i = 0; i < signature->size(); i += 5) {
      Bytes bad = *signature;
      bad[i] ^= 1;
      EXPECT_FALSE(key.public_key().Verify(a, AsBytes("m"), bad));
    }
    for (const SignatureAlgorithm b : kAll) {
      if (b != a) {
        EXPECT_FALSE(key.public_key().Verify(b, AsBytes("m"), *signature)) << AlgorithmName(b);
      }
    }
    const Bytes der_form = key.SignDer(a, AsBytes("m")).value();
    EXPECT_TRUE(key.public_key().VerifyDer(a, AsBytes("m"), der_form));
    if (GetParam() != KeyType::kRsa) {
      EXPECT_FALSE(key.public_key().Verify(a, AsBytes("m"), der_form));
    }
  }
}

TEST_P(Keys, Pkcs8RoundTripAndOpenSslAgrees) {
  const PrivateKey key = PrivateKey::Generate(GetParam());
  const Secret der = key.ToPkcs8();
  const auto again = PrivateKey::FromPkcs8(der);
  ASSERT_TRUE(again.ok()) << again.error().ToString();
  EXPECT_EQ(again->public_key(), key.public_key());
  EXPECT_TRUE(
      key.public_key().Verify(DefaultAlgorithm(GetParam()), {}, again->Sign(DefaultAlgorithm(GetParam()), {}).value()));
  const std::unique_ptr<PKCS8_PRIV_KEY_INFO, OpenSslFree<PKCS8_PRIV_KEY_INFO_free>> info(EVP_PKEY2PKCS8(key.handle()));
  unsigned char* out = nullptr;
  const int size = i2d_PKCS8_PRIV_KEY_INFO(info.get(), &out);
  EXPECT_TRUE(der.Equals({out, static_cast<size_t>(size)})) << "our encoding is not OpenSSL's";
  OPENSSL_free(out);
}

TEST_P(Keys, SpkiRoundTripAndParts) {
  const PublicKey key = PrivateKey::Generate(GetParam()).public_key();
  EXPECT_EQ(*PublicKey::FromSpki(key.spki()), key);
  const PublicKey::Parts parts = key.parts();
  const auto again = GetParam() == KeyType::kRsa ? PublicKey::FromRsa(parts.first, parts.second)
                                                 : PublicKey::FromEcPoint(GetParam(), parts.first, parts.second);
  EXPECT_EQ(*again, key);
  for (size_t cut = 0; cut < key.spki().size(); cut += 3) {
    EXPECT_FALSE(PublicKey::FromSpki(ByteView(key.spki()).first(cut)).ok());
  }
  Bytes longer = key.spki();
  longer.push_back(0);
  EXPECT_FALSE(PublicKey::FromSpki(longer).ok());
}

TEST(KeysRefuse, PointsOffTheCurve) {
  const PublicKey key = PrivateKey::Generate(KeyType::kP256).public_key();
  const PublicKey::Parts parts = key.parts();
  Bytes y(parts.second.begin(), parts.second.end());
  y.back() ^= 1;
  EXPECT_FALSE(PublicKey::FromEcPoint(KeyType::kP256, parts.first, y).ok());
  EXPECT_FALSE(PublicKey::FromEcPoint(KeyType::kP384, parts.first, parts.second).ok());
  EXPECT_FALSE(PublicKey::FromEcPoint(KeyType::kP256, Bytes(32), Bytes(32)).ok());
  EXPECT_FALSE(PublicKey::FromEcPoint(KeyType::kRsa, parts.first, parts.second).ok());
}

TEST(KeysRefuse, RsaSizesAndExponents) {
  const auto with = [](size_t modulus_bytes, const Bytes& exponent) {
    Bytes n(modulus_bytes, 0xff);
    return PublicKey::FromRsa(n, exponent);
  };
  const Bytes f4 = {1, 0, 1};
  EXPECT_TRUE(with(limits::kMinRsaBits / 8, f4).ok());
  EXPECT_TRUE(with(limits::kMaxRsaBits / 8, f4).ok());
  EXPECT_FALSE(with(limits::kMinRsaBits / 8 - 1, f4).ok());
  EXPECT_FALSE(with(limits::kMaxRsaBits / 8 + 1, f4).ok());
  EXPECT_FALSE(with(256, {3}).ok());
  EXPECT_FALSE(with(256, {1, 0, 2}).ok());
  EXPECT_FALSE(with(256, Bytes(9, 0xff)).ok());
  EXPECT_FALSE(with(256, {}).ok());
  EXPECT_FALSE(with(256, {0, 1, 0, 1}).ok());
}

TEST(KeysRefuse, OtherKindsOfKey) {
  const PkeyPtr ed(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  const PkeyPtr k1(EVP_EC_gen("secp256k1"));
  for (EVP_PKEY* key : {ed.get(), k1.get()}) {
    unsigned char* out = nullptr;
    const int size = i2d_PUBKEY(key, &out);
    EXPECT_FALSE(PublicKey::FromSpki({out, static_cast<size_t>(size)}).ok());
    OPENSSL_free(out);
  }
}

TEST(KeysRefuse, PrivateKeyWithAnotherPublicHalf) {
  const Secret mine = PrivateKey::Generate(KeyType::kP256).ToPkcs8();
  const Secret other = PrivateKey::Generate(KeyType::kP256).ToPkcs8();
  const ByteView a = mine.Reveal(kKeysTest), b = other.Reveal(kKeysTest);
  Bytes mixed(a.begin(), a.end());
  std::copy(b.end() - 64, b.end(), mixed.end() - 64);
  EXPECT_FALSE(PrivateKey::FromPkcs8(Secret::Copy(mixed)).ok());
  EXPECT_FALSE(PrivateKey::FromPkcs8(Secret::Copy(a.first(a.size() - 1))).ok());
  Bytes longer(a.begin(), a.end());
  longer.push_back(0);
  EXPECT_FALSE(PrivateKey::FromPkcs8(Secret::Copy(longer)).ok());
}

// ECDSA corner cases: zero, the group order and above, and lengths that parsers have mixed up.
TEST(KeysRefuse, DegenerateEcdsaSignatures) {
  const PublicKey key = PrivateKey::Generate(KeyType::kP256).public_key();
  const Bytes order = HexDecode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551").value();
  const Bytes zero(32),
      one =
          [] {
            Bytes b(32);
            b[31] = 1;
            return b;
          }(),
      top(32, 0xff);
  for (const Bytes* r : {&zero, &one, &order, &top}) {
    for (const Bytes* s : {&zero, &one, &order, &top}) {
      EXPECT_FALSE(key.Verify(SignatureAlgorithm::kEs256, AsBytes("m"), der::Concat({*r, *s})));
    }
  }
  EXPECT_FALSE(key.Verify(SignatureAlgorithm::kEs256, AsBytes("m"), Bytes(63)));
  EXPECT_FALSE(key.Verify(SignatureAlgorithm::kEs256, AsBytes("m"), Bytes(65)));
  EXPECT_FALSE(key.Verify(SignatureAlgorithm::kEs256, AsBytes("m"), Bytes(96)));
}

// RFC 7518 3.4: ES384 is P-384. A mathematically right signature by a P-256 key with SHA-384 is none of JOSE's.
TEST(KeysRefuse, AlgorithmOfAnotherCurve) {
  const PrivateKey key = PrivateKey::Generate(KeyType::kP256);
  const MdCtxPtr ctx(EVP_MD_CTX_new());
  Bytes signature(128);
  size_t size = signature.size();
  ASSERT_EQ(EVP_DigestSignInit(ctx.get(), nullptr, EVP_sha384(), nullptr, key.handle()), 1);
  ASSERT_EQ(EVP_DigestSign(ctx.get(), signature.data(), &size, AsBytes("m").data(), 1), 1);
  signature.resize(size);
  EXPECT_TRUE(key.public_key().VerifyDer(SignatureAlgorithm::kEs384, AsBytes("m"), signature)) << "X.509 allows it";
  der::Reader outer(signature);
  der::Reader numbers(outer.Expect(der::kSequence).value());
  Bytes raw(64);
  for (size_t half = 0; half < 2; ++half) {
    const ByteView v = numbers.Unsigned().value();
    std::copy(v.begin(), v.end(), raw.begin() + static_cast<std::ptrdiff_t>(32 * (half + 1) - v.size()));
  }
  EXPECT_FALSE(key.public_key().Verify(SignatureAlgorithm::kEs384, AsBytes("m"), raw));
}

TEST(Algorithms, NamesAreExact) {
  for (const SignatureAlgorithm a : kAll) EXPECT_EQ(*ParseAlgorithm(AlgorithmName(a)), a);
  for (const char* bad : {"", "none", "None", "HS256", "EdDSA", "es256", "ES256 ", "RSA-OAEP"}) {
    EXPECT_FALSE(ParseAlgorithm(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace hexr::crypto
