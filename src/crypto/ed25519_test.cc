#include "crypto/ed25519.h"

#include <gtest/gtest.h>

namespace hexr::crypto {
namespace {

Secret SecretFromHex(std::string_view hex) { return Secret::Copy(HexDecode(hex).value()); }

TEST(Ed25519, Rfc8032Vectors) {  // RFC 8032, 7.1, tests 1 and 2
  const auto k1 =
      Ed25519PrivateKey::FromSeed(SecretFromHex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"));
  ASSERT_TRUE(k1.ok());
  EXPECT_EQ(HexEncode(k1->public_key().bytes()), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  EXPECT_EQ(HexEncode(k1->Sign({})),
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f059"
            "5bbe246551"
            "41438e7a100b");
  const auto k2 =
      Ed25519PrivateKey::FromSeed(SecretFromHex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
  ASSERT_TRUE(k2.ok());
  EXPECT_EQ(HexEncode(k2->Sign(Bytes{0x72})),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4"
            "302aeeb00d"
            "291612bb0c00");
}

TEST(Ed25519, SignsAndRefusesEverythingElse) {
  SystemRandom random;
  const Ed25519PrivateKey key = Ed25519PrivateKey::Generate(random);
  const Ed25519Signature good = key.Sign(AsBytes("message"));
  EXPECT_TRUE(key.public_key().Verify(AsBytes("message"), good));
  EXPECT_FALSE(key.public_key().Verify(AsBytes("messagf"), good));
  EXPECT_FALSE(Ed25519PrivateKey::Generate(random).public_key().Verify(AsBytes("message"), good));
  EXPECT_FALSE(key.public_key().Verify(AsBytes("message"), ByteView(good).first(63)));
  EXPECT_FALSE(key.public_key().Verify(AsBytes("message"), {}));
  for (size_t bit = 0; bit < 512; bit += 7) {
    Ed25519Signature bad = good;
    bad[bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
    EXPECT_FALSE(key.public_key().Verify(AsBytes("message"), bad));
  }
  // S + L verifies under a lax rule: malleability, RFC 8032 8.4.
  static constexpr std::array<uint8_t, 32> kL = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                                 0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                                                 0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
  Ed25519Signature malleable = good;
  unsigned carry = 0;
  for (size_t i = 0; i < 32; ++i) {
    carry += malleable[32 + i] + kL[i];
    malleable[32 + i] = static_cast<uint8_t>(carry);
    carry >>= 8;
  }
  EXPECT_FALSE(key.public_key().Verify(AsBytes("message"), malleable));
}

TEST(Ed25519, SeedRoundTripAndSizes) {
  SystemRandom random;
  const Ed25519PrivateKey key = Ed25519PrivateKey::Generate(random);
  EXPECT_EQ(Ed25519PrivateKey::FromSeed(key.Seed())->public_key(), key.public_key());
  EXPECT_FALSE(Ed25519PrivateKey::FromSeed(Secret::Copy(Bytes(31))).ok());
  EXPECT_FALSE(Ed25519PublicKey::FromBytes(Bytes(33)).ok());
  EXPECT_EQ(*Ed25519PublicKey::FromBytes(key.public_key().bytes()), key.public_key());
}

}  // namespace
}  // namespace hexr::crypto
