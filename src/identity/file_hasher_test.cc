#include "identity/file_hasher.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <semaphore>

#include "base/limits/identity.h"
#include "identity/digest_cache.h"
#include "identity/selector.h"
#include "identity/testing/service_fixture.h"
#include "identity/workload_api.h"
#include "spiffe/workload.pb.h"

namespace hexr::identity {
namespace {

using testing::Connection;
using ::testing::IsEmpty;
using testing::Outcome;
using testing::Puppet;
using ::testing::SizeIs;

// A file system that answers when the test says so. Shared with threads that outlive the hasher.
struct SlowFiles {
  std::counting_semaphore<1000> answer{0};
  std::atomic<size_t> asked = 0, answered = 0;

  static HashFunction Of(const std::shared_ptr<SlowFiles>& files) {
    return [files](int, const FileIdentity&, WallTime) -> Result<FileDigest> {
      ++files->asked;
      files->answer.acquire();
      ++files->answered;
      return FileDigest{crypto::Sha256("slow"), true};
    };
  }
};

class FileHasherTest : public ::testing::Test {
 protected:
  template <class Done>
  bool Await(Done done) {
    for (int i = 0; i < 1000 && !done(); ++i) loop_.RunFor(std::chrono::milliseconds(10));
    return done();
  }
  static ProcessFacts Facts(uint32_t uid, uint64_t inode) {
    ProcessFacts facts;
    facts.uid = uid;
    facts.key = {static_cast<int64_t>(uid) + 100, 1, 0};
    facts.exe_fd = runtime::UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    facts.exe_file = FileIdentity{.inode = inode};
    return facts;
  }

