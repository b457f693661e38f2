// The spawner as a whole, with stand-ins for supervisor, keeper and gateway at the other ends of its channels.
#include "spawner/spawner.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <fstream>

#include "base/limits/agents.h"
#include "runtime/packet.h"
#include "spawner/testing/client.h"
#include "spawner/testing/node.h"

namespace hexr::spawner {
namespace {

using namespace testing;  // NOLINT: the harness of these tests
using runtime::Channel;
using runtime::Envelope;
using runtime::Message;

class SpawnerTest : public ::testing::TestWithParam<Who> {};
INSTANTIATE_TEST_SUITE_P(As, SpawnerTest, ::testing::Values(Who::kRoot, Who::kPlain), CallerName);

// INV-SPAWN-09
TEST_P(SpawnerTest, KeeperAndGatewayKnowAnAgentBeforeItRuns) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), {"sh", "-c", "echo $HEXR_ROLE $HEXR_INSTANCE $HTTP_PROXY $MY_TOKEN; exit 4"});
    ASSERT_TRUE(node.UntilEnded(c));
    ASSERT_TRUE(c.started.has_value()) << (c.refused ? c.refused->message() : "");
    EXPECT_TRUE(node.Ended()) << node.events;
    EXPECT_EQ(c.text, "main " + c.started->instance() + " http://127.0.0.1:15001\n");
    EXPECT_NE(c.warnings.find("MY_TOKEN"), std::string::npos);
    EXPECT_EQ(c.started->spiffe_id(), "spiffe://example.org/agent/default/crew/main");
    EXPECT_EQ(WEXITSTATUS(c.ended->wait_status()), 4);
    const auto& r = node.registered.at(0);
    EXPECT_EQ(r.image().exe_sha256().size(), 32u);
    EXPECT_GT(r.start_time(), 0u);
    EXPECT_EQ(r.caller_uid(), geteuid());
    EXPECT_EQ(node.up.at(0).listeners_size(), static_cast<int>(node.listeners.begin()->second.size()));
    EXPECT_TRUE(node.Until([&] { return node.spawner->instances() == 0 && node.parked.empty(); }));
  });
}

TEST_P(SpawnerTest, ALaunchThatTheKeeperRefusesNeverRuns) {
  As(GetParam(), [] {
    Node node;
    node.refuse_registration = true;
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), {"sh", "-c", "touch ran"});
    ASSERT_TRUE(node.UntilEnded(c));
    ASSERT_TRUE(c.refused.has_value());
    EXPECT_EQ(c.refused->exit_code(), 125u);
    EXPECT_NE(c.refused->message().find("policy says no"), std::string::npos);
    EXPECT_TRUE(node.Until([&] { return node.spawner->instances() == 0; }));
    EXPECT_NE(access((folder.path() + "/ran").c_str(), F_OK), 0);
  });
}

// It is parked by then, and has to be taken away again.
TEST_P(SpawnerTest, ALaunchThatTheGatewayRefusesNeverRuns) {
  As(GetParam(), [] {
    Node node;
    node.refuse_up = true;
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), {"sh", "-c", "touch ran"});
    ASSERT_TRUE(node.UntilEnded(c));
    ASSERT_TRUE(c.refused.has_value());
    EXPECT_EQ(c.refused->exit_code(), 125u);
    EXPECT_NE(c.refused->message().find("no such tenant here"), std::string::npos) << c.refused->message();
    EXPECT_TRUE(node.Until([&] { return node.spawner->instances() == 0 && node.parked.empty(); }));
    EXPECT_NE(access((folder.path() + "/ran").c_str(), F_OK), 0);
  });
}

TEST_P(SpawnerTest, WithoutKeeperOrGatewayNothingIsLaunched) {
  As(GetParam(), [] {
    for (const bool keeper : {true, false}) {
      Node node;
      (keeper ? node.keeper : node.gateway).reset();
      node.loop.RunFor(std::chrono::milliseconds(5));
      const TempFolder folder;
      Client c(node.path());
      c.Launch(folder.path(), {"sh", "-c", "touch ran"});
      ASSERT_TRUE(node.UntilEnded(c));
      ASSERT_TRUE(c.refused.has_value());
      EXPECT_EQ(c.refused->exit_code(), 125u);
      EXPECT_NE(c.refused->message().find(keeper ? "keeper" : "gateway"), std::string::npos) << c.refused->message();
      EXPECT_NE(access((folder.path() + "/ran").c_str(), F_OK), 0);
    }
  });
}

