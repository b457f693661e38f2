#include "spawner/shared_plan.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "base/limits/agents.h"

namespace hexr::spawner {
namespace {

TEST(SharedPlanTest, HoldsAPlanAsExecAndAShellWantIt) {
  auto memory = SharedPlanMemory::Make();
  ASSERT_TRUE(memory.ok());
  ChildPlan plan;
  plan.argv = {"script", "a", "b c"};
  plan.env = {"X=1"};
  plan.candidates = {"/bin/script"};
  plan.hostname = "crew";
  MountStep step{};
  step.kind = MountStep::Kind::kText;
  step.target = "/etc/x";
  step.source = std::string("a\0b", 3);
  plan.mounts.push_back(std::move(step));
  ASSERT_TRUE(memory->Write(plan).ok());
  const SharedPlan& shared = *memory->plan();
  EXPECT_STREQ(shared.argv[0], "script");
  EXPECT_STREQ(shared.argv[2], "b c");
  EXPECT_EQ(shared.argv[3], nullptr);
  EXPECT_STREQ(shared.env[0], "X=1");
  EXPECT_EQ(shared.env[1], nullptr);
  EXPECT_STREQ(shared.shell[0], "sh");
  EXPECT_STREQ(shared.shell[2], "a");
  EXPECT_STREQ(shared.shell[3], "b c");
  EXPECT_EQ(shared.shell[4], nullptr);
  ASSERT_EQ(shared.mounts.size(), 1u);
  EXPECT_EQ(shared.mounts[0].source_bytes, 3u);
  EXPECT_EQ(memcmp(shared.mounts[0].source, "a\0b", 3), 0);
  EXPECT_FALSE(shared.mounts[0].brings_tree);
}

// INV-SPAWN-17: what one launch is given is in no process of another.
TEST(SharedPlanTest, IsInTheChildThatItIsMeantForAndInNoOther) {
  auto mine = SharedPlanMemory::Make(), others = SharedPlanMemory::Make();
  ASSERT_TRUE(mine.ok() && others.ok());
  ASSERT_TRUE(mine->ShareWithNextChild(true).ok());
  fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    const auto mapped = [](const SharedPlanMemory& m) { return msync(m.plan(), 1, MS_ASYNC) == 0; };
    _exit((mapped(*mine) ? 1 : 0) + (mapped(*others) ? 2 : 0));
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 1);
}

TEST(SharedPlanTest, APlanOverTheBoundIsRefused) {
  auto memory = SharedPlanMemory::Make();
  ASSERT_TRUE(memory.ok());
  ChildPlan plan;
  plan.argv = {"x"};
  plan.env = {std::string(limits::kMaxSharedPlanBytes, 'x')};
  EXPECT_EQ(memory->Write(plan).error().code(), ErrorCode::kResourceExhausted);
}

}  // namespace
}  // namespace hexr::spawner
