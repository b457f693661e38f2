// Digests of programs: remembered, bounded, in turns.
#include "spawner/image.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "base/limits/agents.h"
#include "spawner/testing/agent.h"

namespace hexr::spawner {
namespace {

using namespace testing;  // NOLINT: the harness of these tests

// As if changes showed, wherever these tests have their files.
bool AllLast(int, WallTime) { return true; }

TEST(ImageTest, DigestsAreRememberedUntilTheFileChanges) {
  const TempFolder folder;
  const std::string path = folder.path() + "/program";
  std::ofstream(path) << "one";
  runtime::Loop loop;
  const SystemClock clock;
  ImageDigests images(loop, clock, AllLast);
  const auto measure = [&] {
    std::optional<Result<crypto::Sha256Digest>> got;
    images.Measure("x", UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC)),
                   [&](Result<crypto::Sha256Digest> r) { got = std::move(r); });
    EXPECT_FALSE(got.has_value()) << "never inside the call";
    while (!got) loop.RunFor(std::chrono::milliseconds(10));
    return got->value();
  };
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_FALSE(images.Known(fd.get()).has_value());
  EXPECT_EQ(measure(), crypto::Sha256("one"));
  EXPECT_EQ(images.Known(fd.get()), crypto::Sha256("one"));
  std::ofstream(path) << "three";
  EXPECT_FALSE(images.Known(fd.get()).has_value());
  EXPECT_EQ(measure(), crypto::Sha256("three"));
}

TEST(ImageTest, OnlyRegularFilesAndNeverMoreThanTheBound) {
  runtime::Loop loop;
  const SystemClock clock;
  ImageDigests images(loop, clock, AllLast);
  size_t refused = 0, failed = 0;
  const size_t n = limits::kMaxQueuedMeasurements + 64;
  for (size_t i = 0; i < n; ++i) {
    images.Measure("x", UniqueFd(open("/dev/zero", O_RDONLY | O_CLOEXEC)), [&](Result<crypto::Sha256Digest> r) {
      ASSERT_FALSE(r.ok());
      ++(r.error().code() == ErrorCode::kResourceExhausted ? refused : failed);
    });
  }
  while (refused + failed < n) loop.RunFor(std::chrono::milliseconds(10));
  EXPECT_GE(failed, 1u);
}

UniqueFd Sparse(const std::string& path, uint64_t size) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0700));
  EXPECT_EQ(ftruncate(fd.get(), static_cast<off_t>(size)), 0);
  return fd;
}

// INV-SPAWN-15: files that cost their maker nothing keep nobody else's launch from its digest.
TEST(ImageTest, WhoHasHugeFilesMeasuredHoldsUpNobodyElse) {
  const TempFolder folder;
  runtime::Loop loop;
  const SystemClock clock;
  ImageDigests images(loop, clock, AllLast);
  size_t huge = 0, refused = 0;
  constexpr size_t kMore = 5;
  for (size_t i = 0; i < limits::kMaxQueuedMeasurementsOfOne + kMore; ++i) {
    images.Measure("agent", Sparse(folder.path() + "/" + std::to_string(i), limits::kMaxMeasuredFileBytes),
                   [&](const Result<crypto::Sha256Digest>& r) {
                     ++(!r.ok() && r.error().code() == ErrorCode::kResourceExhausted ? refused : huge);
                   });
  }
  std::optional<Result<crypto::Sha256Digest>> other;
  std::ofstream(folder.path() + "/program") << "one";
  images.Measure("uid:1000", UniqueFd(open((folder.path() + "/program").c_str(), O_RDONLY | O_CLOEXEC)),
                 [&](Result<crypto::Sha256Digest> r) { other = std::move(r); });
  while (!other) loop.RunFor(std::chrono::milliseconds(10));
  EXPECT_EQ(other->value(), crypto::Sha256("one"));
  EXPECT_EQ(huge, 0u) << "it had to wait for one that came before it";
  while (refused < kMore) loop.RunFor(std::chrono::milliseconds(10));
  EXPECT_EQ(refused, kMore);
}

