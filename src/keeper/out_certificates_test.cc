#include "keeper/out_certificates.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

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
  std::string path() const { return folder_ + "/out.db"; }
  OutCertificates Open() {
    return std::move(OutCertificates::Open(path(), crypto::Secret::Copy(key_), clock_, random_)).value();
  }
  ErrorCode LoadError() {
    const auto loaded = Open().Load();
    return loaded.ok() ? ErrorCode::kUnknown : loaded.error().code();
  }
  // As somebody else who can write the file.
  void Tamper(const std::string& sql) {
    constexpr store::Migration kSame[] = {{1, ""}, {2, ""}, {3, ""}, {4, ""}, {5, ""}};
    store::Database db = store::Database::Open({path(), std::nullopt}, kSame).value();
    const Status s = db.Execute(sql);
    ASSERT_TRUE(s.ok()) << sql << ": " << s.error().ToString();
  }
  identity::OutCertificate Certificate(uint8_t serial, minutes life) {
    return {"instance",           id_,         Bytes{serial},
            clock_.Wall() + life, "authority", serial == 2 ? std::optional(instance_) : std::nullopt};
  }

  std::string folder_;
  SystemRandom random_;
  const Bytes key_ = Bytes(32, 7);
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

TEST_F(OutCertificatesTest, FileTellsNobodysNames) {
  const Bytes serial(AsBytes("a-serial-number").begin(), AsBytes("a-serial-number").end());
  {
    OutCertificates out = Open();
    ASSERT_TRUE(out.Load().ok());
    ASSERT_TRUE(out.Add({"the-process", id_, serial, clock_.Wall() + minutes(5), "the-authority", instance_}).ok());
    ASSERT_TRUE(out.Revoked(serial, clock_.Wall()).ok());
  }
  std::string all;
  for (const auto& e : std::filesystem::directory_iterator(folder_)) {
    std::ifstream in(e.path(), std::ios::binary);
    all.append(std::istreambuf_iterator<char>(in), {});
  }
  EXPECT_GT(all.size(), 4096U);
  for (const std::string& needle : {std::string("example.org"), std::string("the-process"),
                                    std::string("the-authority"), instance_.value(), std::string("a-serial-number")}) {
    EXPECT_EQ(all.find(needle), std::string::npos) << needle;
  }
}

// The attack: whoever can write the file takes a revocation back, or a certificate out, or puts one in.
TEST_F(OutCertificatesTest, ARowThatWasForgedOrTakenOutIsMissed) {
  const auto fresh = [&] {
    for (const char* end : {"", "-wal", "-shm"}) std::filesystem::remove(path() + end);
    OutCertificates out = Open();
    ASSERT_TRUE(out.Load().ok());
    for (const uint8_t serial : Bytes{1, 2, 3, 4}) ASSERT_TRUE(out.Add(Certificate(serial, minutes(5 * serial))).ok());
    for (const uint8_t serial : Bytes{2, 3}) ASSERT_TRUE(out.Revoked(Bytes{serial}, clock_.Wall()).ok());
  };
  const auto a_row = [](const char* table) { return std::string("(SELECT digest FROM ") + table + " LIMIT 1)"; };
  fresh();
  EXPECT_EQ(LoadError(), ErrorCode::kUnknown);
  clock_.Advance(minutes(6));  // one has ended, and is swept
  EXPECT_EQ(LoadError(), ErrorCode::kUnknown);
  clock_.StepWall(-minutes(6));
  const std::vector<std::string> attacks = {
      "DELETE FROM revoked WHERE digest = " + a_row("revoked"),
      "DELETE FROM revoked",
      "DELETE FROM issued WHERE digest = " + a_row("issued"),
      "DELETE FROM issued WHERE digest = " + a_row("revoked") +
          "; DELETE FROM revoked WHERE digest NOT IN (SELECT digest FROM issued)",
      "DELETE FROM issued; DELETE FROM revoked",
      "DELETE FROM head",
      "UPDATE head SET row = (SELECT row FROM revoked)",
      "UPDATE issued SET not_after = not_after + 1",
      "UPDATE issued SET row = (SELECT row FROM issued ORDER BY digest DESC LIMIT 1) WHERE digest = " + a_row("issued"),
      "UPDATE revoked SET row = zeroblob(64)",
      "INSERT INTO revoked SELECT digest, (SELECT row FROM revoked) FROM issued"
      " WHERE digest NOT IN (SELECT digest FROM revoked)",
      "INSERT INTO issued SELECT zeroblob(32), not_after, row FROM issued LIMIT 1"};
  for (const std::string& sql : attacks) {
    fresh();
    Tamper(sql);
    EXPECT_EQ(LoadError(), ErrorCode::kDataLoss) << sql;
  }
  fresh();
  const auto other = OutCertificates::Open(path(), crypto::Secret::Copy(Bytes(32, 8)), clock_, random_).value().Load();
  EXPECT_EQ(other.error().code(), ErrorCode::kFailedPrecondition);
}

