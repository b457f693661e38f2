#include "crypto/scrypt.h"

#include <gtest/gtest.h>

namespace hexr::crypto {
namespace {

TEST(Scrypt, Rfc7914Vector) {  // section 12, second
  const auto key = Scrypt(Secret::Copy(AsBytes("password")), AsBytes("NaCl"), {1024, 8, 16}, 64);
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(HexEncode(key->Reveal(RevealToken::For("test"))),
            "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a"
            "83ee6d83"
            "60cbdfa2cc0640");
}

TEST(Scrypt, RefusesCostsOutOfRange) {
  const Secret p = Secret::Copy(AsBytes("p"));
  for (const ScryptCost& c :
       {ScryptCost{1000, 8, 1}, ScryptCost{0, 8, 1}, ScryptCost{1U << 23, 8, 1}, ScryptCost{1U << 21, 32, 1},
        ScryptCost{1024, 0, 1}, ScryptCost{1024, 8, 0}, ScryptCost{1024, 8, 17}}) {
    EXPECT_EQ(Scrypt(p, {}, c, 32).error().code(), ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace hexr::crypto