TEST(ImageTest, BeyondTheBoundOfAllOnlyWhoWaitsForNothingIsLetIn) {
  const TempFolder folder;
  runtime::Loop loop;
  const SystemClock clock;
  ImageDigests images(loop, clock, AllLast);
  size_t refused = 0;
  for (size_t party = 0; party < limits::kMaxQueuedMeasurements; party += limits::kMaxQueuedMeasurementsOfOne) {
    for (size_t i = 0; i < limits::kMaxQueuedMeasurementsOfOne; ++i) {
      const std::string name = std::to_string(party) + "." + std::to_string(i);
      images.Measure(name.substr(0, name.find('.')), Sparse(folder.path() + "/" + name, limits::kMaxMeasuredFileBytes),
                     [&](const Result<crypto::Sha256Digest>& r) { refused += r.ok() ? 0 : 1; });
    }
  }
  std::ofstream(folder.path() + "/program") << "one";
  std::vector<Result<crypto::Sha256Digest>> mine;
  for (int i = 0; i < 2; ++i) {
    images.Measure("late", UniqueFd(open((folder.path() + "/program").c_str(), O_RDONLY | O_CLOEXEC)),
                   [&](Result<crypto::Sha256Digest> r) { mine.push_back(std::move(r)); });
  }
  while (mine.size() < 2) loop.RunFor(std::chrono::milliseconds(10));
  EXPECT_EQ(refused, 0u);
  EXPECT_EQ(mine[0].error().code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(mine[1].value(), crypto::Sha256("one"));
}

TEST(ImageTest, AFileOfSeveralTurnsIsMeasuredWhole) {
  const TempFolder folder;
  const std::string content(2 * limits::kMeasuredBytesPerTurn + 5, 'x');
  std::ofstream(folder.path() + "/large") << content;
  runtime::Loop loop;
  const SystemClock clock;
  ImageDigests images(loop, clock, AllLast);
  std::optional<Result<crypto::Sha256Digest>> got;
  images.Measure("x", UniqueFd(open((folder.path() + "/large").c_str(), O_PATH | O_CLOEXEC)),
                 [&](Result<crypto::Sha256Digest> r) { got = std::move(r); });
  while (!got) loop.RunFor(std::chrono::milliseconds(10));
  EXPECT_EQ(got->value(), crypto::Sha256(content));
}

TEST(ImageTest, AFileThatIsTooLargeIsNotMeasured) {
  const TempFolder folder;
  runtime::Loop loop;
  const SystemClock clock;
  ImageDigests images(loop, clock, AllLast);
  std::optional<Result<crypto::Sha256Digest>> got;
  images.Measure("x", Sparse(folder.path() + "/huge", limits::kMaxMeasuredFileBytes + 1),
                 [&](Result<crypto::Sha256Digest> r) { got = std::move(r); });
  while (!got) loop.RunFor(std::chrono::milliseconds(10));
  EXPECT_EQ(got->error().code(), ErrorCode::kResourceExhausted);
}

TEST(ImageTest, SoManyDigestsAreRemembered) {
  const TempFolder folder;
  runtime::Loop loop;
  const SystemClock clock;
  ImageDigests images(loop, clock, AllLast);
  const auto at = [&](size_t i) { return folder.path() + "/" + std::to_string(i); };
  const auto open_at = [&](size_t i) { return UniqueFd(open(at(i).c_str(), O_RDONLY | O_CLOEXEC)); };
  for (size_t i = 0; i <= limits::kMaxKnownImages; ++i) {
    std::ofstream(at(i)) << i;
    if (i == limits::kMaxKnownImages) {
      EXPECT_TRUE(images.Known(open_at(0).get()).has_value()) << "before there is one too many";
    }
    bool done = false;
    images.Measure("x", open_at(i), [&](const Result<crypto::Sha256Digest>& r) { done = r.ok(); });
    while (!done) loop.RunFor(std::chrono::milliseconds(10));
  }
  EXPECT_FALSE(images.Known(open_at(0).get()).has_value());
  EXPECT_TRUE(images.Known(open_at(limits::kMaxKnownImages).get()).has_value());
}

// The attack: the file is measured, written through a mapping, which moves no time here, and measured again.
TEST(ImageTest, WhatIsWrittenWithoutASignIsMeasuredAgain) {
  char path[] = "/dev/shm/hexr-image-XXXXXX";
  const UniqueFd fd(mkostemp(path, O_CLOEXEC));
  ASSERT_EQ(write(fd.get(), "good", 4), 4);
  auto* const at = static_cast<volatile char*>(mmap(nullptr, 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
  ASSERT_NE(at, MAP_FAILED);
  ASSERT_EQ(at[0], 'g');  // from here on the page is there, and writing it is no fault
  runtime::Loop loop;
  const ManualClock clock(SystemClock().Wall() + std::chrono::hours(1));
  ImageDigests images(loop, clock);
  const auto measure = [&] {
    std::optional<Result<crypto::Sha256Digest>> got;
    images.Measure("x", UniqueFd(open(path, O_RDONLY | O_CLOEXEC)),
                   [&](Result<crypto::Sha256Digest> r) { got = std::move(r); });
    while (!got) loop.RunFor(std::chrono::milliseconds(10));
    return got->value();
  };
  EXPECT_EQ(measure(), crypto::Sha256("good"));
  at[0] = 'f';
  EXPECT_EQ(measure(), crypto::Sha256("food"));
  munmap(const_cast<char*>(at), 4);
  unlink(path);
}

// Written to for as long as it is read: what came out is the digest of no file that ever was.
TEST(ImageTest, AFileThatChangesMeanwhileHasNoDigest) {
  const TempFolder folder;
  runtime::Loop loop;
  const SystemClock clock;
  ImageDigests images(loop, clock, AllLast);
  const UniqueFd file = Sparse(folder.path() + "/program", uint64_t{256} << 20);
  std::optional<Result<crypto::Sha256Digest>> got;
  images.Measure("x", UniqueFd(open((folder.path() + "/program").c_str(), O_RDONLY | O_CLOEXEC)),
                 [&](Result<crypto::Sha256Digest> r) { got = std::move(r); });
  for (off_t at = 0; !got; ++at) {
    ASSERT_EQ(pwrite(file.get(), "x", 1, at % 4096), 1);
    loop.RunFor(std::chrono::milliseconds(1));
  }
  ASSERT_FALSE(got->ok());
  EXPECT_EQ(got->error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_FALSE(images.Known(file.get()).has_value());
}

// A process that has ended and is still there has no arguments, now or later.
TEST(ImageTest, AProcessWithoutArgumentsIsLookedAtSoOften) {
  const pid_t pid = fork();
  if (pid == 0) _exit(0);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  EXPECT_TRUE(LookForScript(pid, "/usr/bin/dash").too_early);
  runtime::Loop loop;
  const SystemClock clock;
  ImageDigests images(loop, clock, AllLast);
  std::optional<size_t> looks;
  images.FindScript("x", pid, "/usr/bin/dash", [&](const RunningProgram& script, size_t n) {
    EXPECT_EQ(script.path, "");
    looks = n;
  });
  while (!looks) loop.RunFor(std::chrono::milliseconds(10));
  EXPECT_EQ(looks, limits::kMaxLooksForArguments);
  images.FindScript("x", pid, "/usr/bin/cat", [&](const RunningProgram&, size_t n) { looks = n; });
  EXPECT_EQ(looks, 0u) << "which takes none";
  waitpid(pid, nullptr, 0);
}

}  // namespace
}  // namespace hexr::spawner
