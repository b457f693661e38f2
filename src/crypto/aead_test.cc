#include "crypto/aead.h"

#include <gtest/gtest.h>

namespace hexr::crypto {
namespace {

constexpr RevealToken kTest = RevealToken::For("test");

TEST(Aead, XaesVectors) {  // C2SP XAES-256-GCM, "Test Vectors": most significant bit of L clear, then set
  const struct {
    uint8_t key;
    std::string_view aad, sealed;
  } cases[] = {
      {0x01, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
      {0x03, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
  };
  for (const auto& c : cases) {
    const Secret key = Secret::Copy(Bytes(32, c.key));
    const ByteView nonce = AsBytes("ABCDEFGHIJKLMNOPQRSTUVWX");
    const std::string_view text = "XAES-256-GCM";
    Bytes sealed(text.size() + 16);
    XaesSeal(key, nonce, AsBytes(text), AsBytes(c.aad), sealed);
    EXPECT_EQ(HexEncode(sealed), c.sealed);
    Bytes opened(text.size());
    EXPECT_TRUE(XaesOpen(key, nonce, sealed, AsBytes(c.aad), opened));
    EXPECT_EQ(AsText(opened), text);
  }
}

TEST(Aead, OpensOnlyWhatWasSealedHere) {
  SystemRandom random;
  const AeadKey key = AeadKey::Generate(random);
  for (const size_t n : {0U, 1U, 16U, 1000U}) {
    const Bytes plain(n, 0x42);
    const Bytes sealed = key.Seal(plain, "here", random);
    EXPECT_EQ(sealed.size(), n + AeadKey::kOverheadBytes);
    EXPECT_TRUE(key.Open(sealed, "here")->Equals(plain));
    EXPECT_EQ(key.Open(sealed, "there").error().code(), ErrorCode::kDataLoss);
    EXPECT_EQ(AeadKey::Generate(random).Open(sealed, "here").error().code(), ErrorCode::kFailedPrecondition);
    for (size_t i = 0; i < sealed.size(); ++i) {
      Bytes changed = sealed;
      changed[i] ^= 0x10;
      EXPECT_FALSE(key.Open(changed, "here").ok()) << i;
      EXPECT_FALSE(key.Open(ByteView(sealed).first(i), "here").ok()) << i;
    }
    Bytes longer = sealed;
    longer.push_back(0);
    EXPECT_EQ(key.Open(longer, "here").error().code(), ErrorCode::kDataLoss);
  }
  Bytes later = key.Seal(Bytes{1}, "", random);
  later[0] = 2;
  EXPECT_EQ(key.Open(later, "").error().code(), ErrorCode::kUnimplemented);
}

TEST(Aead, SameTextTwiceLooksDifferent) {
  SystemRandom random;
  const AeadKey key = AeadKey::Generate(random);
  EXPECT_NE(key.Seal(AsBytes("x"), "c", random), key.Seal(AsBytes("x"), "c", random));
}

TEST(Aead, KeysTravelAsSecrets) {
  SystemRandom random;
  const AeadKey key = AeadKey::Generate(random);
  const Bytes sealed = key.Seal(Secret::Copy(AsBytes("v")), "c", random);
  const auto again = AeadKey::FromSecret(key.key().Clone());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->key_id(), key.key_id());
  EXPECT_EQ(again->Open(sealed, "c")->RevealText(kTest), "v");
  EXPECT_FALSE(AeadKey::FromSecret(Secret::Copy(Bytes(16))).ok());
}

}  // namespace
}  // namespace hexr::crypto
