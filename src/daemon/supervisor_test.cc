#include "daemon/supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/limits/messages.h"
#include "daemon/role_host.h"
#include "net/listener.h"

namespace hexr::daemon {
namespace {

using runtime::Channel;
using runtime::Envelope;
using runtime::Message;
using std::chrono::milliseconds;
using std::chrono::seconds;

// ---- what the children of these tests do: this same binary, started with a role's name

class TestRole final : public Role {
 public:
  TestRole(runtime::Loop& loop, StartInfo info, Channel& supervisor)
      : loop_(loop), info_(std::move(info)), supervisor_(supervisor) {
    if (info_.start.role() == "keeper") {
      Envelope t;
      t.mutable_start_tenant()->set_tenant(info_.config.trust_domain.name() == "breaks" ? "breaks" : "default");
      t.mutable_start_tenant()->set_uid_base(200000);
      supervisor_.Call(t, {}, seconds(5), [](Result<Message>) {});
    }
    if (info_.start.role() == "spawner") {
      // Parked in the first life, asked back in the second.
      Envelope e;
      if (info_.start.epoch() == 1) {
        e.mutable_park()->set_key("k");
        e.mutable_park()->set_state("kept");
        std::vector<runtime::UniqueFd> fds;
        fds.emplace_back(dup(1));
        supervisor_.Call(e, std::move(fds), seconds(5), [](Result<Message>) {});
      } else {
        e.mutable_unpark();
        supervisor_.Call(e, {}, seconds(5), [](Result<Message>) {});
      }
    }
    if (info_.config.trust_domain.name() == "oversteps") Overstep();
    if (info_.start.role() == "courier") Note("sockets " + std::to_string(info_.fds.size()));
    Envelope ready;
    ready.mutable_ready();
    supervisor_.Call(ready, {}, seconds(5), [](Result<Message>) {});
  }
  void OnPeer(const std::string& role, const std::string& tenant, runtime::UniqueFd socket) override {
    Note("peer " + role + (tenant.empty() ? "" : "/" + tenant));
    // A tenant of this name has a gateway that breaks its first pair to the keeper.
    if (info_.start.tenant() == "breaks" && role == "keeper" && !std::exchange(broke_, true)) return socket.reset();
    peers_.push_back(std::make_unique<Channel>(
        loop_, std::move(socket), role,
        [this](Message, Channel::Reply r) {
          Note("asked");
          r.Ack();
        },
        [this, role, tenant](const Error&) {
          Envelope lost;
          lost.mutable_peer_lost()->set_role(role);
          lost.mutable_peer_lost()->set_tenant(tenant);
          (void)supervisor_.Send(lost);
        }));
    Envelope ping;
    ping.mutable_ack();
    peers_.back()->Call(ping, {}, seconds(5), [this, role](Result<Message> r) {
      Note((r.ok() ? "answered by " : "no answer from ") + role);
    });
  }
  void OnSupervisor(Message m, Channel::Reply reply) override {
    if (m.body.has_park()) Note("unparked " + m.body.park().state() + " " + std::to_string(m.fds.size()));
    if (m.body.has_tenants()) Note("tenants " + std::to_string(m.body.tenants().tenants_size()));
    reply.Ack();
  }
  void OnDrain(milliseconds, UniqueFunction<void()> done) override {
    Note("drain");
    loop_.Post(std::move(done));
  }

 private:
  // Asks for what is another's to ask for, and the spawner for more than its share.
  void Overstep() {
    const auto ask = [this](const std::string& what, Envelope e) {
      supervisor_.Call(std::move(e), {}, seconds(60), [this, what](const Result<Message>& r) {
        Note(what + ": " + (r.ok() ? "done" : std::string(ErrorCodeName(r.error().code()))));
      });
    };
    if (info_.start.role() != "keeper") {
      Envelope start, stop, metrics;
      start.mutable_start_tenant()->set_tenant("mine");
      ask("start", start);
      stop.mutable_stop_tenant()->set_tenant("default");
      ask("stop", stop);
      metrics.mutable_collect_metrics();
      ask("metrics", metrics);
    }
    Envelope park;
    if (info_.start.role() != "spawner") {
      park.mutable_park()->set_key("k");
      return ask("park", park);
    }
    for (size_t i = 1; i < limits::kMaxParkedItems; ++i) {  // "k" is there
      park.mutable_park()->set_key(std::to_string(i));
      supervisor_.Call(park, {}, seconds(60), [this](const Result<Message>& r) {
        if (!r.ok()) Note("park within the bound: " + r.error().ToString());
      });
    }
    ask("park once more", park);
    park.mutable_park()->set_key("more");
    ask("park one more", park);
  }
  // What happened, for the test to read: a line in a file of the run folder.
  void Note(const std::string& line) {
    std::ofstream(info_.start.run_dir() + "/notes", std::ios::app) << info_.start.role() << ": " << line << "\n";
  }
  runtime::Loop& loop_;
  StartInfo info_;
  Channel& supervisor_;
  std::vector<std::unique_ptr<Channel>> peers_;
  bool broke_ = false;
};

class SupervisorTest : public testing::Test {
 protected:
  SupervisorTest() {
    char folder[] = "/tmp/hexr-sup-XXXXXX";
    home_ = mkdtemp(folder);
    options_.paths = {home_ + "/hexr.yaml", home_ + "/state", home_ + "/run"};
    options_.child_argv = {"/proc/self/exe", "--test-role"};
    options_.config_yaml = "trust_domain: td\nlog: {level: error}\n";
    options_.first_backoff = milliseconds(1);
  }
  ~SupervisorTest() override { std::filesystem::remove_all(home_); }