TEST_P(SpawnerTest, RolesDecideWhoStartsWhat) {
  As(GetParam(), [] {
    const std::string me = UserName(geteuid()).value();
    Node node("roles:\n  - {agent: crew, role: main, exe: \"sh\", user: \"" + (geteuid() == 0 ? me : "nobody-else") +
              "\"}\n"
              "  - {agent: crew, role: py, exe: \"python3*\", user: \"*\"}\n");
    const TempFolder folder;
    const auto outcome = [&](const std::string& role, std::vector<std::string> argv) {
      Client c(node.path());
      c.Launch(folder.path(), std::move(argv), "crew", role);
      node.UntilEnded(c);
      return c.refused ? c.refused->message() : "ok";
    };
    EXPECT_NE(outcome("other", {"sh", "-c", "true"}).find("no entry in `roles` names crew/other"), std::string::npos);
    EXPECT_NE(outcome("py", {"sh", "-c", "true"}).find("may not run"), std::string::npos);
    EXPECT_EQ(outcome("py", {"python3", "-c", "1"}), "ok");
    if (geteuid() == 0)
      EXPECT_EQ(outcome("main", {"sh", "-c", "true"}), "ok");
    else
      EXPECT_NE(outcome("main", {"sh", "-c", "true"}).find("may not start"), std::string::npos);
  });
}

// A process of whoever owns the agent's user namespace (root, or the user of a node of one's own) enters the agent's
// PID namespace, and asks as if it were a part of it. `levels`: PID namespaces that it makes below it.
std::string AskFromOutside(Node& node, pid_t agent, const std::string& folder, int levels, bool filtered) {
  int out[2];
  EXPECT_EQ(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
  const UniqueFd read_end(out[0]);
  UniqueFd write_end(out[1]);
  const auto pidfd = runtime::OpenPidfd(agent);
  EXPECT_TRUE(pidfd.ok());
  const pid_t pid = fork();
  if (pid == 0) {
    const auto say = [&](const std::string& text) {
      (void)!write(write_end.get(), (text + "\n").c_str(), text.size() + 1);
      _exit(0);
    };
    prctl(PR_SET_DUMPABLE, 1);  // an ordinary program, and not a copy of a node's process
    if ((geteuid() != 0 || levels > 0) && setns(pidfd->get(), CLONE_NEWUSER) != 0)
      say("setns user: " + std::string(strerror(errno)));
    if (setns(pidfd->get(), CLONE_NEWPID) != 0) say("setns pid: " + std::string(strerror(errno)));
    const auto next = [] {
      const pid_t child = fork();
      if (child == 0) return;
      waitpid(child, nullptr, 0);
      _exit(0);
    };
    next();
    for (int i = 0; i < levels; ++i) {
      if (unshare(CLONE_NEWPID) != 0) say("unshare: " + std::string(strerror(errno)));
      next();
    }
    if (filtered) {
      sock_filter allow[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
      const sock_fprog program{1, allow};
      if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        say("seccomp: " + std::string(strerror(errno)));
    }
    Client c(node.path());
    c.Launch(folder, {"sleep", "1000"});
    for (int i = 0; i < 10'000 && !c.started && !c.refused && !c.closed; ++i) {
      c.Poll();
      usleep(1000);
    }
    say(c.started ? "started" : c.refused ? c.refused->message() : "closed");
  }
  write_end.reset();
  std::string text;
  EXPECT_TRUE(node.Until([&] {
    char buffer[512];
    const ssize_t n = read(read_end.get(), buffer, sizeof buffer);
    if (n > 0) text.append(buffer, static_cast<size_t>(n));
    return text.ends_with('\n');
  }));
  waitpid(pid, nullptr, 0);
  return text;
}

TEST_P(SpawnerTest, WhoEntersAnAgentFromOutsideIsNoPartOfIt) {
  As(GetParam(), [] {
    Node node("roles:\n  - {agent: crew, role: main, exe: '*', user: '*', spawn: [crew/main]}\n");
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), {"python3", "-c", "import sys\nsys.stdin.readline()"});
    ASSERT_TRUE(node.UntilStarted(c));
    ASSERT_TRUE(c.started.has_value());
    const auto agent = static_cast<pid_t>(node.up.at(0).pid());
    for (const int levels : {0, 1}) {
      const std::string said = AskFromOutside(node, agent, folder.path(), levels, /*filtered=*/false);
      EXPECT_NE(said.find("no part of the agent"), std::string::npos) << levels << ": " << said;
    }
    // With a filter of its own it still is not in the agent's control group, where there is one.
    const std::string said = AskFromOutside(node, agent, folder.path(), 0, /*filtered=*/true);
    if (!node.registered.at(0).cgroup().empty()) {
      EXPECT_NE(said.find("no part of the agent"), std::string::npos) << said;
      EXPECT_EQ(node.registered.size(), 1u);
    }
  });
}

