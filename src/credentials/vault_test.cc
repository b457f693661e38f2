#include "credentials/vault.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/limits/storage.h"

namespace hexr::credentials {
namespace {

using crypto::AeadKey;
using crypto::Secret;

IdSegment Seg(std::string_view s) { return IdSegment::Parse(s).value(); }
VaultName Name(std::string_view s) { return VaultName::Parse(s).value(); }
Secret Text(std::string_view s) { return Secret::Copy(AsBytes(s)); }

class VaultTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/hexr-vault-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    options_.database.path = folder_ + "/vault.db";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Vault Open() { return Vault::Open(options_, machine_key_, clock_, random_).value(); }
  // The file, as whoever can write it sees it. No vault may be open.
  void Sql(const std::string& sql) {
    constexpr store::Migration kSame[] = {{1, ""}};
    store::Database db = store::Database::Open(options_.database, kSame).value();
    const Status s = db.Execute(sql);
    ASSERT_TRUE(s.ok()) << s.error().ToString();
  }
  ErrorCode GetError(const IdSegment& tenant, const VaultName& name, std::optional<uint32_t> version = {}) {
    Vault v = Open();
    const auto r = v.Get(tenant, name, version);
    return r.ok() ? ErrorCode::kUnknown : r.error().code();
  }

  SystemRandom random_;
  ManualClock clock_{ParseRfc3339("2026-06-01T12:00:00Z").value()};
  AeadKey machine_key_ = AeadKey::Generate(random_);
  std::string folder_;
  VaultOptions options_;
  const IdSegment a_ = Seg("acme"), b_ = Seg("bolt");
};

TEST(VaultNames, SegmentsOnly) {
  for (const char* good : {"a", "openai-key", "db/prod/password", "a/b/c/d/e/f/g/h", "A_1.x"}) {
    EXPECT_TRUE(VaultName::Parse(good).ok()) << good;
  }
  for (const char* bad : {"", "/", "a/", "/a", "a//b", "a/../b", ".", "a b", "a\n", "\xc3\xa9", "a/b/c/d/e/f/g/h/i"}) {
    EXPECT_FALSE(VaultName::Parse(bad).ok()) << bad;
  }
  std::string deep = "a";
  for (size_t i = 1; i < limits::kMaxVaultNameSegments; ++i) deep += "/a";
  EXPECT_TRUE(VaultName::Parse(deep).ok());
  EXPECT_FALSE(VaultName::Parse(deep + "/a").ok());
  const std::string segment(128, 'x'), three = segment + "/" + segment + "/" + segment + "/";
  EXPECT_TRUE(VaultName::Parse(three + std::string(limits::kMaxVaultNameBytes - three.size(), 'x')).ok());
  EXPECT_FALSE(VaultName::Parse(three + std::string(limits::kMaxVaultNameBytes - three.size() + 1, 'x')).ok());
}

TEST_F(VaultTest, VersionsAcrossOpenings) {
  {
    Vault v = Open();
    EXPECT_EQ(*v.Put(a_, Name("k"), Text("one")), 1U);
    clock_.Advance(std::chrono::seconds(5));
    EXPECT_EQ(*v.Put(a_, Name("k"), Text("two")), 2U);
    EXPECT_EQ(*v.Put(b_, Name("k"), Text("theirs")), 1U);
  }
  Vault v = Open();
  const VaultSecret latest = v.Get(a_, Name("k")).value();
  EXPECT_TRUE(latest.value.Equals(AsBytes("two")));
  EXPECT_EQ(latest.version, 2U);
  EXPECT_EQ(latest.created, clock_.Wall());
  EXPECT_TRUE(v.Get(a_, Name("k"), 1)->value.Equals(AsBytes("one")));
  EXPECT_TRUE(v.Get(b_, Name("k"))->value.Equals(AsBytes("theirs")));
  EXPECT_EQ(v.Get(a_, Name("k"), 3).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(v.Get(a_, Name("k"), 0).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(v.Get(a_, Name("other")).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(v.Get(Seg("nobody"), Name("k")).error().code(), ErrorCode::kNotFound);
}

TEST_F(VaultTest, ListShowsNamesOfOneTenant) {
  Vault v = Open();
  for (const char* n : {"db/prod", "db/test", "dbx", "api"}) ASSERT_TRUE(v.Put(a_, Name(n), Text("v")).ok());
  ASSERT_TRUE(v.Put(a_, Name("api"), Text("w")).ok());
  ASSERT_TRUE(v.Put(b_, Name("theirs"), Text("v")).ok());
  std::string seen;
  const std::vector<VaultEntry> entries = v.List(a_).value();
  for (const VaultEntry& e : entries) {
    seen += e.name.value() + ":" + std::to_string(e.version) + "/" + std::to_string(e.versions) + " ";
  }
  EXPECT_EQ(seen, "api:2/2 db/prod:1/1 db/test:1/1 dbx:1/1 ");
  EXPECT_EQ(v.List(a_, "db")->size(), 2U);
  EXPECT_EQ(v.List(a_, "db/prod")->size(), 1U);
  EXPECT_TRUE(v.List(Seg("nobody"))->empty());
}

TEST_F(VaultTest, DeleteIsForAllVersionsAndOneTenant) {
  Vault v = Open();
  ASSERT_TRUE(v.Put(a_, Name("k"), Text("1")).ok());
  ASSERT_TRUE(v.Put(a_, Name("k"), Text("2")).ok());
  ASSERT_TRUE(v.Put(b_, Name("k"), Text("3")).ok());
  ASSERT_TRUE(v.Delete(a_, Name("k")).ok());
  EXPECT_EQ(v.Delete(a_, Name("k")).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(v.Get(a_, Name("k"), 1).error().code(), ErrorCode::kNotFound);
  EXPECT_TRUE(v.Get(b_, Name("k")).ok());
  ASSERT_TRUE(v.Put(a_, Name("x"), Text("1")).ok());
  ASSERT_TRUE(v.DeleteTenant(a_).ok());
  ASSERT_TRUE(v.DeleteTenant(a_).ok());
  EXPECT_TRUE(v.List(a_)->empty());
  EXPECT_TRUE(v.Get(b_, Name("k")).ok());
}

// INV-CRED-04: a thief of the files of a running node finds no row, sealed or not, of what is deleted.
TEST_F(VaultTest, DeletedRowsAreGoneFromTheFilesAtOnce) {
  Vault v = Open();
  ASSERT_TRUE(v.Put(b_, Name("other"), Text("stays")).ok());
  ASSERT_TRUE(v.Put(a_, Name("k"), Text(std::string(500, 'x'))).ok());
  // The sealed rows, as they lie in the files now: any 24 bytes in a row of them.
  const auto files = [&] {
    std::string all;
    for (const auto& file :
         std::filesystem::directory_iterator(std::filesystem::path(options_.database.path).parent_path())) {
      std::ifstream in(file.path(), std::ios::binary);
      all.append(std::istreambuf_iterator<char>(in), {});
    }
    return all;
  };
  const auto gone = [&](const std::string& before) {
    const std::string after = files();
    size_t n = 0;
    for (size_t i = 0; i + 24 <= before.size(); i += 24) n += after.find(before.substr(i, 24)) == std::string::npos;
    return n;
  };
  constexpr size_t kSealed = 500 / 24 - 1;
  std::string before = files();
  ASSERT_TRUE(v.Delete(a_, Name("k")).ok());
  EXPECT_GE(gone(before), kSealed) << "the sealed value stood in them";
  EXPECT_TRUE(v.Get(b_, Name("other")).ok());
  EXPECT_EQ(std::filesystem::file_size(options_.database.path + "-wal"), 0u);
  // The oldest version goes with one too many.
  for (size_t i = 0; i < limits::kMaxVaultVersions; ++i)
    ASSERT_TRUE(v.Put(a_, Name("k"), Text(std::string(500, 'x'))).ok());
  before = files();
  ASSERT_TRUE(v.Put(a_, Name("k"), Text("new")).ok());
  EXPECT_GE(gone(before), kSealed);
  EXPECT_EQ(std::filesystem::file_size(options_.database.path + "-wal"), 0u);
  before = files();
  ASSERT_TRUE(v.DeleteTenant(a_).ok());
  EXPECT_GE(gone(before), (limits::kMaxVaultVersions - 1) * kSealed);
  EXPECT_EQ(std::filesystem::file_size(options_.database.path + "-wal"), 0u);
}

// Somebody has kept a copy of a tenant's rows, and puts them back when it is deleted, or when another has its name.
TEST_F(VaultTest, CopiesOfADeletedTenantsRowsOpenNeverAgain) {
  {
    Vault v = Open();
    ASSERT_TRUE(v.Put(a_, Name("k"), Text("acme's")).ok());
    ASSERT_TRUE(v.Put(b_, Name("k"), Text("bolt's")).ok());
  }
  Sql("CREATE TABLE kept AS SELECT * FROM secret");
  const std::string put_back = "PRAGMA foreign_keys = OFF; INSERT OR REPLACE INTO secret SELECT * FROM kept";
  { ASSERT_TRUE(Open().DeleteTenant(a_).ok()); }
  Sql(put_back);
  EXPECT_NE(GetError(a_, Name("k")), ErrorCode::kUnknown);
  { (void)Open().Put(a_, Name("next"), Text("another's")); }
  Sql(put_back);
  EXPECT_NE(GetError(a_, Name("k")), ErrorCode::kUnknown);
  EXPECT_EQ(GetError(b_, Name("k")), ErrorCode::kUnknown) << "nobody else's are lost";
}

// What a tenant may have is no more than the vault has for each, whatever its operator was promised.
TEST_F(VaultTest, ATenantsQuotaHoldsForNewSecretsAlone) {
  options_.max_secrets_per_tenant = 3;
  Vault v = Open();
  ASSERT_TRUE(v.Put(a_, Name("k"), Text("v"), 1).ok());
  EXPECT_EQ(v.Put(a_, Name("l"), Text("v"), 1).error().code(), ErrorCode::kResourceExhausted);
  EXPECT_TRUE(v.Put(a_, Name("k"), Text("w"), 1).ok());
  EXPECT_TRUE(v.Put(a_, Name("k"), Text("x"), 0).ok()) << "lowered since: what is there stays usable";
  EXPECT_EQ(v.Put(b_, Name("k"), Text("v"), 0).error().code(), ErrorCode::kResourceExhausted);
  ASSERT_TRUE(v.Put(a_, Name("l"), Text("v"), 10).ok());
  ASSERT_TRUE(v.Put(a_, Name("m"), Text("v"), 10).ok());
  EXPECT_EQ(v.Put(a_, Name("n"), Text("v"), 10).error().code(), ErrorCode::kResourceExhausted);
}

TEST_F(VaultTest, Bounds) {
  EXPECT_EQ(options_.max_secrets_per_tenant, limits::kMaxVaultSecretsPerTenant);
  options_.max_secrets_per_tenant = 3;
  Vault v = Open();
  EXPECT_EQ(v.Put(a_, Name("k"), Secret()).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(v.Put(a_, Name("k"), Secret::Copy(Bytes(limits::kMaxVaultValueBytes + 1))).error().code(),
            ErrorCode::kInvalidArgument);
  EXPECT_TRUE(v.Put(a_, Name("k"), Secret::Copy(Bytes(limits::kMaxVaultValueBytes))).ok());
  ASSERT_TRUE(v.Put(a_, Name("l"), Text("v")).ok());
  ASSERT_TRUE(v.Put(a_, Name("m"), Text("v")).ok());
  EXPECT_EQ(v.Put(a_, Name("n"), Text("v")).error().code(), ErrorCode::kResourceExhausted);
  EXPECT_TRUE(v.Put(a_, Name("m"), Text("w")).ok()) << "a new version is no new secret";
  EXPECT_TRUE(v.Put(b_, Name("n"), Text("v")).ok()) << "another tenant's quota is its own";
  for (size_t i = 0; i < limits::kMaxVaultVersions; ++i) ASSERT_TRUE(v.Put(a_, Name("l"), Text("v")).ok());
  EXPECT_EQ(v.Get(a_, Name("l"), 1).error().code(), ErrorCode::kNotFound);
  EXPECT_TRUE(v.Get(a_, Name("l"), 2).ok());
  EXPECT_EQ(v.List(a_, "l")->front().versions, limits::kMaxVaultVersions);
}

TEST_F(VaultTest, FileTellsNeitherNamesNorValuesNorTenants) {
  {
    Vault v = Open();
    ASSERT_TRUE(v.Put(Seg("acme-corporation"), Name("payroll/password"), Text("correct horse battery")).ok());
  }
  std::string all;
  for (const auto& e : std::filesystem::directory_iterator(folder_)) {
    std::ifstream in(e.path(), std::ios::binary);
    all.append(std::istreambuf_iterator<char>(in), {});
  }
  for (const char* needle : {"acme-corporation", "payroll", "battery"}) {
    EXPECT_EQ(all.find(needle), std::string::npos) << needle;
  }
}

// The attack: one tenant's rows put in another's place, in every way that the columns allow.
TEST_F(VaultTest, OneTenantNeverOpensAnothersRows) {
  const auto reset = [&] {
    std::filesystem::remove(options_.database.path);
    std::filesystem::remove(options_.database.path + "-wal");
    Vault v = Open();
    ASSERT_TRUE(v.Put(a_, Name("k"), Text("acme's")).ok());
    ASSERT_TRUE(v.Put(b_, Name("k"), Text("bolt's")).ok());
  };
  const std::string mine = "(SELECT tenant FROM secret ORDER BY tenant LIMIT 1)",
                    theirs = "(SELECT tenant FROM secret ORDER BY tenant DESC LIMIT 1)";
  const std::string old =
      "CREATE TEMP TABLE old AS SELECT * FROM secret; CREATE TEMP TABLE keys AS SELECT * FROM tenant;";
  const auto both_closed = [&](const char* how) {
    EXPECT_EQ(GetError(a_, Name("k")), ErrorCode::kDataLoss) << how;
    EXPECT_EQ(GetError(b_, Name("k")), ErrorCode::kDataLoss) << how;
  };
  for (const char* columns : {"value", "data_key", "value, data_key", "value, data_key, name"}) {
    reset();
    std::string set;
    std::string rest = columns;
    for (size_t at = 0; at != std::string::npos;) {
      const size_t comma = rest.find(", ", at);
      const std::string c = rest.substr(at, comma == std::string::npos ? comma : comma - at);
      set += (set.empty() ? "" : ", ") + c + " = (SELECT " + c + " FROM old WHERE old.tenant != secret.tenant)";
      at = comma == std::string::npos ? comma : comma + 2;
    }
    Sql(old + "UPDATE secret SET " + set);
    both_closed(columns);
  }
  reset();
  Sql(old + "UPDATE tenant SET wrapped_key = (SELECT wrapped_key FROM keys WHERE keys.digest != tenant.digest)");
  both_closed("tenant keys exchanged");
  reset();
  Sql(old +
      "UPDATE tenant SET wrapped_key = (SELECT wrapped_key FROM keys WHERE keys.digest != tenant.digest),"
      " name_key = (SELECT name_key FROM keys WHERE keys.digest != tenant.digest)");
  both_closed("tenant keys and name keys exchanged");
  reset();
  // Whole rows given to the other tenant, under the digest that the other's name has.
  Sql(old +
      "UPDATE secret SET data_key = (SELECT data_key FROM old WHERE old.tenant != secret.tenant),"
      " value = (SELECT value FROM old WHERE old.tenant != secret.tenant), name = (SELECT name FROM old WHERE "
      "old.tenant != secret.tenant),"
      " version = 1");
  both_closed("whole rows");
  Vault v = Open();
  EXPECT_EQ(v.List(a_).error().code(), ErrorCode::kDataLoss);
}

TEST_F(VaultTest, NamesAndVersionsOfOneTenantDoNotMixEither) {
  {
    Vault v = Open();
    ASSERT_TRUE(v.Put(a_, Name("low"), Text("low")).ok());
    ASSERT_TRUE(v.Put(a_, Name("high"), Text("high")).ok());
  }
  Sql("CREATE TEMP TABLE old AS SELECT * FROM secret;"
      "UPDATE secret SET value = (SELECT value FROM old WHERE old.digest != secret.digest),"
      " data_key = (SELECT data_key FROM old WHERE old.digest != secret.digest)");
  EXPECT_EQ(GetError(a_, Name("low")), ErrorCode::kDataLoss);
  EXPECT_EQ(GetError(a_, Name("high")), ErrorCode::kDataLoss);
  {
    Vault v = Open();
    ASSERT_TRUE(v.Delete(a_, Name("low")).ok());
    ASSERT_TRUE(v.Delete(a_, Name("high")).ok());
    ASSERT_TRUE(v.Put(a_, Name("k"), Text("leaked and replaced")).ok());
    ASSERT_TRUE(v.Put(a_, Name("k"), Text("fresh")).ok());
  }
  // The old version as the latest: a rollback by renumbering.
  Sql("UPDATE secret SET version = 3 WHERE version = 1");
  EXPECT_EQ(GetError(a_, Name("k")), ErrorCode::kDataLoss);
}

TEST_F(VaultTest, RotationOfTenantKeys) {
  {
    Vault v = Open();
    for (const char* n : {"x", "y"}) ASSERT_TRUE(v.Put(a_, Name(n), Text(n)).ok());
    ASSERT_TRUE(v.Put(a_, Name("x"), Text("x2")).ok());
    ASSERT_TRUE(v.Put(b_, Name("x"), Text("theirs")).ok());
    EXPECT_EQ(v.RotateTenantKey(Seg("nobody")).error().code(), ErrorCode::kNotFound);
    ASSERT_TRUE(v.RotateTenantKey(a_).ok());
  }
  Vault v = Open();
  EXPECT_TRUE(v.Get(a_, Name("x"))->value.Equals(AsBytes("x2")));
  EXPECT_TRUE(v.Get(a_, Name("x"), 1)->value.Equals(AsBytes("x")));
  EXPECT_TRUE(v.Get(a_, Name("y"))->value.Equals(AsBytes("y")));
  EXPECT_TRUE(v.Get(b_, Name("x"))->value.Equals(AsBytes("theirs")));
  EXPECT_EQ(v.List(a_)->size(), 2U);
}

TEST_F(VaultTest, AnotherVaultsRowsDoNotOpen) {
  VaultOptions second = options_;
  second.database.path = folder_ + "/second.db";
  {
    Vault v = Open();
    ASSERT_TRUE(v.Put(a_, Name("k"), Text("first")).ok());
    Vault w = Vault::Open(second, machine_key_, clock_, random_).value();
    ASSERT_TRUE(w.Put(a_, Name("k"), Text("second")).ok());
  }
  Sql("ATTACH '" + second.database.path + "' AS s; UPDATE tenant SET wrapped_key = (SELECT wrapped_key FROM s.tenant)");
  EXPECT_EQ(GetError(a_, Name("k")), ErrorCode::kDataLoss);
}

}  // namespace
}  // namespace hexr::credentials
