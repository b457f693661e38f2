#include "store/database.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "store/private_file.h"

namespace hexr::store {
namespace {

constexpr Migration kSchema[] = {
    {1, "CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB) STRICT; INSERT INTO t VALUES (1, x'aa');"},
    {2, "ALTER TABLE t ADD COLUMN w TEXT NOT NULL DEFAULT 'old';"},
    {3, "CREATE TABLE u (k INTEGER PRIMARY KEY REFERENCES t(k), n TEXT UNIQUE) STRICT;"},
};

class DatabaseTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/hexr-db-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    options_.path = folder_ + "/state.db";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Database Open(size_t versions = 3) { return Database::Open(options_, std::span(kSchema).first(versions)).value(); }
  int64_t Count(Database& db, const char* sql = "SELECT count(*) FROM t") {
    Statement s = db.Prepare(sql).value();
    EXPECT_TRUE(s.Step().value());
    return s.Int(0);
  }
  ErrorCode OpenError() {
    const auto r = Database::Open(options_, kSchema);
    return r.ok() ? ErrorCode::kUnknown : r.error().code();
  }

  std::string folder_;
  DatabaseOptions options_;
};

TEST_F(DatabaseTest, BindsAndReadsEveryKind) {
  Database db = Open();
  Statement in = db.Prepare("INSERT INTO t (k, v, w) VALUES (?1, ?2, ?3)").value();
  ASSERT_TRUE(in.Bind(1, int64_t{-7}).Bind(2, ByteView()).Bind(3, std::string_view("a\0b", 3)).Run().ok());
  ASSERT_TRUE(in.Bind(1, INT64_MAX).BindNull(2).Bind(3, std::string_view("")).Run().ok());
  Statement out = db.Prepare("SELECT k, v, w FROM t WHERE k = ?1").value();
  ASSERT_TRUE(out.Bind(1, int64_t{-7}).Step().value());
  EXPECT_EQ(out.Int(0), -7);
  EXPECT_FALSE(out.IsNull(1));
  EXPECT_TRUE(out.Blob(1).empty());
  EXPECT_EQ(out.Text(2), std::string_view("a\0b", 3));
  EXPECT_FALSE(out.Step().value());
  out.Reset();
  ASSERT_TRUE(out.Bind(1, INT64_MAX).Step().value());
  EXPECT_TRUE(out.IsNull(1));
  out.Reset();
  EXPECT_EQ(out.Bind(2, int64_t{1}).Step().error().code(), ErrorCode::kInternal) << "no such parameter";
}

TEST_F(DatabaseTest, ErrorsSayWhatHappened) {
  Database db = Open();
  EXPECT_EQ(db.Execute("INSERT INTO t (k) VALUES (1)").error().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(db.Execute("INSERT INTO u VALUES (99, 'x')").error().code(), ErrorCode::kFailedPrecondition)
      << "foreign key";
  EXPECT_EQ(db.Execute("INSERT INTO u VALUES (1, \"x\")").error().code(), ErrorCode::kInternal) << "not a string";
  EXPECT_EQ(db.Prepare("SELECT * FROM nothing").error().code(), ErrorCode::kInternal);
}

TEST_F(DatabaseTest, TransactionsAreWholeOrNothing) {
  Database db = Open();
  {
    Transaction t = db.Begin().value();
    ASSERT_TRUE(db.Execute("INSERT INTO t (k) VALUES (2)").ok());
  }
  EXPECT_EQ(Count(db), 1);
  Transaction t = db.Begin().value();
  ASSERT_TRUE(db.Execute("INSERT INTO t (k) VALUES (2)").ok());
  ASSERT_TRUE(t.Commit().ok());
  EXPECT_EQ(Count(db), 2);
}

TEST_F(DatabaseTest, MigratesFromEveryOldVersion) {
  for (size_t from = 0; from <= 3; ++from) {
    std::filesystem::remove(options_.path);
    std::filesystem::remove(options_.path + "-wal");
    if (from > 0) {
      EXPECT_EQ(Open(from).schema_version(), static_cast<int>(from));
    }
    Database db = Open();
    EXPECT_EQ(db.schema_version(), 3);
    EXPECT_EQ(Count(db, "SELECT count(*) FROM t WHERE k = 1 AND w = 'old' AND v = x'aa'"), 1) << from;
    EXPECT_EQ(Count(db, "SELECT count(*) FROM u"), 0);
  }
}

TEST_F(DatabaseTest, FailedMigrationLeavesTheOldSchema) {
  { Database db = Open(1); }
  constexpr Migration kBroken[] = {kSchema[0], {2, "CREATE TABLE ok (k INTEGER); CREATE TABLE t (k INTEGER);"}};
  EXPECT_FALSE(Database::Open(options_, kBroken).ok());
  Database db = Open();
  EXPECT_EQ(db.schema_version(), 3);
  EXPECT_EQ(Count(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'ok'"), 0);
}

TEST_F(DatabaseTest, LaterSchemaIsRefused) {
  { Database db = Open(3); }
  EXPECT_EQ(Database::Open(options_, std::span(kSchema).first(2)).error().code(), ErrorCode::kFailedPrecondition);
}

TEST_F(DatabaseTest, OneProcessAtATime) {
  Database db = Open();
  const pid_t child = fork();
  if (child == 0) _exit(OpenError() == ErrorCode::kUnavailable ? 0 : 1);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_F(DatabaseTest, ModesAreChecked) {
  { Database db = Open(); }
  struct stat s {};
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    ASSERT_EQ(stat(entry.path().c_str(), &s), 0);
    EXPECT_EQ(s.st_mode & 07777, 0600U) << entry.path();
  }
  chmod(options_.path.c_str(), 0640);
  EXPECT_EQ(OpenError(), ErrorCode::kFailedPrecondition);
  chmod(options_.path.c_str(), 0600);
  chmod(folder_.c_str(), 0755);
  EXPECT_EQ(OpenError(), ErrorCode::kFailedPrecondition);
  chmod(folder_.c_str(), 0700);
  std::filesystem::rename(options_.path, folder_ + "/elsewhere");
  std::filesystem::create_symlink(folder_ + "/elsewhere", options_.path);
  EXPECT_EQ(OpenError(), ErrorCode::kFailedPrecondition) << "a link";
}

TEST_F(DatabaseTest, DamageIsFoundAtOpen) {
  {
    Database db = Open();
    Statement in = db.Prepare("INSERT INTO t (k, v) VALUES (?1, ?2)").value();
    for (int64_t i = 10; i < 200; ++i) ASSERT_TRUE(in.Bind(1, i).Bind(2, Bytes(500, 1)).Run().ok());
  }
  const auto size = std::filesystem::file_size(options_.path);
  const Bytes whole = [this] {
    std::ifstream in(options_.path, std::ios::binary);
    return Bytes(std::istreambuf_iterator<char>(in), {});
  }();
  const auto write = [this](const Bytes& b) {
    std::ofstream(options_.path, std::ios::binary | std::ios::trunc)
        .write(reinterpret_cast<const char*>(b.data()), static_cast<long>(b.size()));
  };
  std::filesystem::resize_file(options_.path, size - 4096);
  EXPECT_EQ(OpenError(), ErrorCode::kDataLoss) << "torn: the last page is missing";
  Bytes bad = whole;
  std::fill(bad.begin() + 3 * 4096, bad.begin() + 3 * 4096 + 64, uint8_t{0xff});
  write(bad);
  EXPECT_EQ(OpenError(), ErrorCode::kDataLoss) << "a page overwritten";
  write(ToBytes("this is not a database, whatever its name says, and long enough to be looked at as a header......."));
  EXPECT_EQ(OpenError(), ErrorCode::kDataLoss);
  write(whole);
  Database db = Open();
  EXPECT_EQ(Count(db), 191);
}

TEST_F(DatabaseTest, QuotaIsClearAndLossless) {
  options_.max_pages = 40;
  Database db = Open();
  Statement in = db.Prepare("INSERT INTO t (k, v) VALUES (?1, ?2)").value();
  int64_t committed = 1;
  Status last = Ok();
  for (int64_t i = 2; i < 500 && last.ok(); ++i) {
    last = in.Bind(1, i).Bind(2, Bytes(2000, 1)).Run();
    if (last.ok()) ++committed;
  }
  ASSERT_FALSE(last.ok());
  EXPECT_EQ(last.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(Count(db), committed);
  ASSERT_TRUE(db.Execute("DELETE FROM t WHERE k > 5").ok());
  EXPECT_TRUE(db.Execute("INSERT INTO t (k) VALUES (9999)").ok()) << "room again";
}

// A disk that fills up: RLIMIT_FSIZE makes write(2) fail as a full disk does.
TEST_F(DatabaseTest, FullDiskIsClearAndLossless) {
  { Database db = Open(); }
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{256 * 1024, 256 * 1024};
    setrlimit(RLIMIT_FSIZE, &limit);
    auto db = Database::Open(options_, kSchema);
    if (!db.ok()) _exit(2);
    auto in = db->Prepare("INSERT INTO t (k, v) VALUES (?1, ?2)");
    for (int64_t i = 2; i < 10000; ++i) {
      const Status s = in->Bind(1, i).Bind(2, Bytes(2000, 1)).Run();
      if (s.ok()) continue;
      // What was acknowledged is what is there: the parent counts.
      std::ofstream(folder_ + "/acknowledged") << i - 1;
      _exit(s.error().code() == ErrorCode::kResourceExhausted ? 0 : 3);
    }
    _exit(4);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_EQ(status, 0);
  int64_t acknowledged = 0;
  std::ifstream(folder_ + "/acknowledged") >> acknowledged;
  ASSERT_GT(acknowledged, 1);
  Database db = Open();
  EXPECT_EQ(Count(db), acknowledged);
}

TEST_F(DatabaseTest, ReadOnlyDiskIsClear) {
  if (geteuid() == 0) {  // root writes everything: drop to another uid in a child, with the folder as its own
    ASSERT_EQ(chown(folder_.c_str(), 65534, 65534), 0);
  }
  const pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && setuid(65534) != 0) _exit(2);
    {
      if (!Database::Open(options_, kSchema).ok()) _exit(3);
    }
    chmod(options_.path.c_str(), 0400);
    _exit(OpenError() == ErrorCode::kPermissionDenied ? 0 : 4);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

// Killed at once, in the middle of work: everything acknowledged is there, nothing half is, and the file opens.
TEST_F(DatabaseTest, SigkillLosesNothingAcknowledged) {
  { Database db = Open(); }
  for (int round = 0; round < 5; ++round) {
    int pipe_fds[2];
    ASSERT_EQ(pipe(pipe_fds), 0);
    const pid_t child = fork();
    if (child == 0) {
      auto db = Database::Open(options_, kSchema);
      if (!db.ok()) _exit(2);
      for (;;) {
        // Two rows a transaction: both or none.
        auto t = db->Begin();
        if (!t.ok()) _exit(3);
        for (int i = 0; i < 2; ++i) {
          if (!db->Execute("INSERT INTO t (v) VALUES (randomblob(3000))").ok()) _exit(4);
        }
        if (!t->Commit().ok()) _exit(5);
        if (write(pipe_fds[1], "x", 1) != 1) _exit(6);
      }
    }
    close(pipe_fds[1]);
    char buffer[64];
    ssize_t seen = 0;
    while (seen < 20 + 7 * round) {
      const ssize_t n = read(pipe_fds[0], buffer, sizeof buffer);
      ASSERT_GT(n, 0);
      seen += n;
    }
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    for (ssize_t n = 0; (n = read(pipe_fds[0], buffer, sizeof buffer)) > 0;) seen += n;
    close(pipe_fds[0]);
    ASSERT_TRUE(WIFSIGNALED(status));
    Database db = Open();
    const int64_t rows = Count(db) - 1;
    EXPECT_EQ(rows % 2, 0);
    EXPECT_GE(rows / 2, seen);
    ASSERT_TRUE(db.Execute("DELETE FROM t WHERE k > 1").ok());
  }
}

TEST_F(DatabaseTest, CopyIsConsistentAndPrivate) {
  Database db = Open();
  const std::string copy = folder_ + "/copy.db";
  ASSERT_TRUE(db.CopyTo(copy).ok());
  EXPECT_EQ(db.CopyTo(copy).error().code(), ErrorCode::kAlreadyExists);
  EXPECT_TRUE(CheckPrivateFile(copy).ok());
  Database again = Database::Open({copy, {}}, kSchema).value();
  EXPECT_EQ(Count(again), 1);
}

TEST_F(DatabaseTest, DeletedContentIsGoneFromTheFile) {
  {
    Database db = Open();
    ASSERT_TRUE(db.Execute("INSERT INTO t (k, v) VALUES (5, CAST('needle-in-the-file' AS BLOB))").ok());
    ASSERT_TRUE(db.Execute("DELETE FROM t WHERE k = 5").ok());
    // While it is open, too: a copy of the files of a running node.
    ASSERT_TRUE(db.ForgetDeleted().ok());
    for (const auto& file : std::filesystem::directory_iterator(std::filesystem::path(options_.path).parent_path())) {
      std::ifstream in(file.path(), std::ios::binary);
      const std::string open{std::istreambuf_iterator<char>(in), {}};
      EXPECT_EQ(open.find("needle-in-the-file"), std::string::npos) << file.path();
    }
  }
  std::ifstream in(options_.path, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(whole.find("needle-in-the-file"), std::string::npos);
}

TEST(PrivateFile, ReplacesAsAWholeAndChecks) {
  std::string folder = ::testing::TempDir() + "/hexr-pf-XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/key";
  EXPECT_EQ(ReadPrivateFile(path, 100).error().code(), ErrorCode::kNotFound);
  ASSERT_TRUE(ReplacePrivateFile(path, AsBytes("one")).ok());
  ASSERT_TRUE(ReplacePrivateFile(path, AsBytes("three")).ok());
  EXPECT_TRUE(ReadPrivateFile(path, 100)->Equals(AsBytes("three")));
  EXPECT_EQ(ReadPrivateFile(path, 4).error().code(), ErrorCode::kInvalidArgument);
  chmod(path.c_str(), 0604);
  EXPECT_EQ(ReadPrivateFile(path, 100).error().code(), ErrorCode::kFailedPrecondition);
  chmod(path.c_str(), 0600);
  std::filesystem::create_symlink(path, folder + "/link");
  EXPECT_FALSE(ReadPrivateFile(folder + "/link", 100).ok());
  EXPECT_FALSE(ReadPrivateFile(folder, 100).ok());
  const std::string deep = folder + "/no/such";
  EXPECT_EQ(EnsurePrivateFolder(deep).error().code(), ErrorCode::kNotFound);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace hexr::store
