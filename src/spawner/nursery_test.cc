// What is made ahead of a launch: bounded, never used twice, of nobody until it is chosen, and gone with its maker.
#include "spawner/nursery.h"

#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>

#include <fstream>
#include <iterator>
#include <set>

#include "base/limits/agents.h"
#include "spawner/testing/client.h"
#include "spawner/testing/node.h"

namespace hexr::spawner {
namespace {

using namespace testing;  // NOLINT: the harness of these tests

class NurseryTest : public ::testing::TestWithParam<Who> {};
INSTANTIATE_TEST_SUITE_P(As, NurseryTest, ::testing::Values(Who::kRoot, Who::kPlain), CallerName);

std::vector<pid_t> ChildrenHere() {
  std::ifstream in("/proc/self/task/" + std::to_string(getpid()) + "/children");
  std::vector<pid_t> out;
  for (pid_t p = 0; in >> p;) out.push_back(p);
  return out;
}

bool Stocked(Node& node) {
  return node.Until([&] { return node.spawner->prepared() == limits::kMaxPreparedPerTenant; });
}

TEST_P(NurseryTest, IsFilledToItsBoundAfterALaunchAndEachProcessServesOne) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    EXPECT_EQ(node.spawner->prepared(), 0u);  // a tenant that starts nothing costs nothing
    std::set<std::string> instances;
    for (int i = 0; i < 3; ++i) {
      Client c(node.path());
      c.Launch(folder.path(), {"sh", "-c",
                               "[ -e /tmp/trace ] && echo seen; echo left > /tmp/trace; ls -A /run /dev/shm /home/u; "
                               "cat /proc/sys/kernel/hostname"});
      ASSERT_TRUE(node.UntilEnded(c));
      ASSERT_TRUE(c.started.has_value()) << (c.refused ? c.refused->message() : "");
      c.Poll();
      EXPECT_EQ(c.text, "/dev/shm:\n\n/home/u:\n\n/run:\nhexr\ncrew\n");
      instances.insert(c.started->instance());
      ASSERT_TRUE(Stocked(node));
      for (int turn = 0; turn < 50; ++turn) node.loop.RunFor(std::chrono::milliseconds(1));
      EXPECT_EQ(node.spawner->prepared(), limits::kMaxPreparedPerTenant);
    }
    EXPECT_EQ(instances.size(), 3u);
    EXPECT_TRUE(node.Until([&] { return node.spawner->instances() == 0; }));
    EXPECT_EQ(ChildrenHere().size(), limits::kMaxPreparedPerTenant);
    bool drained = false;
    node.spawner->Drain(std::chrono::seconds(3), [&] { drained = true; });
    EXPECT_TRUE(node.Until([] { return ChildrenHere().empty(); }));
    EXPECT_TRUE(node.Until([&] { return drained; }));
  });
}

// INV-SPAWN-17: what waits holds nothing of a caller: no file of theirs, no variable, no folder.
TEST_P(NurseryTest, WhatWaitsHoldsNothingOfTheCallerBefore) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), {"sleep", "1000"});
    ASSERT_TRUE(node.UntilStarted(c));
    ASSERT_TRUE(c.started.has_value()) << (c.refused ? c.refused->message() : "");
    ASSERT_TRUE(Stocked(node));
    size_t looked_at = 0;
    for (const pid_t pid : ChildrenHere()) {
      const std::string proc = "/proc/" + std::to_string(pid);
      std::ifstream children(proc + "/task/" + std::to_string(pid) + "/children");
      std::string name;
      if (pid_t second = 0; children >> second) std::ifstream("/proc/" + std::to_string(second) + "/comm") >> name;
      if (name == "sleep") continue;  // the agent
      ++looked_at;
      std::ifstream mounts(proc + "/mountinfo");
      std::string all((std::istreambuf_iterator<char>(mounts)), {});
      EXPECT_TRUE(geteuid() != 0 || !all.empty());
      EXPECT_EQ(all.find(folder.path() + " "), std::string::npos);
      std::ifstream maps(proc + "/maps");
      size_t plans = 0;
      for (std::string line; std::getline(maps, line);) plans += line.find("rw-s") != std::string::npos;
      EXPECT_LE(plans, 1u) << "its own plan's pages, and no other's";
      EXPECT_TRUE(geteuid() != 0 || plans == 1);  // a plain user sees them in one that is not quite ready alone
      const auto files = [&] {
        size_t n = 0;
        DIR* d = opendir((proc + "/fd").c_str());
        while (const dirent* e = d != nullptr ? readdir(d) : nullptr) n += e->d_name[0] != '.';
        if (d != nullptr) closedir(d);
        return n;
      };
      EXPECT_TRUE(node.Until([&] { return files() <= 4; })) << files() << ": more than sync, errors, control, PID 2's";
    }
    EXPECT_EQ(looked_at, limits::kMaxPreparedPerTenant);
  });
}