TEST_P(SpawnerTest, MissingAndUnusableProgramsAreToldByTheirCodes) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    for (const auto& [program, code] :
         std::vector<std::pair<std::string, uint32_t>>{{"no-such", 127u}, {"/etc/passwd", 126u}}) {
      Client c(node.path());
      c.Launch(folder.path(), {program});
      ASSERT_TRUE(node.UntilEnded(c));
      ASSERT_TRUE(c.refused.has_value());
      EXPECT_EQ(c.refused->exit_code(), code);
    }
  });
}

TEST_P(SpawnerTest, AnExecTakesIdentityAwayAndBringsTheNewImage) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), {"python3", "-c", "import os,sys; sys.stdin.readline(); os.execv('/usr/bin/cat',['cat'])"});
    ASSERT_TRUE(node.UntilStarted(c));
    ASSERT_TRUE(c.started.has_value());
    (void)!write(c.input.get(), "\n", 1);
    ASSERT_TRUE(node.Until([&] { return node.exec_done.size() == 1; }));
    EXPECT_EQ(node.events, "register up exec-starting exec-done ");
    EXPECT_NE(node.exec_done[0].image().exe().find("cat"), std::string::npos);
    EXPECT_EQ(node.exec_done[0].image().exe_sha256().size(), 32u);
    EXPECT_FALSE(node.exec_done[0].failed());
  });
}

// INV-SPAWN-07: the number stands before the image changes, and the keeper's turn is not waited for.
TEST_P(SpawnerTest, AnExecIsCountedBeforeItHappensForAKeeperThatReadsTheCount) {
  As(GetParam(), [] {
    Node node;
    node.reads_execs = node.hold_execs = true;
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), {"sh", "-c", "read x; exec sh -c 'echo new; read x; exec sh -c \"read x; echo newer\"'"});
    ASSERT_TRUE(node.UntilStarted(c));
    ASSERT_EQ(node.registered.size(), 1u);
    ASSERT_TRUE(node.exec_counters.has_value());
    const uint32_t place = node.registered[0].exec_counter();
    ASSERT_GT(place, 0u);
    const auto count = [&] { return node.exec_counters->value(place - 1) - node.registered[0].execs(); };
    EXPECT_EQ(count(), 0u);
    for (uint64_t n = 1; n <= 2; ++n) {
      (void)!write(c.input.get(), "\n", 1);
      ASSERT_TRUE(node.Until([&] { return node.exec_done.size() == n; }));
      EXPECT_EQ(count(), n);
      EXPECT_EQ(node.exec_done.back().execs() - node.registered[0].execs(), n);
      EXPECT_EQ(node.held_execs.size(), n) << "said for the record";
    }
    EXPECT_TRUE(node.Until([&] {
      c.Poll();
      return c.text == "new\n";
    }));
  });
}

TEST_P(SpawnerTest, AKeeperThatDoesNotReadTheCountIsWaitedFor) {
  As(GetParam(), [] {
    Node node;
    node.hold_execs = true;
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), {"sh", "-c", "read x; exec echo new"});
    ASSERT_TRUE(node.UntilStarted(c));
    (void)!write(c.input.get(), "\n", 1);
    ASSERT_TRUE(node.Until([&] { return node.held_execs.size() == 1; }));
    for (int turn = 0; turn < 50; ++turn) node.loop.RunFor(std::chrono::milliseconds(1));
    c.Poll();
    EXPECT_EQ(c.text, "");
    node.held_execs[0].Ack();
    ASSERT_TRUE(node.UntilEnded(c));
    c.Poll();
    EXPECT_EQ(c.text, "new\n");
  });
}

