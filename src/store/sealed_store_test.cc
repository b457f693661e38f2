#include "store/sealed_store.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/limits/storage.h"

namespace hexr::store {
namespace {

using crypto::AeadKey;
using crypto::Secret;

Secret Text(std::string_view s) { return Secret::Copy(AsBytes(s)); }

class SealedStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/hexr-sealed-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    options_.path = folder_ + "/sealed.db";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  SealedStore Open() { return SealedStore::Open(options_, machine_key_, random_).value(); }

  SystemRandom random_;
  AeadKey machine_key_ = AeadKey::Generate(random_);
  std::string folder_;
  DatabaseOptions options_;
};

TEST_F(SealedStoreTest, KeepsValuesAcrossOpenings) {
  {
    SealedStore s = Open();
    ASSERT_TRUE(s.Put("keys", "ca", Text("one")).ok());
    ASSERT_TRUE(s.Put("keys", "ca", Text("two")).ok());
    ASSERT_TRUE(s.Put("keys", "empty", Secret()).ok());
    ASSERT_TRUE(s.Put("other", "ca", Text("three")).ok());
  }
  SealedStore s = Open();
  EXPECT_TRUE(s.Get("keys", "ca")->Equals(AsBytes("two")));
  EXPECT_TRUE(s.Get("keys", "empty")->empty());
  EXPECT_EQ(*s.List("keys"), (std::vector<std::string>{"ca", "empty"}));
  EXPECT_EQ(*s.Count("keys"), 2);
  EXPECT_EQ(s.Get("keys", "no").error().code(), ErrorCode::kNotFound);
  ASSERT_TRUE(s.Delete("keys", "ca").ok());
  EXPECT_EQ(s.Delete("keys", "ca").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(s.Get("keys", "ca").error().code(), ErrorCode::kNotFound);
  EXPECT_TRUE(s.Get("other", "ca").ok());
}

TEST_F(SealedStoreTest, FileTellsNeitherNamesNorValues) {
  {
    SealedStore s = Open();
    ASSERT_TRUE(s.Put("people", "alice@example.org", Text("correct horse battery")).ok());
  }
  std::string all;
  for (const auto& e : std::filesystem::directory_iterator(folder_)) {
    std::ifstream in(e.path(), std::ios::binary);
    all.append(std::istreambuf_iterator<char>(in), {});
  }
  EXPECT_EQ(all.find("alice"), std::string::npos);
  EXPECT_EQ(all.find("battery"), std::string::npos);
  EXPECT_NE(all.find("people"), std::string::npos) << "collections are ours, and in clear";
}

TEST_F(SealedStoreTest, AnotherMachineKeyOpensNothing) {
  { ASSERT_TRUE(Open().Put("c", "n", Text("v")).ok()); }
  const AeadKey other = AeadKey::Generate(random_);
  EXPECT_EQ(SealedStore::Open(options_, other, random_).error().code(), ErrorCode::kFailedPrecondition);
}

// INV-STORE-03: the attack: whoever can write the file gives one row another's content.
TEST_F(SealedStoreTest, SwappedAndForeignRowsDoNotOpen) {
  SealedStore s = Open();
  ASSERT_TRUE(s.Put("c", "mine", Text("mine")).ok());
  ASSERT_TRUE(s.Put("c", "yours", Text("yours")).ok());
  ASSERT_TRUE(s.Put("d", "mine", Text("other")).ok());
  // Values exchanged within a collection.
  ASSERT_TRUE(s.database()
                  .Execute("CREATE TEMP TABLE old AS SELECT * FROM sealed WHERE collection = 'c';"
                           "UPDATE sealed SET value = (SELECT value FROM old WHERE old.digest != sealed.digest)"
                           " WHERE collection = 'c'")
                  .ok());
  EXPECT_EQ(s.Get("c", "mine").error().code(), ErrorCode::kDataLoss);
  EXPECT_EQ(s.Get("c", "yours").error().code(), ErrorCode::kDataLoss);
  // The name in place of the value, and rows moved to another collection.
  ASSERT_TRUE(s.Put("c", "mine", Text("mine")).ok());
  ASSERT_TRUE(s.database().Execute("UPDATE sealed SET value = name WHERE collection = 'd'").ok());
  EXPECT_EQ(s.Get("d", "mine").error().code(), ErrorCode::kDataLoss);
  ASSERT_TRUE(
      s.database().Execute("DELETE FROM sealed WHERE collection = 'd'; UPDATE sealed SET collection = 'd'").ok());
  EXPECT_EQ(s.List("d").error().code(), ErrorCode::kDataLoss);
  EXPECT_EQ(s.Get("d", "mine").error().code(), ErrorCode::kNotFound);
}

TEST_F(SealedStoreTest, RowsOfAnotherStoreUnderTheSameMachineKeyDoNotOpen) {
  DatabaseOptions second{folder_ + "/second.db", {}};
  {
    ASSERT_TRUE(Open().Put("c", "n", Text("first")).ok());
    ASSERT_TRUE(SealedStore::Open(second, machine_key_, random_)->Put("c", "n", Text("second")).ok());
  }
  // The header with the wrapped data key of the one, under the id of the other.
  constexpr Migration kSame[] = {{1, ""}};
  Bytes wrapped;
  {
    Database db = Database::Open(second, kSame).value();
    Statement st = db.Prepare("SELECT wrapped_key FROM store").value();
    ASSERT_TRUE(st.Step().value());
    wrapped.assign(st.Blob(0).begin(), st.Blob(0).end());
  }
  {
    Database db = Database::Open(options_, kSame).value();
    ASSERT_TRUE(db.Prepare("UPDATE store SET wrapped_key = ?1")->Bind(1, wrapped).Run().ok());
  }
  EXPECT_EQ(SealedStore::Open(options_, machine_key_, random_).error().code(), ErrorCode::kDataLoss);
}

// INV-STORE-04: what the machine key protects is one key, and that is all that a change of it has to write.
TEST_F(SealedStoreTest, AnotherMachineKeyNeedsAnotherEnvelopeAndNoOtherRow) {
  { ASSERT_TRUE(Open().Put("c", "n", Text("v")).ok()); }
  constexpr Migration kSame[] = {{1, ""}};
  const auto rows = [&](Database& db) {
    Statement st = db.Prepare("SELECT name, value FROM sealed").value();
    EXPECT_TRUE(st.Step().value());
    return HexEncode(st.Blob(0)) + " " + HexEncode(st.Blob(1));
  };
  const AeadKey next = AeadKey::Generate(random_);
  std::string before;
  {
    Database db = Database::Open(options_, kSame).value();
    before = rows(db);
    Statement st = db.Prepare("SELECT id, wrapped_key FROM store").value();
    ASSERT_TRUE(st.Step().value());
    const std::string context = "hexr store data key v1 " + HexEncode(st.Blob(0));
    const Secret data_key = machine_key_.Open(st.Blob(1), context).value();
    const Bytes wrapped = next.Seal(data_key, context, random_);
    ASSERT_TRUE(db.Prepare("UPDATE store SET wrapped_key = ?1")->Bind(1, wrapped).Run().ok());
  }
  EXPECT_FALSE(SealedStore::Open(options_, machine_key_, random_).ok()) << "the old one opens it no more";
  SealedStore s = SealedStore::Open(options_, next, random_).value();
  EXPECT_TRUE(s.Get("c", "n")->Equals(AsBytes("v")));
  EXPECT_EQ(rows(s.database()), before);
}

TEST_F(SealedStoreTest, ChangedBytesDoNotOpen) {
  SealedStore s = Open();
  ASSERT_TRUE(s.Put("c", "n", Text("v")).ok());
  ASSERT_TRUE(s.database()
                  .Execute("UPDATE sealed SET value = CAST(substr(value, 1, length(value) - 1) || x'00' AS BLOB)")
                  .ok());
  EXPECT_EQ(s.Get("c", "n").error().code(), ErrorCode::kDataLoss);
  ASSERT_TRUE(s.database().Execute("UPDATE sealed SET value = x''").ok());
  EXPECT_EQ(s.Get("c", "n").error().code(), ErrorCode::kDataLoss);
}

TEST_F(SealedStoreTest, Bounds) {
  SealedStore s = Open();
  const std::string name(limits::kMaxSealedNameBytes, 'n'), collection(limits::kMaxSealedCollectionBytes, 'c');
  EXPECT_TRUE(s.Put(collection, name, Secret::Copy(Bytes(limits::kMaxSealedValueBytes))).ok());
  EXPECT_FALSE(s.Put(collection, name + "n", Text("v")).ok());
  EXPECT_FALSE(s.Put(collection + "c", name, Text("v")).ok());
  EXPECT_FALSE(s.Put(collection, name, Secret::Copy(Bytes(limits::kMaxSealedValueBytes + 1))).ok());
  EXPECT_FALSE(s.Put("", "n", Text("v")).ok());
  EXPECT_FALSE(s.Put("c", "", Text("v")).ok());
  EXPECT_FALSE(s.Put(std::string_view("c\0d", 3), "n", Text("v")).ok());
}

TEST_F(SealedStoreTest, SeveralChangesOrNone) {
  SealedStore s = Open();
  {
    Transaction t = s.Begin().value();
    ASSERT_TRUE(s.Put("c", "a", Text("1")).ok());
    ASSERT_TRUE(s.Put("c", "b", Text("2")).ok());
  }
  EXPECT_EQ(*s.Count("c"), 0);
}

}  // namespace
}  // namespace hexr::store