TEST_P(NurseryTest, OneThatDiesWhileItWaitsIsNotUsed) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    const auto run = [&] {
      Client c(node.path());
      c.Launch(folder.path(), {"true"});
      EXPECT_TRUE(node.UntilEnded(c));
      EXPECT_FALSE(c.refused.has_value()) << c.refused->message();
    };
    run();
    ASSERT_TRUE(Stocked(node));
    for (const pid_t pid : ChildrenHere()) {
      kill(pid, SIGKILL);
      siginfo_t info{};
      waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
    }
    run();  // the loop has not run since
    ASSERT_TRUE(Stocked(node));
    for (const pid_t pid : ChildrenHere()) kill(pid, SIGKILL);
    ASSERT_TRUE(node.Until([&] { return node.spawner->prepared() == 0; }));
    for (int turn = 0; turn < 50; ++turn) node.loop.RunFor(std::chrono::milliseconds(1));
    EXPECT_EQ(node.spawner->prepared(), 0u) << "made again and again for nobody";
    run();
  });
}

// INV-SPAWN-12: files of the machine that have been copied are looked at again.
TEST(OriginsTest, TellsWhenTheMachineHasSomethingElse) {
  const TempFolder folder;
  const std::string file = folder.path() + "/file", link = folder.path() + "/link", place = folder.path() + "/place";
  std::ofstream(file) << "one";
  mkdir(place.c_str(), 0755);
  ASSERT_EQ(symlink("file", link.c_str()), 0);
  const auto seen = [&] {
    Origins o;
    o.Add(file, Origins::What::kContent);
    o.Add(link, Origins::What::kPlace);
    o.Add(place, Origins::What::kPlace);
    o.Add(folder.path() + "/absent", Origins::What::kContent);
    return o;
  };
  Origins o = seen();
  EXPECT_TRUE(o.Unchanged());
  std::ofstream(place + "/inside") << "x";
  EXPECT_TRUE(o.Unchanged()) << "a mount shows what a folder holds now";
  std::ofstream(file) << "other";
  EXPECT_FALSE(o.Unchanged()) << "content";
  o = seen();
  std::ofstream(folder.path() + "/absent") << "now";
  EXPECT_FALSE(o.Unchanged()) << "a file that was not there";
  unlink((folder.path() + "/absent").c_str());
  o = seen();
  rename(place.c_str(), (place + ".old").c_str());
  mkdir(place.c_str(), 0755);
  EXPECT_FALSE(o.Unchanged()) << "another folder";
  o = seen();
  unlink(link.c_str());
  ASSERT_EQ(symlink("elsewhere", link.c_str()), 0);
  EXPECT_FALSE(o.Unchanged()) << "another link";
}

TEST(MountWatchTest, SeesWhatIsMountedSinceTheLastLook) {
  As(Who::kRoot, [] {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    const TempFolder folder;
    MountWatch watch;
    EXPECT_FALSE(watch.Changed());
    ASSERT_EQ(mount("t", folder.path().c_str(), "tmpfs", 0, nullptr), 0);
    EXPECT_TRUE(watch.Changed());
    EXPECT_FALSE(watch.Changed());
    ASSERT_EQ(umount(folder.path().c_str()), 0);
    EXPECT_TRUE(watch.Changed());
  });
}

// A mount below a system folder that came after the process was made is there for the next agent.
TEST(NurseryMounts, AMountThatCameAfterIsSeenByTheNextAgent) {
  As(Who::kRoot, [] {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    Node node;
    const TempFolder folder;
    const auto look = [&] {
      Client c(node.path());
      c.Launch(folder.path(), {"ls", "-A", "/opt"});
      EXPECT_TRUE(node.UntilEnded(c));
      EXPECT_FALSE(c.refused.has_value()) << c.refused->message();
      c.Poll();
      return c.text;
    };
    look();
    ASSERT_TRUE(Stocked(node));
    ASSERT_EQ(mount("t", "/opt", "tmpfs", 0, nullptr), 0);
    std::ofstream("/opt/new-since") << "x";
    EXPECT_EQ(look(), "new-since\n");
  });
}