// limits::kMaxInstances places: who gets none asks.
TEST(ExecCountersTest, APlaceServesOneAtATime) {
  ExecCounters counters(2);
  auto first = counters.Take();
  {
    auto second = counters.Take();
    EXPECT_TRUE(first && second);
    EXPECT_NE(first.number(), second.number());
    EXPECT_FALSE(counters.Take());
    second.Raise();
    EXPECT_EQ(second.value(), 1u);
    EXPECT_EQ(first.value(), 0u);
  }
  const auto third = counters.Take();
  ASSERT_TRUE(third);
  EXPECT_EQ(third.value(), 1u) << "it goes on from where it stood";
}

TEST_P(SpawnerTest, TheKillSwitchEndsAnInstance) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), {"sleep", "1000"});
    ASSERT_TRUE(node.UntilStarted(c));
    Envelope e;
    e.mutable_end_instance()->set_instance(c.started->instance());
    e.mutable_end_instance()->set_why("operator");
    (void)!node.keeper->Send(std::move(e)).ok();
    ASSERT_TRUE(node.UntilEnded(c));
    EXPECT_EQ(c.ended->why(), "operator");
    EXPECT_EQ(WTERMSIG(c.ended->wait_status()), SIGKILL);
    EXPECT_TRUE(node.Ended()) << node.events;
  });
}

TEST_P(SpawnerTest, AnAgentWhoseStarterHasGoneIsHungUp) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    {
      Client c(node.path());
      c.Launch(folder.path(), {"sleep", "1000"});
      ASSERT_TRUE(node.UntilStarted(c));
    }
    EXPECT_TRUE(node.Until([&] { return node.spawner->instances() == 0; }));
  });
}

TEST_P(SpawnerTest, InstancesSurviveARestartOfTheSpawner) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), {"python3", "-c",
                             "import subprocess,sys\nsys.stdin.readline()\n"
                             "subprocess.run(['true'])\nprint('alive',flush=True)\nsys.exit(6)"});
    ASSERT_TRUE(node.UntilStarted(c));
    ASSERT_TRUE(node.Until([&] { return node.parked.size() == 1; }));
    node.spawner.reset();  // a crash, as far as agents and descriptors can tell
    node.to_supervisor.reset();
    node.events.clear();
    node.ready = false;
    (void)!write(c.input.get(), "\n", 1);  // its child's exec waits for a handler
    node.up.clear();
    node.resend_at_once = true;
    node.StartSpawner();
    EXPECT_EQ(node.spawner->instances(), 1u);
    // Not before what was parked is back: the gateway would end whom it is not told of.
    ASSERT_TRUE(node.Until([&] { return node.told_at_once.has_value(); }));
    EXPECT_EQ(*node.told_at_once, 1u);
    ASSERT_TRUE(node.Until([&] { return !node.events.empty(); }));
    EXPECT_EQ(node.registered.back().instance(), c.started->instance());
    EXPECT_EQ(node.registered.back().image().exe_sha256().size(), 32u);
    Client again(node.path());
    pb::ClientMessage attach;
    attach.mutable_attach()->set_instance(c.started->instance());
    again.Send(attach);
    ASSERT_TRUE(node.UntilEnded(again));
    ASSERT_TRUE(again.ended.has_value()) << again.refused->message();
    EXPECT_EQ(WEXITSTATUS(again.ended->wait_status()), 6);
    c.Poll();
    EXPECT_EQ(c.text, "alive\n");
  });
}

