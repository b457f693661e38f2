#include "crypto/aead_stream.h"

#include <gtest/gtest.h>

namespace hexr::crypto {
namespace {

// GCM test case 14 of McGrew and Viega ("The Galois/Counter Mode of Operation"): zero key, zero nonce, one zero block.
TEST(AeadStream, PublishedVector) {
  const Secret key = Secret::Copy(Bytes(32, 0));
  AeadStream seal = AeadStream::ForSealing(key).value();
  Bytes out(32);
  seal.Seal(0, {}, Bytes(16, 0), out);
  EXPECT_EQ(HexEncode(out), "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
}

TEST(AeadStream, OpensWhatWasSealedInItsPlaceOnly) {
  SeededRandom random(1);
  const Secret key = Secret::Random(32, random);
  AeadStream seal = AeadStream::ForSealing(key).value();
  AeadStream open = AeadStream::ForOpening(key).value();
  const Bytes aad = ToBytes("place");
  for (uint64_t i = 0; i < 3; ++i) {
    const Bytes text(static_cast<size_t>(i) * 100, static_cast<uint8_t>(i));
    Bytes sealed(text.size() + AeadStream::kTagBytes);
    seal.Seal(i * 7, aad, text, sealed);
    Bytes out(text.size());
    EXPECT_TRUE(open.Open(i * 7, aad, sealed, out));
    EXPECT_EQ(out, text);
    EXPECT_FALSE(open.Open(i * 7 + 1, aad, sealed, out));
    EXPECT_EQ(out, Bytes(text.size(), 0));
    EXPECT_FALSE(open.Open(i * 7, ToBytes("other"), sealed, out));
    sealed[sealed.size() / 2] ^= 1;
    EXPECT_FALSE(open.Open(i * 7, aad, sealed, out));
    EXPECT_FALSE(open.Open(i * 7, aad, Bytes(15), {}));
  }
  EXPECT_FALSE(AeadStream::ForSealing(Secret::Copy(Bytes(16, 0))).ok());
}

TEST(AeadStreamDeathTest, ANonceIsNeverUsedTwice) {
  AeadStream seal = AeadStream::ForSealing(Secret::Copy(Bytes(32, 1))).value();
  Bytes out(AeadStream::kTagBytes);
  seal.Seal(5, {}, {}, out);
  EXPECT_DEATH(seal.Seal(5, {}, {}, out), "");
}

}  // namespace
}  // namespace hexr::crypto
