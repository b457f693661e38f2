// Work on files whose owners let it take as long as they like.
#include "spawner/file_work.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <vector>

#include "runtime/unique_fd.h"

namespace hexr::spawner {
namespace {

using runtime::UniqueFd;

// Fails only where a clock is of no help: what is looked at comes, or never does.
bool RunUntil(runtime::Loop& loop, const std::function<bool()>& done) {
  const runtime::Timer busy = loop.After(std::chrono::hours(1), [] {});
  for (int i = 0; i < 10'000 && !done(); ++i) loop.RunFor(std::chrono::milliseconds(2));
  return done();
}

constexpr auto kSoon = limits::kFileWorkStuckAfter / 100;

// A file system that answers when it is let go.
struct Slow {
  Slow() {
    int fds[2];
    EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
    read_end = UniqueFd(fds[0]);
    write_end = UniqueFd(fds[1]);
  }
  UniqueFunction<bool()> Turn() const {
    return [fd = UniqueFd(fcntl(read_end.get(), F_DUPFD_CLOEXEC, 0))] {
      char byte = 0;
      (void)!read(fd.get(), &byte, 1);
      return true;
    };
  }
  void LetGo() { write_end.reset(); }
  UniqueFd read_end, write_end;
};

// INV-SPAWN-15
TEST(FileWorkTest, AFileSystemThatDoesNotAnswerHoldsUpItsOwnPartyAlone) {
  runtime::Loop loop;
  Slow slow;
  FileWork files(loop, kSoon);
  int theirs = 0, mine = 0;
  ASSERT_TRUE(files.Add("slow", 16, slow.Turn(), [&] { ++theirs; }).ok());
  ASSERT_TRUE(files
                  .Add(
                      "slow", 16, [] { return true; }, [&] { ++theirs; })
                  .ok());
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(files
                    .Add(
                        "other", 16, [] { return true; }, [&] { ++mine; })
                    .ok());
  ASSERT_TRUE(RunUntil(loop, [&] { return mine == 3; }));
  EXPECT_EQ(theirs, 0);
  EXPECT_EQ(files.threads(), 2u);
  slow.LetGo();
  ASSERT_TRUE(RunUntil(loop, [&] { return theirs == 2 && files.threads() == 1; }));
  ASSERT_TRUE(files
                  .Add(
                      "other", 16, [] { return true; }, [&] { ++mine; })
                  .ok());
  EXPECT_TRUE(RunUntil(loop, [&] { return mine == 4; }));
}

TEST(FileWorkTest, ThereAreSoManyThreadsAndThenItIsSaid) {
  runtime::Loop loop;
  Slow slow;
  FileWork files(loop, kSoon);
  for (size_t i = 0; i < limits::kMaxFileThreads; ++i)
    ASSERT_TRUE(files.Add("slow" + std::to_string(i), 16, slow.Turn(), [] {}).ok());
  Status last = Ok();
  ASSERT_TRUE(RunUntil(loop, [&] {
    last = files.Add(
        "other", 100'000, [] { return true; }, [] {});
    return !last.ok();
  }));
  EXPECT_EQ(last.error().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(files.threads(), limits::kMaxFileThreads);
  std::optional<Result<int>> got;
  files.Run<int>(
      "other", [] { return 1; }, [&](Result<int> r) { got = std::move(r); });
  EXPECT_FALSE(got.has_value()) << "never inside the call";
  ASSERT_TRUE(RunUntil(loop, [&] { return got.has_value(); }));
  EXPECT_EQ(got->error().code(), ErrorCode::kUnavailable);
  slow.LetGo();
  ASSERT_TRUE(RunUntil(loop, [&] { return files.waiting() == 0; }));
}

TEST(FileWorkTest, TurnsOfOneGoOnAfterThoseOfOthersAndAShareIsAShare) {
  runtime::Loop loop;
  FileWork files(loop);
  int turns = 0, done = 0;
  ASSERT_TRUE(files
                  .Add(
                      "a", 1, [&turns] { return ++turns == 3; }, [&] { ++done; })
                  .ok());
  ASSERT_TRUE(RunUntil(loop, [&] { return done == 1; }));
  EXPECT_EQ(turns, 3);
  Slow slow;
  ASSERT_TRUE(files.Add("a", 1, slow.Turn(), [] {}).ok());
  EXPECT_EQ(files
                .Add(
                    "a", 1, [] { return true; }, [] {})
                .error()
                .code(),
            ErrorCode::kResourceExhausted);
  slow.LetGo();
}

TEST(FileWorkTest, TheEndWaitsForNothingThatIsStuck) {
  runtime::Loop loop;
  Slow slow;
  bool told = false;
  {
    FileWork files(loop, kSoon);
    ASSERT_TRUE(files.Add("slow", 16, slow.Turn(), [&] { told = true; }).ok());
    ASSERT_TRUE(RunUntil(loop, [&] {
      (void)!files
          .Add(
              "other", 1, [] { return true; }, [] {})
          .ok();
      return files.threads() == 2;
    }));
  }
  slow.LetGo();
  for (int i = 0; i < 20; ++i) loop.RunFor(std::chrono::milliseconds(1));
  EXPECT_FALSE(told);
}

}  // namespace
}  // namespace hexr::spawner