TEST_P(SpawnerTest, ARestartChangesNothingOfWhatAnAgentMay) {
  As(GetParam(), [] {
    // What another user may comes first and looks the same.
    Node node(
        "roles:\n"
        "  - {agent: crew, role: main, exe: \"*\", user: somebody-else, children: inherit, sub_identities: allow, "
        "spawn: [\"*/*\"]}\n"
        "  - {agent: crew, role: main, exe: \"*\", user: \"*\"}\n");
    const TempFolder folder;
    Client one(node.path()), two(node.path());
    one.Launch(folder.path(), {"sleep", "1000"});
    ASSERT_TRUE(node.UntilStarted(one));
    two.Launch(folder.path(), {"sleep", "1000"});
    ASSERT_TRUE(node.UntilStarted(two));
    ASSERT_TRUE(node.Until([&] { return node.parked.size() == 2; }));
    const auto of = [&](const std::string& id) {
      for (const auto& r : node.registered) {
        if (r.instance() != id) continue;
        auto what = r;
        what.clear_exec_counter();  // each spawner counts by itself
        what.clear_execs();
        return what;
      }
      return ::hexr::node::v1::RegisterInstance();
    };
    const auto before = of(two.started->instance());
    ASSERT_EQ(before.shares_size(), 1);
    EXPECT_EQ(before.shares(0), one.started->instance());
    node.spawner.reset();
    node.to_supervisor.reset();
    node.registered.clear();
    node.ready = false;
    node.StartSpawner();
    ASSERT_TRUE(node.Until([&] { return node.registered.size() == 2; }));
    auto after = of(two.started->instance());
    EXPECT_TRUE(after.again());
    after.clear_again();
    EXPECT_EQ(after.SerializeAsString(), before.SerializeAsString());
    EXPECT_EQ(before.children(), "deny");
    EXPECT_FALSE(before.sub_identities());
  });
}

TEST_P(SpawnerTest, ARestartedGatewayGetsItsInstancesAgain) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), {"sleep", "1000"});
    ASSERT_TRUE(node.UntilStarted(c));
    node.ConnectGateway();
    bool acknowledged = false;
    Envelope e;
    e.mutable_resend_instances();
    node.gateway->Call(std::move(e), {}, std::chrono::seconds(5), [&](Result<Message> r) { acknowledged = r.ok(); });
    ASSERT_TRUE(node.Until([&] { return acknowledged; }));
    ASSERT_EQ(node.up.size(), 2u);
    EXPECT_EQ(node.up[1].instance(), c.started->instance());
    EXPECT_EQ(node.listeners[c.started->instance()].size(), static_cast<size_t>(node.up[1].listeners_size()));
  });
}

TEST_P(SpawnerTest, AKeeperThatWasRestartedLearnsOfEveryInstance) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), {"sleep", "1000"});
    ASSERT_TRUE(node.UntilStarted(c));
    node.ConnectKeeper();
    ASSERT_TRUE(node.Until([&] { return node.registered.size() == 2; }));
    EXPECT_EQ(node.registered[1].instance(), c.started->instance());
  });
}

TEST_P(SpawnerTest, MakesASocketInsideForTheGateway) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), {"python3", "-c",
                             "import socket\ns=socket.socket(); s.bind(('127.0.0.1',9000)); s.listen()\n"
                             "print('up',flush=True)\nc,_=s.accept(); c.sendall(b'hello'); c.close()"});
    ASSERT_TRUE(node.UntilStarted(c));
    ASSERT_TRUE(node.Until([&] {
      c.Poll();
      return c.text == "up\n";
    }));
    UniqueFd inside;
    Envelope e;
    e.mutable_open_socket()->set_instance(c.started->instance());
    node.gateway->Call(std::move(e), {}, std::chrono::seconds(5), [&](Result<Message> r) {
      if (r.ok() && r->fds.size() == 1) inside = std::move(r->fds[0]);
    });
    ASSERT_TRUE(node.Until([&] { return static_cast<bool>(inside); }));
    fcntl(inside.get(), F_SETFL, 0);
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(9000);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(connect(inside.get(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0) << strerror(errno);
    char buffer[8] = {};
    EXPECT_EQ(read(inside.get(), buffer, sizeof buffer), 5);
    // Another tenant's gateway finds nothing of it.
    auto [ours, theirs] = node.Pair();
    node.spawner->OnPeer("gateway", "other", std::move(theirs));
    Channel other(
        node.loop, std::move(ours), "spawner", [](Message, Channel::Reply r) { r.Ack(); }, [](const Error&) {});
    Envelope socket, owner;
    socket.mutable_open_socket()->set_instance(c.started->instance());
    owner.mutable_find_owner()->set_instance(c.started->instance());
    size_t refused = 0, answered = 0;
    for (Envelope* ask : {&socket, &owner}) {
      other.Call(std::move(*ask), {}, std::chrono::seconds(5), [&](const Result<Message>& r) {
        ++answered;
        refused += !r.ok() && r.error().code() == ErrorCode::kNotFound;
      });
    }
    ASSERT_TRUE(node.Until([&] { return answered == 2; }));
    EXPECT_EQ(refused, 2u);
  });
}

