#include "runtime/shared_counters.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace hexr::runtime {
namespace {

UniqueFd Copy(int fd) { return UniqueFd(fcntl(fd, F_DUPFD_CLOEXEC, 3)); }

TEST(SharedCountersTest, AreSeenWithoutAWord) {
  auto ours = SharedCounters::Create(100);
  ASSERT_TRUE(ours.ok()) << ours.error().ToString();
  auto theirs = SharedCounters::Adopt(Copy(ours->fd()), 100);
  ASSERT_TRUE(theirs.ok()) << theirs.error().ToString();
  EXPECT_EQ(theirs->value(99), 0u);
  ours->Raise(99);
  ours->Raise(99);
  ours->Raise(0);
  EXPECT_EQ(theirs->value(99), 2u);
  EXPECT_EQ(theirs->value(0), 1u);
  EXPECT_EQ(theirs->value(1), 0u);
}

TEST(SharedCountersTest, NobodyElseCanWriteThemOrTakeThemAway) {
  auto ours = SharedCounters::Create(8);
  ASSERT_TRUE(ours.ok());
  const uint64_t number = 7;
  EXPECT_EQ(write(ours->fd(), &number, sizeof number), -1);
  EXPECT_EQ(mmap(nullptr, 64, PROT_READ | PROT_WRITE, MAP_SHARED, ours->fd(), 0), MAP_FAILED);
  EXPECT_NE(ftruncate(ours->fd(), 0), 0);
  ours->Raise(7);
  EXPECT_EQ(ours->value(7), 1u);
}

TEST(SharedCountersTest, ChildrenDoNotInheritThem) {
  auto ours = SharedCounters::Create(8);
  ASSERT_TRUE(ours.ok());
  fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    char line[512];
    bool found = false;
    FILE* maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps) != nullptr) found |= strstr(line, "hexr-counters") != nullptr;
    _exit(found ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(SharedCountersTest, OtherMemoryIsRefused) {
  auto ours = SharedCounters::Create(8);
  ASSERT_TRUE(ours.ok());
  EXPECT_EQ(SharedCounters::Adopt(Copy(ours->fd()), 9).error().code(), ErrorCode::kDataLoss);
  UniqueFd open_memory(memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(ftruncate(open_memory.get(), 64), 0);
  EXPECT_EQ(SharedCounters::Adopt(std::move(open_memory), 8).error().code(), ErrorCode::kDataLoss);
  EXPECT_EQ(SharedCounters::Adopt(UniqueFd(), 8).error().code(), ErrorCode::kDataLoss);
}

}  // namespace
}  // namespace hexr::runtime
