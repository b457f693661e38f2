// Who is at the other end of launch.sock.
#include "spawner/caller.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/limits/agents.h"
#include "runtime/packet.h"
#include "runtime/process.h"
#include "spawner/testing/agent.h"

namespace hexr::spawner {
namespace {

using namespace testing;  // NOLINT: the harness of these tests

// A process with one more filter than ours, with no_new_privs, with both or neither, for as long as it is looked at.
Status CheckedAs(bool filter, bool no_new_privs, const std::string& cgroup = "") {
  auto pair = runtime::MakePacketPair().value();
  fflush(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    pair.first.reset();
    sock_filter allow[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
    const sock_fprog program{1, allow};
    // In this order: root needs no no_new_privs to have a filter.
    const bool ok = (!filter || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0) &&
                    (!no_new_privs || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    (void)!write(pair.second.get(), ok ? "1" : "0", 1);
    char byte = 0;
    (void)!read(pair.second.get(), &byte, 1);  // until its other end goes
    _exit(0);
  }
  pair.second.reset();
  char up = 0;
  pollfd p{pair.first.get(), POLLIN, 0};
  EXPECT_TRUE(poll(&p, 1, 20'000) == 1 && read(pair.first.get(), &up, 1) == 1 && up == '1');
  Caller c;
  c.pid = pid;
  c.pidfd = runtime::OpenPidfd(pid).value();
  Status s = CheckLaunched(c, cgroup);
  pair.first.reset();
  waitpid(pid, nullptr, 0);
  return s;
}

// INV-SPAWN-10: each of what a launch gives to all of its processes is asked for, and by itself refuses.
TEST(CallerTest, WhoLacksOneThingThatALaunchGivesWasNotLaunched) {
  As(Who::kRoot, [] {
    EXPECT_TRUE(CheckedAs(true, true).ok());
    for (const auto& s : {CheckedAs(false, true), CheckedAs(true, false), CheckedAs(true, true, "/not-its-group")}) {
      ASSERT_FALSE(s.ok());
      EXPECT_EQ(s.error().code(), ErrorCode::kPermissionDenied);
    }
  });
}

// Groups give rights to folders: more of them than are read are none, rather than the first so many.
TEST(CallerTest, OfACallerSoManyGroupsCount) {
  As(Who::kRoot, [] {
    for (const size_t n : {limits::kMaxCallerGroups, limits::kMaxCallerGroups + 1}) {
      std::vector<gid_t> groups;
      for (size_t i = 0; i < n; ++i) groups.push_back(static_cast<gid_t>(70'000 + i));
      ASSERT_EQ(setgroups(groups.size(), groups.data()), 0);
      auto pair = runtime::MakePacketPair().value();
      const auto caller = IdentifyCaller(pair.first.get());
      ASSERT_TRUE(caller.ok()) << caller.error().ToString();
      EXPECT_EQ(caller->groups.size(), n == limits::kMaxCallerGroups ? 1 + n : 1u);
      EXPECT_EQ(caller->groups.at(0), getegid());
    }
  });
}

}  // namespace
}  // namespace hexr::spawner
