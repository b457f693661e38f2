#include "keeper/out_certificates.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace hexr::keeper {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

class OutCertificatesTest : public ::testing::Test {
 protected:
  OutCertificatesTest() {
    char name[] = "/tmp/hexr-out-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~OutCertificatesTest() override { std::filesystem::remove_all(folder_); }
  OutCertificates Open() { return std::move(OutCertificates::Open(folder_ + "/out.db", clock_)).value(); }
  identity::OutCertificate Certificate(uint8_t serial, minutes life) {
    return {"instance",           id_,         Bytes{serial},
            clock_.Wall() + life, "authority", serial == 2 ? std::optional(instance_) : std::nullopt};
  }

  std::string folder_;
  ManualClock clock_{WallTime{hours(1000)}};
  const InstanceId instance_ = InstanceId::Make(1, "0123456789");
  const SpiffeId id_ = SpiffeId::Parse("spiffe://example.org/agent/a/b/c").value();
};

TEST_F(OutCertificatesTest, TellsTheNextOneWhatIsOutAndWhatIsRevoked) {
  {
    OutCertificates out = Open();
    ASSERT_TRUE(out.Load().value().empty());
    ASSERT_TRUE(out.Add(Certificate(1, minutes(5))).ok());
    ASSERT_TRUE(out.Add(Certificate(2, minutes(15))).ok());
    ASSERT_TRUE(out.Add(Certificate(3, minutes(16))).ok());
    EXPECT_FALSE(out.Add(Certificate(3, minutes(16))).ok()) << "a serial number is used once";
    ASSERT_TRUE(out.Revoked(Bytes{3}, clock_.Wall()).ok());
    ASSERT_TRUE(out.Revoked(Bytes{9}, clock_.Wall()).ok());
  }
  clock_.Advance(minutes(6));
  OutCertificates out = Open();
  const auto left = out.Load().value();
  ASSERT_EQ(left.size(), 2u);
  EXPECT_EQ(left[0].serial, Bytes{2});
  EXPECT_EQ(left[0].process, "instance");
  EXPECT_EQ(left[0].id, id_);
  EXPECT_EQ(left[0].authority_id, "authority");
  EXPECT_EQ(left[0].not_after, clock_.Wall() + minutes(9));
  EXPECT_EQ(left[0].instance, instance_);
  EXPECT_FALSE(left[1].instance);
  EXPECT_FALSE(left[0].revoked);
  EXPECT_EQ(left[1].serial, Bytes{3});
  EXPECT_TRUE(left[1].revoked);
  EXPECT_EQ(left[1].revoked_at, clock_.Wall() - minutes(6));
  EXPECT_FALSE(left[0].revoked_at);
}

}  // namespace
}  // namespace hexr::keeper
