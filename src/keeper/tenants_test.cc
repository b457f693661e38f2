#include "keeper/tenants.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/limits/names.h"
#include "base/random.h"
#include "crypto/aead.h"

namespace hexr::keeper {
namespace {

IdSegment Name(const std::string& text) { return *IdSegment::Parse(text); }

class TenantsTest : public ::testing::Test {
 protected:
  TenantsTest()
      : store_(*store::SealedStore::Open({folder_ + "/keeper.db", std::nullopt}, crypto::AeadKey::Generate(random_),
                                         random_)) {}
  ~TenantsTest() override { std::filesystem::remove_all(folder_); }
  Result<Tenants> Open() {
    return Tenants::Open(store_, Name("default"), clock_, {folder_ + "/subuid", folder_ + "/subgid"});
  }
  void Write(const std::string& file, const std::string& text) { std::ofstream(folder_ + "/" + file) << text; }

  static std::string MakeFolder() {
    char path[] = "/tmp/hexr-tenants-XXXXXX";
    return mkdtemp(path);
  }
  std::string folder_ = MakeFolder();
  SystemClock clock_;
  SystemRandom random_;
  store::SealedStore store_;
};

TEST_F(TenantsTest, ARangeIsGivenOutOnce) {
  uint32_t first = 0, second = 0;
  {
    Tenants t = *Open();
    first = t.Find(Name("default"))->uid_base;
    second = t.Create(Name("acme"))->uid_base;
    EXPECT_GE(second, first + 2);
    EXPECT_EQ(t.Create(Name("acme")).error().code(), ErrorCode::kAlreadyExists);
    ASSERT_TRUE(t.Delete(Name("acme")).ok());
  }
  Tenants again = *Open();
  EXPECT_EQ(again.Find(Name("default"))->uid_base, first);
  EXPECT_GT(again.Create(Name("acme"))->uid_base, second);
}

// Who may act as a uid by subuid(5) could signal an agent of that uid, and its gateway.
TEST_F(TenantsTest, NoUserOfTheMachineMayActAsATenant) {
  const uint32_t first = Open()->Find(Name("default"))->uid_base;
  Write("subuid", "alice:" + std::to_string(first + 20) + ":10\nnonsense\nbob:x:y\n");
  Write("subgid", "bob:" + std::to_string(first + 40) + ":1\n");
  Tenants t = *Open();
  const auto in = [](uint32_t id, const Tenant& tenant) { return id - tenant.uid_base < 16; };
  for (int i = 0; i < 5; ++i) {
    const Tenant made = *t.Create(Name("t" + std::to_string(i)));
    for (uint32_t id = first + 20; id < first + 30; ++id) EXPECT_FALSE(in(id, made));
    EXPECT_FALSE(in(first + 40, made));
  }
  Write("subuid", "everything:0:4294967295\n");
  EXPECT_EQ(t.Create(Name("more")).error().code(), ErrorCode::kResourceExhausted);
}

TEST_F(TenantsTest, QuotasAreKeptAndNeverOverTheNodesOwnBounds) {
  {
    Tenants t = *Open();
    ASSERT_TRUE(t.Create(Name("acme"), {.instances = 3, .secrets = 0}).ok());
    ASSERT_TRUE(t.SetState(Name("acme"), TenantState::kFrozen).ok());
    EXPECT_FALSE(t.Create(Name("x"), {.instances = limits::kMaxInstances + 1}).ok());
    EXPECT_FALSE(t.SetQuota(Name("acme"), {.secrets = limits::kMaxVaultSecretsPerTenant + 1}).ok());
    EXPECT_EQ(t.SetQuota(Name("x"), {}).error().code(), ErrorCode::kNotFound);
  }
  const Tenants again = *Open();
  EXPECT_EQ(again.Find(Name("acme"))->quota.instances, 3u);
  EXPECT_EQ(again.Find(Name("acme"))->quota.secrets, 0u);
  EXPECT_EQ(again.Find(Name("default"))->quota.instances, limits::kMaxInstances);
}

TEST_F(TenantsTest, AreBounded) {
  Tenants t = *Open();
  for (size_t i = t.all().size(); i < limits::kMaxTenants; ++i)
    ASSERT_TRUE(t.Create(Name("t" + std::to_string(i))).ok());
  EXPECT_EQ(t.Create(Name("one-more")).error().code(), ErrorCode::kResourceExhausted);
}

}  // namespace
}  // namespace hexr::keeper