  runtime::Loop loop_;
  runtime::Timer later_ = loop_.After(std::chrono::hours(1), [] {});  // a loop with nothing to wait for does not wait
  ManualClock clock_{WallTime{std::chrono::hours(500'000)}};
  testing::NoNames names_;
  testing::NoCgroups cgroups_;
  std::shared_ptr<SlowFiles> files_ = std::make_shared<SlowFiles>();
};

TEST_F(FileHasherTest, ReadsThatHangAreFewAndTheLoopGoesOn) {
  FileHasher hasher(loop_, SlowFiles::Of(files_));
  size_t done = 0;
  for (size_t i = 0; i < limits::kMaxHashingThreads + 2; ++i)
    hasher.Hash({}, {}, {}, [&](const Result<FileDigest>& d) { done += d.ok(); });
  ASSERT_TRUE(Await([&] { return files_->asked == limits::kMaxHashingThreads; }));
  loop_.RunFor(std::chrono::milliseconds(50));
  EXPECT_EQ(files_->asked, limits::kMaxHashingThreads);
  EXPECT_EQ(done, 0u);
  files_->answer.release(limits::kMaxHashingThreads + 2);
  EXPECT_TRUE(Await([&] { return done == limits::kMaxHashingThreads + 2; }));
}

TEST_F(FileHasherTest, NobodyWaitsForAReadThatHangsWhenAllEnds) {
  {
    FileHasher hasher(loop_, SlowFiles::Of(files_));
    hasher.Hash({}, {}, {}, [](const Result<FileDigest>&) { FAIL() << "answered after the end"; });
    ASSERT_TRUE(Await([&] { return files_->asked == 1; }));
  }
  files_->answer.release();
  ASSERT_TRUE(Await([&] { return files_->answered == 1; }));
  loop_.RunFor(std::chrono::milliseconds(20));
}

TEST_F(FileHasherTest, OneUsersHangingFileHoldsUpHimAlone) {
  FileHasher hasher(loop_, [files = files_](int fd, const FileIdentity& file, WallTime now) -> Result<FileDigest> {
    if (file.inode == 1) return SlowFiles::Of(files)(fd, file, now);
    return FileDigest{crypto::Sha256("quick"), true};
  });
  DigestCache digests(clock_);
  SelectorSource source(names_, cgroups_, digests, clock_);
  int read = 0;
  source.ReadOn(hasher, [&] { ++read; });
  SelectorSet mine, theirs;
  const ProcessFacts hanging = Facts(1000, 1), other = Facts(1000, 2), stranger = Facts(1001, 3);
  EXPECT_EQ(source.AddDigest(hanging, mine).error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(source.AddDigest(hanging, mine).error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(source.AddDigest(other, mine).error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(source.AddDigest(stranger, theirs).error().code(), ErrorCode::kUnavailable);
  ASSERT_TRUE(Await([&] { return read == 1; }));
  ASSERT_TRUE(source.AddDigest(stranger, theirs).ok());
  EXPECT_THAT(theirs, SizeIs(1));
  EXPECT_EQ(files_->asked, 1u);
  EXPECT_EQ(source.AddDigest(other, mine).error().code(), ErrorCode::kUnavailable) << "his turn comes after";
  files_->answer.release();
  ASSERT_TRUE(Await([&] { return read == 2; }));
  EXPECT_TRUE(source.AddDigest(hanging, mine).ok());
  EXPECT_THAT(mine, SizeIs(1));
}

TEST_F(FileHasherTest, FilesThatWaitAreBounded) {
  FileHasher hasher(loop_, SlowFiles::Of(files_));
  DigestCache digests(clock_);
  SelectorSource source(names_, cgroups_, digests, clock_);
  source.ReadOn(hasher, [] {});
  SelectorSet set;
  for (uint32_t i = 0; i < limits::kMaxPendingDigests; ++i)
    EXPECT_EQ(source.AddDigest(Facts(i, i), set).error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(source.AddDigest(Facts(9999, 9999), set).error().code(), ErrorCode::kResourceExhausted);
  files_->answer.release(limits::kMaxPendingDigests);
}

// What was found of a file that may change without a sign is told to the process it was read for.
TEST_F(FileHasherTest, WhatDoesNotLastIsReadForEachProcess) {
  FileHasher hasher(
      loop_, [](int, const FileIdentity&, WallTime) -> Result<FileDigest> { return FileDigest{crypto::Sha256("x")}; });
  DigestCache digests(clock_);
  SelectorSource source(names_, cgroups_, digests, clock_);
  int read = 0;
  source.ReadOn(hasher, [&] { ++read; });
  ProcessFacts one = Facts(1000, 5), two = Facts(1001, 5);
  SelectorSet set;
  EXPECT_FALSE(source.AddDigest(one, set).ok());
  ASSERT_TRUE(Await([&] { return read == 1; }));
  EXPECT_FALSE(source.AddDigest(two, set).ok());
  EXPECT_THAT(set, IsEmpty());
  EXPECT_TRUE(source.AddDigest(one, set).ok());
  EXPECT_THAT(set, SizeIs(1));
  ASSERT_TRUE(Await([&] { return read == 2; }));
}

class DigestOfAProgram : public testing::ServiceTest {};

TEST_F(DigestOfAProgram, ARequestWaitsUntilItsProgramHasBeenRead) {
  AddWorkloadApi(*router, *core, evidence);
  const runtime::Timer later = loop.After(std::chrono::hours(1), [] {});
  const runtime::UniqueFd exe(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  const auto digest = HashFile(exe.get(), FileIdentityOf(exe.get()).value(), {});
  ASSERT_TRUE(digest.ok());
  Match("service/db", {Uid(), "unix:sha256:" + HexEncode(digest->sha256)});
  Puppet service;
  Connection c(*router, clock, service.pid());
  JWTSVIDRequest request;
  request.add_audience("db");
  Outcome unary, stream;
  c.Open("/SpiffeWorkloadAPI/FetchJWTSVID", request, unary);
  c.Open("/SpiffeWorkloadAPI/FetchX509SVID", X509SVIDRequest(), stream);
  EXPECT_THAT(unary.messages, IsEmpty());
  EXPECT_FALSE(unary.end.has_value());
  EXPECT_TRUE(Await([&] {
    c.Pump();
    return !unary.messages.empty() && !stream.messages.empty();
  }));
  EXPECT_FALSE(stream.end.has_value());
  EXPECT_THAT(c.Call("/SpiffeWorkloadAPI/FetchJWTSVID", request).messages, SizeIs(1)) << "for a while it is known";
}

}  // namespace
}  // namespace hexr::identity
