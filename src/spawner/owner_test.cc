// Whose a connection is: found through the namespace of a real agent.
#include "spawner/owner.h"

#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/limits/agents.h"
#include "base/limits/gateway.h"
#include "spawner/testing/agent.h"

namespace hexr::spawner {
namespace {

using namespace testing;  // NOLINT: the harness of these tests

class OwnerTest : public ::testing::TestWithParam<Who> {};
INSTANTIATE_TEST_SUITE_P(As, OwnerTest, ::testing::Values(Who::kRoot, Who::kPlain), CallerName);

struct Accepted {
  UniqueFd fd;
  ConnectionAddress address;
};

Accepted Accept(Agent& agent, bool v6 = false) {
  const int listener = agent.handles().listeners[v6 ? 1 : 0].get();
  pollfd p{listener, POLLIN, 0};
  EXPECT_EQ(poll(&p, 1, 20'000), 1);
  Accepted a;
  sockaddr_storage peer{}, local{};
  socklen_t n = sizeof peer;
  a.fd = UniqueFd(accept4(listener, reinterpret_cast<sockaddr*>(&peer), &n, SOCK_CLOEXEC));
  n = sizeof local;
  getsockname(a.fd.get(), reinterpret_cast<sockaddr*>(&local), &n);
  a.address.v6 = v6;
  if (v6) {
    const auto& p6 = reinterpret_cast<sockaddr_in6&>(peer);
    const auto& l6 = reinterpret_cast<sockaddr_in6&>(local);
    memcpy(a.address.local.data(), &p6.sin6_addr, 16);
    memcpy(a.address.remote.data(), &l6.sin6_addr, 16);
    a.address.local_port = ntohs(p6.sin6_port);
    a.address.remote_port = ntohs(l6.sin6_port);
  } else {
    const auto& p4 = reinterpret_cast<sockaddr_in&>(peer);
    const auto& l4 = reinterpret_cast<sockaddr_in&>(local);
    memcpy(a.address.local.data(), &p4.sin_addr, 4);
    memcpy(a.address.remote.data(), &l4.sin_addr, 4);
    a.address.local_port = ntohs(p4.sin_port);
    a.address.remote_port = ntohs(l4.sin_port);
  }
  return a;
}

AgentOptions Connects(const std::string& script) {
  AgentOptions o = Python("import os,socket,sys,time,ctypes\n" + script);
  o.listeners = {Tcp(443), Tcp(443, true)};
  return o;
}

Result<pid_t> Owner(Agent& agent, const ConnectionAddress& c, pid_t likely = 0) {
  ASSIGN_OR_RETURN(const uint64_t inode, SocketInode(agent.handles().diag.get(), c));
  return FindHolder(agent.handles().init_pid, likely, inode);
}

TEST_P(OwnerTest, FindsTheAgentItselfInBothFamilies) {
  As(GetParam(), [] {
    Agent agent(Connects(
        "s=socket.create_connection(('93.184.216.34',443))\nt=socket.create_connection(('2606:4700::1111',443))\n"
        "sys.stdin.readline()"));
    ASSERT_TRUE(agent.started().ok()) << agent.started().error().ToString();
    for (const bool v6 : {false, true}) {
      const Accepted a = Accept(agent, v6);
      const auto owner = Owner(agent, a.address);
      ASSERT_TRUE(owner.ok()) << owner.error().ToString();
      EXPECT_EQ(*owner, agent.handles().agent_pid);
      const auto again = Owner(agent, a.address, *owner);
      ASSERT_TRUE(again.ok());
      EXPECT_EQ(*again, *owner);
    }
  });
}

TEST_P(OwnerTest, TellsAChildFromItsParentAmongManyProcesses) {
  As(GetParam(), [] {
    Agent agent(
        Connects("for i in range(200):\n"
                 "  if os.fork()==0: time.sleep(1000)\n"
                 "p=os.fork()\n"
                 "if p==0:\n"
                 "  s=socket.create_connection(('93.184.216.34',443)); time.sleep(1000)\n"
                 "sys.stdin.readline()"));
    ASSERT_TRUE(agent.started().ok());
    const Accepted a = Accept(agent);
    const auto owner = Owner(agent, a.address, agent.handles().agent_pid);
    ASSERT_TRUE(owner.ok()) << owner.error().ToString();
    EXPECT_NE(*owner, agent.handles().agent_pid);
  });
}

TEST_P(OwnerTest, FindsAProcessThatHidesItself) {
  As(GetParam(), [] {
    Agent agent(Connects(
        "ctypes.CDLL(None).prctl(4,0,0,0,0)\ns=socket.create_connection(('93.184.216.34',443))\nsys.stdin.readline()"));
    ASSERT_TRUE(agent.started().ok());
    const Accepted a = Accept(agent);
    const auto owner = Owner(agent, a.address);
    ASSERT_TRUE(owner.ok()) << owner.error().ToString();
    EXPECT_EQ(*owner, agent.handles().agent_pid);
  });
}

TEST_P(OwnerTest, OfAProcessThatHidesItselfSoManyDescriptorsAreTried) {
  As(GetParam(), [] {
    if (geteuid() == 0) return;  // nothing is hidden from root
    rlimit files{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
    ASSERT_GT(files.rlim_max, static_cast<rlim_t>(limits::kMaxDescriptorsTried)) << "this machine allows too few";
    files.rlim_cur = files.rlim_max;
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
    for (const int number : {limits::kMaxDescriptorsTried - 1, limits::kMaxDescriptorsTried}) {
      Agent agent(Connects(
          "import fcntl\nctypes.CDLL(None).prctl(4,0,0,0,0)\ns=socket.create_connection(('93.184.216.34',443))\n"
          "n=fcntl.fcntl(s.fileno(),fcntl.F_DUPFD," +
          std::to_string(number) + ")\ns.close()\nprint(n,flush=True)\nsys.stdin.readline()"));
      ASSERT_TRUE(agent.started().ok());
      ASSERT_EQ(agent.Line(), std::to_string(number));
      const Accepted a = Accept(agent);
      const auto owner = Owner(agent, a.address);
      EXPECT_EQ(owner.ok(), number < limits::kMaxDescriptorsTried);
      if (owner.ok())
        EXPECT_EQ(*owner, agent.handles().agent_pid);
      else
        EXPECT_EQ(owner.error().code(), ErrorCode::kNotFound);
    }
  });
}

TEST_P(OwnerTest, AConnectionThatIsClosedHasNoOwner) {
  As(GetParam(), [] {
    Agent agent(
        Connects("s=socket.create_connection(('93.184.216.34',443)); "
                 "s.close()\nprint('closed',flush=True)\nsys.stdin.readline()"));
    ASSERT_TRUE(agent.started().ok());
    EXPECT_EQ(agent.Line(), "closed");
    const Accepted a = Accept(agent);
    const auto owner = Owner(agent, a.address);
    ASSERT_FALSE(owner.ok());
    EXPECT_EQ(owner.error().code(), ErrorCode::kNotFound);
  });
}

TEST_P(OwnerTest, TheWalkEndsAtItsBound) {
  As(GetParam(), [] {
    Agent agent(
        Connects("n=0\n"
                 "for i in range(" +
                 std::to_string(limits::kMaxProcessesWalked + 50) +
                 "):\n"
                 "  if os.fork()==0: time.sleep(1000)\n"
                 "print('up',flush=True)\nsys.stdin.readline()"));
    ASSERT_TRUE(agent.started().ok());
    EXPECT_EQ(agent.Line(), "up");
    const auto owner = FindHolder(agent.handles().init_pid, 0, 1);
    ASSERT_FALSE(owner.ok());
    EXPECT_EQ(owner.error().code(), ErrorCode::kNotFound);
  });
}

// However the processes and descriptors are spread, one search costs no more than its steps.
TEST_P(OwnerTest, ASearchEndsAtItsStepsHoweverManyDescriptorsThereAre) {
  As(GetParam(), [] {
    Agent agent(
        Connects("for i in range(400): os.dup(0)\n"
                 "for i in range(250):\n"
                 "  if os.fork()==0: time.sleep(1000)\n"
                 "print('up',flush=True)\nsys.stdin.readline()"));
    ASSERT_TRUE(agent.started().ok());
    EXPECT_EQ(agent.Line(), "up");
    HolderSearch search(agent.handles().init_pid, 0, 1);
    constexpr size_t kPart = 1024;
    size_t parts = 1;
    while (!search.Advance(kPart)) ++parts;
    EXPECT_LE(parts, limits::kMaxOwnerSteps / kPart + 1);
    EXPECT_GE(parts, limits::kMaxOwnerSteps / kPart - 1) << "the agent was too small to reach the bound";
  });
}

// INV-SPAWN-15
TEST_P(OwnerTest, AnAgentThatIsSlowToSearchHoldsUpNobodyElse) {
  As(GetParam(), [] {
    Agent slow(
        Connects("for i in range(400): os.dup(0)\n"
                 "for i in range(200):\n"
                 "  if os.fork()==0: time.sleep(1000)\n"
                 "print('up',flush=True)\nsys.stdin.readline()"));
    ASSERT_TRUE(slow.started().ok());
    EXPECT_EQ(slow.Line(), "up");
    Agent other(Connects("for i in range(" + std::to_string(limits::kOwnerStepsPerTurn / 4) +
                         "):\n"
                         "  if os.fork()==0: time.sleep(1000)\n"
                         "if os.fork()==0:\n"
                         "  s=socket.create_connection(('93.184.216.34',443)); time.sleep(1000)\n"
                         "sys.stdin.readline()"));
    ASSERT_TRUE(other.started().ok());
    const Accepted a = Accept(other);
    const auto inode = SocketInode(other.handles().diag.get(), a.address);
    ASSERT_TRUE(inode.ok());

    runtime::Loop loop;
    ManualClock clock(WallTime{});
    OwnerTurns turns(loop, clock);
    size_t slow_done = 0, refused = 0;
    for (size_t i = 0; i < limits::kMaxOwnerSearchesWaiting + 3; ++i) {
      turns.Find("slow", HolderSearch(slow.handles().init_pid, 0, 1), [&](const Result<pid_t>& r) {
        ASSERT_FALSE(r.ok());
        ++(r.error().code() == ErrorCode::kResourceExhausted ? refused : slow_done);
      });
    }
    EXPECT_EQ(refused, 3u);
    std::optional<Result<pid_t>> found;
    size_t before = 0;
    turns.Find("other", HolderSearch(other.handles().init_pid, 0, *inode), [&](Result<pid_t> r) {
      found = r;
      before = slow_done;
      loop.Stop();
    });
    EXPECT_FALSE(found.has_value()) << "it was near: nothing was shown";
    loop.Run();
    EXPECT_EQ(before, 0u) << "it had to wait for one that came before it";
    ASSERT_TRUE(found.has_value() && found->ok());
    EXPECT_NE(**found, other.handles().agent_pid);
    // Whoever asked has given up by now: what is left costs nothing more.
    clock.Advance(limits::kFindOwnerDeadline + std::chrono::milliseconds(1));
    loop.RunReady();
    EXPECT_EQ(slow_done, limits::kMaxOwnerSearchesWaiting);
    // Searches of an instance that has ended are not answered, nor waited for.
    turns.Find("slow", HolderSearch(slow.handles().init_pid, 0, 1), [](const Result<pid_t>&) { FAIL(); });
    turns.Forget("slow");
    loop.RunReady();
  });
}

// Two agents that share a writable folder can hand a connection over. Whoever uses it then is not in the namespace that
// the connection belongs to: it is nobody's, which policy may refuse, and never taken for the one that opened it.
TEST_P(OwnerTest, AConnectionThatWasGivenAwayBelongsToNobodyHere) {
  As(GetParam(), [] {
    const TempFolder folder(geteuid() == 0 ? kTenantUid : geteuid());
    const std::string path = folder.path() + "/s";
    AgentOptions taker_options = Connects("s=socket.socket(socket.AF_UNIX)\ns.bind('" + path +
                                          "')\ns.listen()\nprint('up',flush=True)\nc,_=s.accept()\n"
                                          "_,fds,_,_=socket.recv_fds(c,1,1)\ngiven=socket.socket(fileno=fds[0])\ngiven."
                                          "send(b'x')\nc.send(b'y')\nsys.stdin.readline()");
    AgentOptions giver_options = Connects(
        "t=socket.create_connection(('93.184.216.34',443))\ns=socket.socket(socket.AF_UNIX)\ns.connect('" + path +
        "')\n"
        "socket.send_fds(s,[b'x'],[t.fileno()])\ns.recv(1)\nprint('kept',flush=True)\nsys.stdin.readline()\n"
        "t.close()\nprint('gone',flush=True)\nsys.stdin.readline()");
    taker_options.given = giver_options.given = {{folder.path(), true}};
    Agent taker(std::move(taker_options));
    ASSERT_TRUE(taker.started().ok()) << taker.started().error().ToString();
    ASSERT_EQ(taker.Line(), "up");
    Agent giver(std::move(giver_options));
    ASSERT_TRUE(giver.started().ok());
    const Accepted a = Accept(giver);
    ASSERT_EQ(giver.Line(), "kept");
    char byte = 0;
    EXPECT_EQ(read(a.fd.get(), &byte, 1), 1) << "the taker has not written on it";
    // While the giver keeps it, it answers for what the other does with it.
    const auto kept = Owner(giver, a.address);
    ASSERT_TRUE(kept.ok()) << kept.error().ToString();
    EXPECT_EQ(*kept, giver.handles().agent_pid);
    giver.Input("\n");
    ASSERT_EQ(giver.Line(), "gone");
    for (const pid_t likely : {pid_t{0}, giver.handles().agent_pid}) {
      EXPECT_EQ(Owner(giver, a.address, likely).error().code(), ErrorCode::kNotFound);
    }
    EXPECT_EQ(Owner(taker, a.address).error().code(), ErrorCode::kNotFound)
        << "it is no connection of the taker's network";
  });
}

}  // namespace
}  // namespace hexr::spawner