  std::string Notes() {
    std::ifstream in(home_ + "/run/notes");
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // Turns the loop until `done`, or fails after a time that only a hang reaches.
  bool RunUntil(const std::function<bool()>& done) {
    const MonoTime give_up = clock_.Mono() + seconds(30);
    while (!done()) {
      if (clock_.Mono() > give_up) return false;
      loop_.RunFor(milliseconds(20));
    }
    return true;
  }
  // Turns the loop for that long.
  void Pass(milliseconds time) {
    const MonoTime end = clock_.Mono() + time;
    while (clock_.Mono() < end) loop_.RunFor(milliseconds(20));
  }
  pid_t PidOf(const Supervisor& s, const std::string& name) {
    for (const auto& c : s.children()) {
      if (c.name == name) return c.pid;
    }
    return -1;
  }

  SystemClock clock_;
  runtime::Loop loop_;
  std::string home_;
  SupervisorOptions options_;
};

// Whatever the umask: everyone may ask, the node's user alone sees what is private.
TEST_F(SupervisorTest, PlacesAreOpenToThoseThatTheyAreFor) {
  for (const mode_t mask : {0u, 022u, 077u}) {
    const mode_t before = umask(mask);
    options_.paths = {home_ + "/hexr.yaml", home_ + "/state" + std::to_string(mask),
                      home_ + "/r" + std::to_string(mask)};
    Supervisor s(loop_, clock_, options_);
    ASSERT_TRUE(s.Start([] {}).ok());
    umask(before);
    const auto mode = [](const std::string& path) {
      struct stat st {};
      EXPECT_EQ(lstat(path.c_str(), &st), 0) << path;
      return st.st_mode & 07777;
    };
    const std::string& run = options_.paths.run_dir;
    EXPECT_EQ(mode(options_.paths.state_dir), 0700u);
    EXPECT_EQ(mode(run), 0755u);
    EXPECT_EQ(mode(run + "/private"), 0700u);
    EXPECT_EQ(mode(options_.paths.ApiSocket()), 0666u);
    EXPECT_EQ(mode(options_.paths.LaunchSocket()), 0666u);
    EXPECT_EQ(mode(options_.paths.AdminSocket()), 0600u);
    EXPECT_EQ(mode(options_.paths.PidFile()), 0600u);
  }
}

TEST_F(SupervisorTest, StartsConnectsAndDrainsInOrder) {
  Supervisor s(loop_, clock_, options_);
  int ready = 0;
  ASSERT_TRUE(s.Start([&] { ++ready; }).ok());
  ASSERT_TRUE(RunUntil([&] {
    const std::string n = Notes();
    return ready == 1 && n.find("gateway: answered by keeper") != n.npos &&
           n.find("gateway: answered by spawner") != n.npos && n.find("spawner: answered by keeper") != n.npos &&
           n.find("tenants 1") != n.npos;
  })) << Notes();
  struct stat st {};
  ASSERT_EQ(stat((home_ + "/state").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0700u);
  ASSERT_EQ(stat((home_ + "/run/private/admin.sock").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
  ASSERT_EQ(stat((home_ + "/run/api.sock").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0666u);

  Supervisor second(loop_, clock_, options_);
  EXPECT_EQ(second.Start({}).error().code(), ErrorCode::kAlreadyExists);

  bool drained = false;
  s.Drain([&] { drained = true; });
  ASSERT_TRUE(RunUntil([&] { return drained; }));
  const std::string n = Notes();
  EXPECT_GT(n.find("keeper: drain"), n.find("gateway: drain"));
  EXPECT_GT(n.find("keeper: drain"), n.find("spawner: drain"));
  EXPECT_FALSE(std::filesystem::exists(home_ + "/run/api.sock"));
}

// An agent that makes one process run out of something must not cut it off from the others for good.
TEST_F(SupervisorTest, APairThatBreaksBetweenTheLivingIsReplaced) {
  options_.config_yaml = "trust_domain: breaks\nlog: {level: error}\n";
  options_.repair_after = milliseconds(1);
  Supervisor supervisor(loop_, clock_, options_);
  ASSERT_TRUE(supervisor.Start([] {}).ok());
  ASSERT_TRUE(RunUntil([&] { return Notes().find("gateway: answered by keeper") != std::string::npos; })) << Notes();
  for (const auto& c : supervisor.children()) EXPECT_EQ(c.starts, 1U) << c.name;
}

TEST_F(SupervisorTest, RestartsWhatDiesAndGivesBackWhatItParked) {
  Supervisor s(loop_, clock_, options_);
  int ready = 0;
  ASSERT_TRUE(s.Start([&] { ++ready; }).ok());
  ASSERT_TRUE(RunUntil([&] { return ready == 1; }));
  const pid_t keeper = PidOf(s, "keeper");
  const pid_t old = PidOf(s, "spawner");
  ASSERT_EQ(kill(old, SIGKILL), 0);
  ASSERT_TRUE(RunUntil([&] { return ready == 2 && Notes().find("unparked kept 1") != std::string::npos; })) << Notes();
  EXPECT_NE(PidOf(s, "spawner"), old);
  EXPECT_EQ(PidOf(s, "keeper"), keeper);  // nothing else restarts
  ASSERT_EQ(kill(PidOf(s, "gateway/default"), SIGSEGV), 0);
  ASSERT_TRUE(RunUntil([&] { return ready == 3; }));
}

// A child in an attacker's hands has its own business to ask for, and only so much of it: the supervisor is the one
// process that nothing starts again.
TEST_F(SupervisorTest, EachAsksForItsOwnBusinessAndKeepsSoMuchHere) {
  options_.config_yaml = "trust_domain: oversteps\nlog: {level: error}\n";
  Supervisor s(loop_, clock_, options_);
  ASSERT_TRUE(s.Start([] {}).ok());
  const auto noted = [this](const std::string& line) { return Notes().find(line + "\n") != std::string::npos; };
  ASSERT_TRUE(RunUntil([&] {
    const std::string n = Notes();
    return n.find("spawner: park one more") != n.npos && n.find("keeper: park") != n.npos &&
           n.find("gateway: park") != n.npos;
  })) << Notes();
  for (const char* role : {"spawner", "gateway"}) {
    for (const char* what : {"start", "stop", "metrics"})
      EXPECT_TRUE(noted(std::string(role) + ": " + what + ": PERMISSION_DENIED")) << role << " " << what << Notes();
  }
  EXPECT_TRUE(noted("keeper: park: PERMISSION_DENIED")) << Notes();
  EXPECT_TRUE(noted("gateway: park: PERMISSION_DENIED"));
  EXPECT_EQ(Notes().find("within the bound"), std::string::npos) << Notes();
  EXPECT_TRUE(noted("spawner: park once more: done")) << "what is there is replaced";
  EXPECT_TRUE(noted("spawner: park one more: RESOURCE_EXHAUSTED")) << Notes();
  EXPECT_NE(PidOf(s, "gateway/default"), -1);
  EXPECT_EQ(PidOf(s, "gateway/mine"), -1);
}

TEST_F(SupervisorTest, WhatDiesAtOnceIsStartedLessAndLessOften) {
  options_.child_argv = {"/bin/false"};
  options_.first_backoff = milliseconds(10);
  options_.longest_backoff = milliseconds(160);
  const ManualClock frozen{WallTime{}};
  Supervisor s(loop_, frozen, options_);
  const MonoTime begin = clock_.Mono();
  ASSERT_TRUE(s.Start([] {}).ok());
  const auto starts = [&] { return s.children()[0].starts; };
  ASSERT_TRUE(RunUntil([&] { return starts() >= 7; }));  // it is tried again and again…
  Pass(milliseconds(300));
  // …after 10, 20, 40, 80 and then 160 ms: never more often than that, however slow this machine is.
  const auto passed = std::chrono::duration_cast<milliseconds>(clock_.Mono() - begin);
  EXPECT_LE(starts(), 5 + static_cast<uint64_t>((passed + milliseconds(10)) / options_.longest_backoff));
}

TEST_F(SupervisorTest, WhatHasLivedForAWhileStartsAgainAtOnceAndThenWaitsAgain) {
  options_.first_backoff = options_.longest_backoff = std::chrono::hours(1);
  ManualClock clock{WallTime{}};
  Supervisor s(loop_, clock, options_);
  int ready = 0;
  ASSERT_TRUE(s.Start([&] { ++ready; }).ok());
  ASSERT_TRUE(RunUntil([&] { return ready == 1; }));
  const auto starts = [&](const std::string& name) -> uint64_t {
    for (const auto& c : s.children()) {
      if (c.name == name) return c.starts;
    }
    return 0;
  };
  const auto end = [&](const std::string& name) {
    ASSERT_EQ(kill(PidOf(s, name), SIGKILL), 0);
    ASSERT_TRUE(RunUntil([&] { return PidOf(s, name) == -1 || starts(name) > 1; }));
  };
  clock.Advance(options_.stable_after - milliseconds(1));
  end("gateway/default");  // a moment too young
  clock.Advance(milliseconds(1));
  end("spawner");
  ASSERT_TRUE(RunUntil([&] { return starts("spawner") == 2 && PidOf(s, "spawner") != -1; }));
  EXPECT_EQ(starts("gateway/default"), 1U);
  ASSERT_EQ(kill(PidOf(s, "spawner"), SIGKILL), 0);
  ASSERT_TRUE(RunUntil([&] { return PidOf(s, "spawner") == -1; }));
  Pass(milliseconds(200));
  EXPECT_EQ(starts("spawner"), 2U) << "it was young again";
}

TEST_F(SupervisorTest, TheCourierKnowsTheKeeperAloneAndItsSocketsOutliveIt) {
  const runtime::UniqueFd probe = *net::BindTcp("127.0.0.1", 0);
  options_.courier = true;
  options_.listeners = {{"metrics", {"127.0.0.2", *net::LocalPort(probe.get())}}};
  Supervisor s(loop_, clock_, options_);
  int ready = 0;
  ASSERT_TRUE(s.Start([&] { ++ready; }).ok());
  ASSERT_TRUE(RunUntil([&] {
    const std::string n = Notes();
    return ready == 1 && n.find("courier: answered by keeper") != n.npos &&
           n.find("gateway: answered by keeper") != n.npos;
  })) << Notes();
  for (const char* stranger :
       {"courier: peer spawner", "courier: peer gateway", "gateway: peer courier", "spawner: peer courier"}) {
    EXPECT_EQ(Notes().find(stranger), std::string::npos) << stranger;
  }
  EXPECT_NE(Notes().find("courier: sockets 1"), std::string::npos);
  const pid_t old = PidOf(s, "courier");
  ASSERT_EQ(kill(old, SIGKILL), 0);
  ASSERT_TRUE(RunUntil([&] { return ready == 2; }));
  EXPECT_NE(PidOf(s, "courier"), old);
  EXPECT_FALSE(net::BindTcp("127.0.0.2", options_.listeners[0].address.port).ok()) << "it is still ours";

  options_.paths.run_dir += "2";
  options_.paths.state_dir += "2";
  Supervisor third(loop_, clock_, options_);
  EXPECT_THAT(third.Start({}).error().message(), testing::HasSubstr("it is wanted for metrics"));
}

// INV-DMN-07: an operator who mistyped a path is told at once.
TEST_F(SupervisorTest, EndsWithTheFirstWordOfAMistakenConfigurationAndWaitsForNothing) {
  options_.config_yaml = "trust_domain: mistaken\nlog: {level: error}\n";
  options_.first_backoff = seconds(3600);
  Supervisor s(loop_, clock_, options_);
  ASSERT_TRUE(s.Start([] { FAIL() << "it is not ready"; }).ok());
  loop_.Run();  // ends by itself
  EXPECT_TRUE(s.gave_up());
  for (const auto& c : s.children()) EXPECT_EQ(c.pid, -1) << c.name;
}

TEST_F(SupervisorTest, RefusesFoldersThatOthersCanReach) {
  std::filesystem::create_directories(home_ + "/state");
  ASSERT_EQ(chmod((home_ + "/state").c_str(), 0777), 0);
  Supervisor s(loop_, clock_, options_);
  const Status r = s.Start({});
  EXPECT_EQ(r.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_THAT(r.error().message(), testing::HasSubstr("chmod 700"));
}

TEST_F(SupervisorTest, RefusesASocketPathThatIsTooLong) {
  options_.paths.run_dir = home_ + "/" + std::string(120, 'r');
  Supervisor s(loop_, clock_, options_);
  EXPECT_THAT(s.Start({}).error().message(), testing::HasSubstr("HEXR_HOME"));
}

}  // namespace
}  // namespace hexr::daemon

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "--test-role") {
    using namespace hexr;  // main() stands outside every namespace
    return daemon::RunRole(
        argv[2], runtime::UniqueFd(3),
        [](runtime::Loop& loop, daemon::StartInfo info,
           runtime::Channel& sup) -> Result<std::unique_ptr<daemon::Role>> {
          if (info.config.trust_domain.name() == "mistaken" && info.start.role() == "keeper")
            return FailedPrecondition("no such key");
          return std::unique_ptr<daemon::Role>(std::make_unique<daemon::TestRole>(loop, std::move(info), sup));
        });
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
