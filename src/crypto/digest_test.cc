#include "crypto/digest.h"

#include <gtest/gtest.h>

namespace hexr::crypto {
namespace {

TEST(Digest, Sha256Vectors) {  // FIPS 180-4 examples
  EXPECT_EQ(HexEncode(Sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(HexEncode(Sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256({AsBytes("a"), AsBytes(""), AsBytes("bc")}), Sha256("abc"));
}

TEST(Digest, HasherEqualsOneShotAndStartsAfresh) {
  Sha256Hasher h;
  EXPECT_EQ(h.Update("a").Update("bc").Finish(), Sha256("abc"));
  EXPECT_EQ(h.Update("abc").Finish(), Sha256("abc"));
  Sha256Hasher moved = std::move(h);
  EXPECT_EQ(moved.Update("").Finish(), Sha256(""));
}

TEST(Digest, HmacVectors) {  // RFC 4231, cases 1 and 2
  EXPECT_EQ(HexEncode(HmacSha256(Bytes(20, 0x0b), AsBytes("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(HexEncode(HmacSha256(AsBytes("Jefe"), AsBytes("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_NE(HmacSha256({}, AsBytes("a")), HmacSha256({}, AsBytes("b")));
}

TEST(Digest, HkdfVector) {  // RFC 5869, A.1
  const Secret key = Secret::Copy(Bytes(22, 0x0b));
  const Bytes salt = HexDecode("000102030405060708090a0b0c").value();
  const Bytes info = HexDecode("f0f1f2f3f4f5f6f7f8f9").value();
  const Secret okm = HkdfSha256(key, salt, AsText(info), 42);
  EXPECT_EQ(HexEncode(okm.Reveal(RevealToken::For("test"))),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
}

TEST(Digest, HkdfWithoutSaltAndInfo) {  // RFC 5869, A.3
  const Secret okm = HkdfSha256(Secret::Copy(Bytes(22, 0x0b)), {}, "", 42);
  EXPECT_EQ(HexEncode(okm.Reveal(RevealToken::For("test"))),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

}  // namespace
}  // namespace hexr::crypto