// A row that had ended and was swept, kept for later, does not fill the place of one that is taken out.
TEST_F(OutCertificatesTest, ARowOfEarlierFillsNoGap) {
  {
    OutCertificates out = Open();
    ASSERT_TRUE(out.Load().ok());
    ASSERT_TRUE(out.Add(Certificate(1, minutes(5))).ok());
    ASSERT_TRUE(out.Add(Certificate(2, minutes(15))).ok());
  }
  std::filesystem::copy_file(path(), folder_ + "/old.db");
  clock_.Advance(minutes(6));
  EXPECT_EQ(LoadError(), ErrorCode::kUnknown);
  Tamper("DELETE FROM issued; ATTACH '" + folder_ +
         "/old.db' AS old; INSERT INTO issued SELECT * FROM old.issued ORDER BY not_after LIMIT 1");
  EXPECT_EQ(LoadError(), ErrorCode::kDataLoss);
}

TEST_F(OutCertificatesTest, AClockThatIsSetBackTakesNothingForForged) {
  {
    OutCertificates out = Open();
    ASSERT_TRUE(out.Load().ok());
    ASSERT_TRUE(out.Add(Certificate(1, minutes(5))).ok());
    clock_.Advance(minutes(60));
    ASSERT_TRUE(out.Load().value().empty());
    clock_.StepWall(-minutes(59));
    ASSERT_TRUE(out.Add(Certificate(2, minutes(5))).ok());
  }
  for (int start = 0; start < 2; ++start) EXPECT_EQ(Open().Load().value().size(), 1u);
}

TEST_F(OutCertificatesTest, TakesOverWhatAnEarlierReleaseLeftInPlainText) {
  { Open(); }
  Tamper(
      "DROP TABLE issued; DROP TABLE revoked; DROP TABLE head; PRAGMA user_version = 4;"
      "INSERT INTO certificate VALUES (x'01', 'p', 'spiffe://example.org/a', 'key', 3600300, 0, NULL, NULL),"
      " (x'02', 'p', 'spiffe://example.org/a', 'key', 3600900, 1, '" +
      instance_.value() + "', 3600001)");
  for (int start = 0; start < 2; ++start) {
    const auto left = Open().Load().value();
    ASSERT_EQ(left.size(), 2u);
    EXPECT_EQ(left[0].serial, Bytes{1});
    EXPECT_FALSE(left[0].revoked);
    EXPECT_EQ(left[1].instance, instance_);
    EXPECT_EQ(left[1].revoked_at, WallTime(std::chrono::seconds(3600001)));
  }
  std::ifstream in(path(), std::ios::binary);
  const std::string all(std::istreambuf_iterator<char>(in), {});
  EXPECT_EQ(all.find("spiffe://example.org"), std::string::npos);
}

}  // namespace
}  // namespace hexr::keeper
