#include "keeper/quarantine.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "crypto/aead.h"

namespace hexr::keeper {
namespace {

class QuarantineTest : public ::testing::Test {
 protected:
  QuarantineTest() {
    char name[] = "/tmp/hexr-quarantine-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~QuarantineTest() override { std::filesystem::remove_all(folder_); }
  store::SealedStore Open() {
    return std::move(store::SealedStore::Open({folder_ + "/keeper.db", std::nullopt}, key_, random_)).value();
  }

  SystemRandom random_;
  crypto::AeadKey key_ = crypto::AeadKey::FromSecret(crypto::Secret::Random(32, random_)).value();
  std::string folder_;
  const InstanceId one_ = InstanceId::Make(1, "0123456789"), two_ = InstanceId::Make(2, "0123456789");
  const IdSegment tenant_ = IdSegment::Parse("acme").value();
};

TEST_F(QuarantineTest, OutlivesTheProcessUntilItIsLifted) {
  {
    store::SealedStore store = Open();
    Quarantine q = Quarantine::Open(store).value();
    EXPECT_TRUE(q.Add(one_, tenant_).ok());
    EXPECT_TRUE(q.Add(one_, tenant_).ok());
    EXPECT_TRUE(q.Add(two_, tenant_).ok());
    EXPECT_TRUE(q.Remove(two_).ok());
    EXPECT_TRUE(q.Remove(two_).ok());
  }
  store::SealedStore store = Open();
  Quarantine q = Quarantine::Open(store).value();
  EXPECT_TRUE(q.Contains(one_));
  EXPECT_FALSE(q.Contains(two_));
  EXPECT_EQ(q.all().at(one_), tenant_);
}

}  // namespace
}  // namespace hexr::keeper