// Nor does it get a file of /etc as it was when its process was made.
TEST(NurseryMounts, AFileThatChangedSinceIsSeenByTheNextAgent) {
  As(Who::kRoot, [] {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    const TempFolder folder;
    const std::string shells = folder.path() + "/shells";
    std::ofstream(shells) << "before";
    ASSERT_EQ(mount(shells.c_str(), "/etc/shells", nullptr, MS_BIND, nullptr), 0);
    Node node;
    const auto look = [&] {
      Client c(node.path());
      c.Launch(folder.path(), {"cat", "/etc/shells"});
      EXPECT_TRUE(node.UntilEnded(c));
      EXPECT_FALSE(c.refused.has_value()) << c.refused->message();
      c.Poll();
      return c.text;
    };
    EXPECT_EQ(look(), "before");
    ASSERT_TRUE(Stocked(node));
    std::ofstream(shells) << "since";
    EXPECT_EQ(look(), "since");
  });
}

TEST_P(NurseryTest, GoesWithASpawnerThatDies) {
  As(GetParam(), [] {
    int report[2];
    ASSERT_EQ(pipe2(report, O_CLOEXEC), 0);
    fflush(nullptr);
    const pid_t maker = fork();
    if (maker == 0) {
      Node node;
      const TempFolder folder;
      Client c(node.path());
      c.Launch(folder.path(), {"true"});
      node.UntilEnded(c);
      Stocked(node);
      for (const pid_t pid : ChildrenHere()) (void)!write(report[1], &pid, sizeof pid);
      raise(SIGKILL);  // nothing is ended in order
    }
    close(report[1]);
    std::vector<runtime::UniqueFd> waiting;
    for (pid_t pid = 0; read(report[0], &pid, sizeof pid) == sizeof pid;) {
      auto handle = runtime::OpenPidfd(pid);
      if (handle.ok()) waiting.push_back(std::move(*handle));
    }
    close(report[0]);
    waitpid(maker, nullptr, 0);
    for (const auto& w : waiting) {
      pollfd p{w.get(), POLLIN, 0};
      EXPECT_EQ(poll(&p, 1, 20'000), 1) << "outlives the spawner that made it";
    }
  });
}

TEST_P(NurseryTest, ATenantThatGoesTakesItsProcessesAlong) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), {"true"});
    ASSERT_TRUE(node.UntilEnded(c));
    ASSERT_TRUE(Stocked(node));
    Envelope none;
    none.mutable_tenants();
    (void)!node.supervisor->Send(std::move(none)).ok();
    EXPECT_TRUE(node.Until([&] { return node.spawner->prepared() == 0; }));
  });
}

// kMaxPrepared bounds them over all tenants.
TEST(NurseryBound, AllTenantsTogetherHaveABoundToo) {
  As(Who::kRoot, [] {
    constexpr size_t kTenants = limits::kMaxPrepared / limits::kMaxPreparedPerTenant + 2;
    runtime::Loop loop;
    const SystemClock clock;
    size_t made = 0;
    Nursery nursery(loop, [&](const IdSegment&) -> Result<Prepared> {
      auto ground = std::make_unique<Groundwork>();
      ground->uid = ground->gid = 1000;
      ground->filter = BuildAgentFilter(ExecCalls::kNotify);
      auto launch = Launch::Prepare(std::move(ground), {kTenantUid, kTenantUid});
      if (!launch.ok()) return launch.error();
      return Prepared{InstanceId::Make(++made, "0123456789"), std::move(*launch)};
    });
    for (size_t i = 0; i < kTenants; ++i) {
      auto taken = nursery.Take(IdSegment::Parse("t" + std::to_string(i)).value());
      ASSERT_TRUE(taken.ok()) << taken.error().ToString();
    }
    for (size_t i = 0; i < kTenants; ++i) nursery.Done();
    const runtime::Timer busy = loop.After(std::chrono::hours(1), [] {});
    for (int i = 0; i < 4000 && nursery.waiting() < limits::kMaxPrepared; ++i)
      loop.RunFor(std::chrono::milliseconds(2));
    for (int i = 0; i < 20; ++i) loop.RunFor(std::chrono::milliseconds(2));
    EXPECT_EQ(nursery.waiting(), limits::kMaxPrepared);
    nursery.Close();
    EXPECT_EQ(nursery.waiting(), 0u);
  });
}

}  // namespace
}  // namespace hexr::spawner