TEST_P(SpawnerTest, NobodyAttachesToWhatAnotherUserStarted) {
  As(GetParam(), [] {
    if (geteuid() != 0) return;  // one user alone cannot be two
    Node node;
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), {"sleep", "1000"});
    ASSERT_TRUE(node.UntilStarted(c));
    ASSERT_TRUE(c.started.has_value());
    ASSERT_EQ(chmod(node.home.path().c_str(), 0711), 0);
    ASSERT_EQ(chmod(node.path().c_str(), 0777), 0);
    ASSERT_EQ(seteuid(65534), 0);
    Client other(node.path());
    ASSERT_EQ(seteuid(0), 0);
    pb::ClientMessage attach;
    attach.mutable_attach()->set_instance(c.started->instance());
    other.Send(attach);
    ASSERT_TRUE(node.UntilEnded(other));
    ASSERT_TRUE(other.refused.has_value());
    EXPECT_NE(other.refused->message().find("started by somebody else"), std::string::npos) << other.refused->message();
  });
}

TEST_P(SpawnerTest, ADrainEndsEveryAgent) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    Client stubborn(node.path()), polite(node.path());
    stubborn.Launch(folder.path(), {"python3", "-c",
                                    "import signal,time; signal.signal(15,signal.SIG_IGN)\n"
                                    "print('up',flush=True)\ntime.sleep(1000)"});
    polite.Launch(folder.path(), {"sleep", "1000"});
    ASSERT_TRUE(node.UntilStarted(polite));
    ASSERT_TRUE(node.Until([&] {
      stubborn.Poll();
      return stubborn.text == "up\n";
    }));
    bool drained = false;
    node.spawner->Drain(std::chrono::seconds(3), [&] { drained = true; });
    EXPECT_TRUE(node.Until([&] { return drained; }));
    stubborn.Poll();
    polite.Poll();
    EXPECT_EQ(WTERMSIG(polite.ended->wait_status()), SIGTERM);
    EXPECT_EQ(WTERMSIG(stubborn.ended->wait_status()), SIGKILL);
  });
}

TEST_P(SpawnerTest, FoldersSharedWithALiveInstanceAreNamed) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    Client first(node.path()), second(node.path());
    first.Launch(folder.path(), {"sleep", "1000"});
    ASSERT_TRUE(node.UntilStarted(first));
    second.Launch(folder.path(), {"sleep", "1000"});
    ASSERT_TRUE(node.UntilStarted(second));
    ASSERT_EQ(node.registered.back().shares_size(), 1);
    EXPECT_EQ(node.registered.back().shares(0), first.started->instance());
  });
}

// A request that lies in the queue before the connection is accepted has its writer's name on it all the same.
TEST_P(SpawnerTest, ARequestThatCameBeforeTheAcceptKnowsItsWriter) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    for (int i = 0; i < 5; ++i) {
      Client c(node.path());
      c.Launch(folder.path(), {"true"});  // the loop has not run since the connect
      ASSERT_TRUE(node.UntilEnded(c));
      EXPECT_FALSE(c.refused.has_value()) << c.refused->message();
    }
  });
}

// A connection that is handed to another process does not carry its opener's rights.
TEST_P(SpawnerTest, ARequestOverAnotherProcesssConnectionIsRefused) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    Client c(node.path());
    fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
      c.Launch(folder.path(), {"touch", "ran"});
      _exit(0);
    }
    waitpid(child, nullptr, 0);
    ASSERT_TRUE(node.UntilEnded(c));
    ASSERT_TRUE(c.refused.has_value());
    EXPECT_NE(c.refused->message().find("opened by another process"), std::string::npos) << c.refused->message();
    EXPECT_NE(access((folder.path() + "/ran").c_str(), F_OK), 0);
  });
}

