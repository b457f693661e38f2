#include "crypto/pem.h"

#include <gtest/gtest.h>

#include "base/limits/keys.h"

namespace hexr::crypto {
namespace {

TEST(Pem, RoundTrip) {
  for (const size_t n : {1U, 47U, 48U, 49U, 1000U}) {
    const Bytes der(n, 0x37);
    const std::string text = PemEncode("CERTIFICATE", der);
    const auto blocks = PemDecode("a comment\n" + text + "\r\nanother\n" + text, "CERTIFICATE");
    ASSERT_TRUE(blocks.ok()) << blocks.error().ToString();
    EXPECT_EQ(*blocks, (std::vector<Bytes>{der, der}));
    EXPECT_TRUE(PemDecodeSecret(PemEncodeSecret("PRIVATE KEY", Secret::Copy(der)).RevealText(RevealToken::For("test")),
                                "PRIVATE KEY")
                    ->Equals(der));
  }
}

TEST(Pem, Refuses) {
  const std::string good = PemEncode("CERTIFICATE", Bytes(10, 1));
  const std::string body = good.substr(28, good.find("-----END") - 28);
  for (const std::string& bad :
       {std::string(), std::string("no block"), good.substr(0, good.size() - 5), "x" + good,
        std::string("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
        "-----BEGIN CERTIFICATE-----\n" + body + "!\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n" + body + "-----END PRIVATE KEY-----\n",
        good + PemEncode("PRIVATE KEY", Bytes(3, 1)), good + std::string(limits::kMaxPemBytes, ' ')}) {
    EXPECT_FALSE(PemDecode(bad, "CERTIFICATE").ok()) << bad.substr(0, 200);
  }
  const std::string key = PemEncode("PRIVATE KEY", Bytes(3, 1));
  EXPECT_FALSE(PemDecodeSecret(key + key, "PRIVATE KEY").ok());
}

}  // namespace
}  // namespace hexr::crypto
