#include "crypto/der.h"

#include <gtest/gtest.h>

namespace hexr::crypto::der {
namespace {

Bytes Hex(std::string_view hex) { return HexDecode(hex).value(); }

TEST(Der, WritesWhatItReads) {
  for (const size_t n : {0U, 1U, 127U, 128U, 255U, 256U, 70000U}) {
    const Bytes encoded = OctetString(Bytes(n, 0xab));
    Reader r(encoded);
    const auto contents = r.Expect(kOctetString);
    ASSERT_TRUE(contents.ok()) << n;
    EXPECT_EQ(contents->size(), n);
    EXPECT_TRUE(r.Finish().ok());
  }
}

TEST(Der, IntegersAreMinimalAndUnsigned) {
  EXPECT_EQ(HexEncode(UnsignedInteger(Hex("0000ff"))), "020200ff");
  EXPECT_EQ(HexEncode(UnsignedInteger({})), "020100");
  EXPECT_EQ(HexEncode(SmallInteger(65537)), "0203010001");
  EXPECT_EQ(*Reader(Hex("0203010001")).Small(), 65537U);
  for (const char* bad : {"0200", "0201ff", "02020001", "02050100000000"}) {
    EXPECT_FALSE(Reader(Hex(bad)).Small().ok()) << bad;
  }
}

TEST(Der, OnlyOneEncodingIsTaken) {
  // Length not minimal, indefinite, reserved, longer than the data, high tag number, cut short.
  for (const char* bad :
       {"", "04", "0481", "048101aa", "0482000100", "0480aa0000", "04ffaa", "0402aa", "1f8101aa", "0485000000000100"}) {
    EXPECT_FALSE(Reader(Hex(bad)).Next().ok()) << bad;
  }
  for (const char* bad : {"010101", "0100", "0102ffff"}) EXPECT_FALSE(Reader(Hex(bad)).Boolean().ok()) << bad;
  EXPECT_FALSE(Reader(Hex("030101")).BitStringBytes().ok());
  EXPECT_FALSE(Reader(Hex("0300")).BitStringBytes().ok());
  EXPECT_FALSE(Reader(Hex("0400")).Expect(kSequence).ok());
  EXPECT_FALSE(Reader(Hex("00")).Finish().ok());
}

TEST(Der, Times) {
  for (const char* t : {"1950-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "2049-12-31T23:59:59Z", "2050-01-01T00:00:00Z",
                        "2200-02-28T01:02:03Z"}) {
    const WallTime wall = *ParseRfc3339(t);
    const Bytes encoded = Time(wall);
    EXPECT_EQ(encoded[0], std::string_view(t) < "2050" ? kUtcTime : kGeneralizedTime);
    EXPECT_EQ(*Reader(encoded).Time(), wall) << t;
  }
  EXPECT_EQ(*Reader(Text(kGeneralizedTime, "99991231235959Z")).Time(), WallTime::max());  // RFC 5280 4.1.2.5: no end
  for (const char* bad :
       {"2601010000Z", "260101000000+0000", "261301000000Z", "260230000000Z", "260101240000Z", "26010100000Z"}) {
    EXPECT_FALSE(Reader(Text(kUtcTime, bad)).Time().ok()) << bad;
  }
  EXPECT_FALSE(Reader(Text(kGeneralizedTime, "20260101000000Z")).Time().ok());
  EXPECT_FALSE(Reader(Text(kGeneralizedTime, "20500101000000.5Z")).Time().ok());
}

}  // namespace
}  // namespace hexr::crypto::der