// A container, or a sandbox of somebody else: neither the node's own namespace nor that of an agent.
TEST_P(SpawnerTest, ACallerInAnotherPidNamespaceIsNobody) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    int out[2];
    ASSERT_EQ(pipe2(out, O_CLOEXEC), 0);
    const UniqueFd read_end(out[0]), write_end(out[1]);
    fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
      GoIntoAnotherPidNamespace();
      Client c(node.path());
      c.Launch(folder.path(), {"touch", "ran"});
      for (int i = 0; i < 2000 && !c.refused && !c.started && !c.closed; ++i) {
        pollfd p{c.socket.get(), POLLIN, 0};
        poll(&p, 1, 10);
        c.Poll();
      }
      const std::string said = c.refused ? c.refused->message() : "not refused";
      (void)!write(write_end.get(), said.data(), said.size());
      _exit(0);
    }
    char said[512] = {};
    ASSERT_TRUE(node.Until([&] {
      pollfd p{read_end.get(), POLLIN, 0};
      return poll(&p, 1, 0) == 1 && read(read_end.get(), said, sizeof said - 1) > 0;
    }));
    waitpid(child, nullptr, 0);
    EXPECT_NE(std::string(said).find("PID namespace that is no agent's"), std::string::npos) << said;
    EXPECT_NE(access((folder.path() + "/ran").c_str(), F_OK), 0);
  });
}

TEST_P(SpawnerTest, BrokenRequestsAreRefusedAndNothingStays) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    const auto refused = [&](const std::function<void(Client&)>& send) {
      Client c(node.path());
      send(c);
      node.Until([&] {
        c.Poll();
        return c.refused.has_value() || c.closed;
      });
      return c.refused ? c.refused->message() : std::string();
    };
    EXPECT_EQ(refused([](Client& c) { (void)!runtime::SendPacket(c.socket.get(), AsBytes("\xff\xff"), {}).ok(); }),
              "malformed message");
    EXPECT_NE(refused([](Client& c) {
                pb::ClientMessage m;
                m.mutable_signal()->set_signal(9);
                c.Send(m);
              }),
              "");
    EXPECT_EQ(refused([](Client& c) {
                pb::ClientMessage m;
                m.mutable_launch()->set_agent("a");
                c.Send(m);
              }),
              "no command");
    EXPECT_NE(refused([&](Client& c) { c.Launch(folder.path(), {"true"}, "../x"); }).find("agent"), std::string::npos);
    EXPECT_NE(refused([&](Client& c) {
                pb::ClientMessage m;
                m.mutable_attach()->set_instance("nothing");
                c.Send(m);
              }),
              "");
    // A folder that is open for reading would carry rights that its path does not.
    EXPECT_NE(refused([&](Client& c) {
                pb::ClientMessage m;
                auto& l = *m.mutable_launch();
                l.set_agent("a");
                l.add_argv("true");
                l.set_working_folder(folder.path());
                l.add_folders()->set_path(folder.path());
                const UniqueFd fd(open(folder.path().c_str(), O_RDONLY | O_CLOEXEC));
                EXPECT_TRUE(SendLaunchMessage(c.socket.get(), m,
                                              {c.input_end.get(), c.output_end.get(), c.output_end.get(), fd.get()})
                                .ok());
              }).find("O_PATH"),
              std::string::npos);
    EXPECT_EQ(node.spawner->instances(), 0u);
    EXPECT_EQ(node.events, "");
  });
}

TEST_P(SpawnerTest, LargeEnvironmentsTravelUpToTheBound) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    Client c(node.path());
    pb::ClientMessage m;
    auto& l = *m.mutable_launch();
    l.set_agent("crew");
    for (const char* a : {"sh", "-c", "echo ${#BIG}"}) l.add_argv(a);
    l.add_env("PATH=/usr/bin:/bin");
    l.add_env("BIG=" + std::string(100'000, 'x'));
    l.set_working_folder("/");
    ASSERT_TRUE(SendLaunchMessage(c.socket.get(), m, {c.input_end.get(), c.output_end.get(), c.output_end.get()}).ok());
    c.output_end.reset();
    ASSERT_TRUE(node.UntilEnded(c));
    node.Until([&] {
      c.Poll();
      return !c.text.empty();
    });
    EXPECT_EQ(c.text, "100000\n");
    l.add_env("TOO=" + std::string(limits::kMaxLaunchMessageBytes, 'x'));
    EXPECT_EQ(SendLaunchMessage(c.socket.get(), m, {}).error().code(), ErrorCode::kResourceExhausted);
  });
}

}  // namespace
}  // namespace hexr::spawner
