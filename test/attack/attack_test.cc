// What agents try, run for real through the launch: each has to fail, and to succeed (or fail elsewhere) without its
// control.
#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <fstream>
#include <optional>

#include "spawner/netns.h"
#include "spawner/testing/agent.h"

namespace hexr::spawner {
namespace {

using namespace testing;  // NOLINT: the harness of these tests

enum class Filter { kOn, kOff };

struct Attack {
  std::string name, argument;
  bool landlock = true;
  Filter filter = Filter::kOn;
  std::function<void(AgentOptions&)> with = nullptr;
};

// The filter's place taken by one that asks about exec and allows the rest: the control is gone, the launch is the
// same.
std::vector<sock_filter> NoFilter() { return {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}}; }

AgentOptions Attacking(const Attack& attack, const TempFolder& folder) {
  std::ifstream script(std::string(HEXR_SOURCE_DIR) + "/test/attack/agent_attacks.py");
  std::ofstream(folder.path() + "/attack.py") << script.rdbuf();
  AgentOptions o;
  o.argv = {"/usr/bin/python3", "-I", folder.path() + "/attack.py", attack.name};
  if (!attack.argument.empty()) o.argv.push_back(attack.argument);
  o.working_folder = folder.path();
  o.given = {{folder.path(), true}};
  o.landlock = attack.landlock;
  if (attack.filter == Filter::kOff) o.change_ground = [](Groundwork& g) { g.filter = NoFilter(); };
  if (attack.with) attack.with(o);
  return o;
}

std::string Rest(Agent& agent) {
  if (!agent.started().ok()) return "not started: " + agent.started().error().ToString();
  std::string out = agent.Finish().first;
  while (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

std::string Outcome(const Attack& attack) {
  const TempFolder folder;
  Agent agent(Attacking(attack, folder));
  return Rest(agent);
}

// The script as an ordinary process of that user: what it does there without hexr.
std::string OutcomeOutside(uid_t uid, const Attack& attack) {
  int out[2];
  EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
  const UniqueFd read_end(out[0]);
  UniqueFd write_end(out[1]);
  const pid_t pid = fork();
  if (pid == 0) {
    const std::string script = std::string(HEXR_SOURCE_DIR) + "/test/attack/agent_attacks.py";
    dup2(open(script.c_str(), O_RDONLY), 0);  // by descriptor: the folder may be closed to that user
    dup2(write_end.get(), 1);
    if (geteuid() == 0 && (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0)) _exit(1);
    execl("/usr/bin/python3", "python3", "-I", "-", attack.name.c_str(),
          attack.argument.empty() ? nullptr : attack.argument.c_str(), nullptr);
    _exit(1);
  }
  write_end.reset();
  std::string text;
  char buffer[256];
  for (ssize_t n = 0; (n = read(read_end.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(n));
  waitpid(pid, nullptr, 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

class AttackTest : public ::testing::TestWithParam<Who> {};
INSTANTIATE_TEST_SUITE_P(As, AttackTest, ::testing::Values(Who::kRoot, Who::kPlain), CallerName);

TEST_P(AttackTest, SocketsOfOtherFamiliesAndProtocols) {
  As(GetParam(), [] {
    EXPECT_EQ(Outcome({"vsock", ""}), "closed: EAFNOSUPPORT");
    EXPECT_EQ(Outcome({"mptcp", ""}), "closed: EPROTONOSUPPORT");
    EXPECT_EQ(Outcome({"packet", ""}), "closed: EAFNOSUPPORT");
    EXPECT_EQ(Outcome({"netlink", ""}), "closed: EPROTONOSUPPORT");
    // Without the filter MPTCP is there for everybody who can open TCP.
    EXPECT_EQ(Outcome({"mptcp", "", true, Filter::kOff}), "open");
  });
}

// "f,t,p" for each, as the attack takes them.
std::string Listed(const std::vector<std::string>& sockets, const std::string& outcome = "") {
  std::string text;
  for (const std::string& s : sockets) text += (text.empty() ? "" : outcome.empty() ? ";" : "; ") + s + outcome;
  return text;
}

TEST_P(AttackTest, TypesOfSockets) {
  As(GetParam(), [] {
    const auto all = [](const std::vector<std::string>& sockets, const std::string& outcome,
                        Filter filter = Filter::kOn) {
      EXPECT_EQ(Outcome({"socket_types", Listed(sockets), true, filter}), Listed(sockets, ": " + outcome));
    };
    // What programs live on: streams, datagrams and packets, with and without flags; netlink as libc opens it.
    const std::string flags = std::to_string(SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK);
    all({"1,1,0", "1,2,0", "1,5,0", "1," + flags + ",0", "1,pair:1,0", "1,pair:2,0", "1,pair:5,0", "2,1,0", "2,1,6",
         "2," + flags + ",6", "2,2,0", "2,2,17", "10,1,0", "10,2,17", "16,3,0", "16,2,0"},
        "open");
    // Raw, reliably delivered, packets (SCTP), DCCP, the old SOCK_PACKET.
    const std::string raw = std::to_string(SOCK_RAW | SOCK_CLOEXEC);
    all({"1,3,0",    "1,4,0",           "1,6,0",   "1,10,0", "1,pair:3,0", "1,pair:4,0", "1,pair:" + raw + ",0",
         "2,3,255",  "2,3,1",           "2,3,6",   "2,3,0",  "2,4,0",      "2,5,132",    "2,6,33",
         "2,10,768", "2," + raw + ",1", "10,3,58", "10,4,0", "10,5,0",     "10,6,33",    "16,1,0",
         "16,4,0",   "16,5,0"},
        "ESOCKTNOSUPPORT");
    // SCTP, UDP-Lite, MPTCP; netlink other than routes.
    all({"2,1,132", "2,2,136", "2,1,262", "10,1,262", "10,2,136", "16,3,9", "16,2,16", "16,3,4"}, "EPROTONOSUPPORT");
    std::vector<std::string> families, pairs;
    for (int family = 0; family < AF_MAX + 2; ++family) {
      if (family != AF_UNIX) pairs.push_back(std::to_string(family) + ",pair:1,0");
      if (family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK) continue;
      for (const int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET})
        families.push_back(std::to_string(family) + "," + std::to_string(type) + ",0");
    }
    all(families, "EAFNOSUPPORT");
    all(pairs, "EAFNOSUPPORT");
    // The kernel itself gives everybody these.
    all({"1,3,0", "1,pair:3,0", "16,2,16", "2,1,262"}, "open", Filter::kOff);
  });
}

// The claim of docs/launch.md: no process of an agent writes another's memory; reading is up to Yama, and to each
// process.
TEST_P(AttackTest, MemoryOfOneProcessOfAnAgentFromAnother) {
  As(GetParam(), [] {
    const auto writable_proc = [](AgentOptions& o) {
      o.change = [](ChildPlan& p) {
        std::erase_if(p.mounts,
                      [](const MountStep& s) { return s.kind == MountStep::Kind::kReadOnly && s.target == "/proc"; });
      };
    };
    EXPECT_EQ(Outcome({"write_memory_of_child", "", false}), "closed: EROFS");
    EXPECT_EQ(Outcome({"write_memory_of_child", "", true, Filter::kOn, writable_proc}), "closed: EACCES");
    EXPECT_EQ(Outcome({"write_memory_of_child", "", false, Filter::kOn, writable_proc}), "open");
    std::ifstream yama("/proc/sys/kernel/yama/ptrace_scope");
    int scope = 0;
    yama >> scope;
    EXPECT_EQ(Outcome({"read_memory_of_parent", ""}), scope == 0 ? "open" : "closed: EACCES");
    EXPECT_EQ(Outcome({"read_memory_of_parent", "0"}), "closed: ENOENT") << "hidepid";
  });
}

TEST_P(AttackTest, KernelInterfacesAndNamespaces) {
  As(GetParam(), [] {
    for (const char* name : {"io_uring", "clone3", "newer_call", "x32"})
      EXPECT_EQ(Outcome({name, ""}), "closed: ENOSYS") << name;
    for (const char* name : {"userns", "clone_userns", "mount", "bpf", "keyring", "ptrace_sibling", "tiocsti"}) {
      EXPECT_EQ(Outcome({name, ""}), "closed: EPERM") << name;
    }
    for (const char* name : {"userns", "ptrace_sibling", "keyring"})
      EXPECT_EQ(Outcome({name, "", true, Filter::kOff}), "open") << name;
    EXPECT_EQ(Outcome({"mount", "", true, Filter::kOff}), "closed: EPERM") << "no capability either";
    // A user namespace of its own gives the right to mount, and even without the filter Landlock holds.
    EXPECT_EQ(Outcome({"mount_in_userns", ""}), "closed: EPERM");
    EXPECT_EQ(Outcome({"mount_in_userns", "", true, Filter::kOff}), "closed: EPERM");
    EXPECT_EQ(Outcome({"mount_in_userns", "", false, Filter::kOff}), "open");
  });
}

// What the filter takes away and this kernel has: without it the agent can do what anybody outside can.
TEST_P(AttackTest, WithoutTheFilterAnAgentHasWhatTheKernelHas) {
  As(GetParam(), [] {
    const uid_t uid = geteuid() == 0 ? kTenantUid : geteuid();
    int there = 0;
    for (const char* name : {"vsock", "netlink", "io_uring", "clone3", "x32", "mptcp", "keyring"}) {
      const std::string outside = OutcomeOutside(uid, {name, ""});
      EXPECT_EQ(Outcome({name, "", true, Filter::kOff}), outside) << name;
      EXPECT_NE(Outcome({name, ""}), "open") << name;
      there += outside == "open" ? 1 : 0;
    }
    EXPECT_GE(there, 4) << "a kernel that has so little of it shows nothing";
  });
}

// A key of System V is the same for everybody in an IPC namespace.
TEST_P(AttackTest, SharedMemoryOfTheHost) {
  As(GetParam(), [] {
    const auto key = static_cast<key_t>(0x68780000 + getpid());
    const int segment = shmget(key, 4096, IPC_CREAT | IPC_EXCL | 0666);
    ASSERT_GE(segment, 0) << errno;
    const std::string name = std::to_string(key);
    const uid_t uid = geteuid() == 0 ? kTenantUid : geteuid();
    EXPECT_EQ(OutcomeOutside(uid, {"shared_memory", name}), "open");
    EXPECT_EQ(Outcome({"shared_memory", name}), "closed: ENOENT");
    EXPECT_EQ(Outcome({"shared_memory", name, false, Filter::kOff}), "closed: ENOENT");
    EXPECT_EQ(shmctl(segment, IPC_RMID, nullptr), 0);
  });
}

TEST_P(AttackTest, TheInitThatHoldsTheAgent) {
  As(GetParam(), [] {
    EXPECT_EQ(Outcome({"read_init", ""}), "closed: ENOENT");
    EXPECT_EQ(Outcome({"kill_init", ""}), "closed: EPERM");
    EXPECT_EQ(Outcome({"kill_everybody", ""}), "closed: ESRCH");
    EXPECT_EQ(Outcome({"prlimit_init", ""}), "closed: EPERM");
    EXPECT_EQ(Outcome({"prlimit_init", "", true, Filter::kOff}), "open");
  });
}

// Another agent, and a process of the user that the agent runs as (which a node that is not root shares with its
// agents): out of reach for each of two reasons, the filter and the PID namespace.
TEST_P(AttackTest, ProcessesOfOthers) {
  As(GetParam(), [] {
    AgentOptions o;
    o.argv = {"sleep", "1000"};
    Agent victim(std::move(o));
    ASSERT_TRUE(victim.started().ok()) << victim.started().error().ToString();
    const std::string other = std::to_string(victim.handles().agent_pid), ours = std::to_string(getpid());
    const uid_t uid = geteuid() == 0 ? kTenantUid : geteuid();
    for (const std::string& pid : {other, ours}) {
      for (const char* name : {"ptrace_other", "prlimit_other", "vm_readv_other"}) {
        EXPECT_EQ(Outcome({name, pid}), "closed: EPERM") << name;
        EXPECT_EQ(Outcome({name, pid, false, Filter::kOff}), "closed: ESRCH") << name;
      }
      EXPECT_EQ(Outcome({"kill_other", pid}), "closed: ESRCH");
      EXPECT_EQ(Outcome({"take_descriptor_of_other", pid}), "closed: ESRCH");
      for (const char* name : {"environment_of_other", "read_memory_of_other"})
        EXPECT_EQ(Outcome({name, pid}), "closed: ENOENT") << name;
    }
    // Without a PID namespace and a filter the same user reaches the victim.
    for (const char* name : {"kill_other", "prlimit_other"}) {
      EXPECT_EQ(OutcomeOutside(uid, {name, other}), "open") << name;
    }
    if (geteuid() != 0) {
      EXPECT_EQ(OutcomeOutside(uid, {"environment_of_other", other}), "open");
    }
  });
}

// INV-SPAWN-04: as root the folder is root's own and idmapped, so that a kept bit would be a setuid-root file of the
// host.
TEST_P(AttackTest, SetuidBitsInAGivenFolder) {
  As(GetParam(), [] {
    for (const char* name : {"setuid_chmod", "setuid_open", "setuid_fchmodat2", "setuid_mknod"}) {
      EXPECT_EQ(Outcome({name, ""}), "closed: EPERM") << name;
      EXPECT_EQ(Outcome({name, "", true, Filter::kOff}), "open") << name;
    }
    EXPECT_EQ(Outcome({"setuid_openat2", ""}), "closed: ENOSYS");
  });
}

struct HostSocket {
  explicit HostSocket(const std::string& path, bool abstract = false)
      : fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un a{};
    a.sun_family = AF_UNIX;
    snprintf(a.sun_path + (abstract ? 1 : 0), sizeof a.sun_path - 1, "%s", path.c_str());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&a), abstract ? size : sizeof a), 0);
    struct stat folder {};
    if (!abstract && stat(path.substr(0, path.rfind('/')).c_str(), &folder) == 0) {
      chmod(path.c_str(), 0666);
      (void)!chown(path.c_str(), folder.st_uid, folder.st_gid);
    }
    listen(fd.get(), 8);
  }
  UniqueFd fd;
};

constexpr uid_t kCaller = 1001, kStranger = 4321;

// What comes of connecting to a socket of the host in a folder of `owner`'s: one that is there, and one that appears
// when the agent runs. `said`: what the launch says of sockets.
std::vector<std::string> SocketsBelow(uid_t owner, bool writable, std::string& said,
                                      const std::function<void(AgentOptions&, const std::string&)>& with = nullptr) {
  std::vector<std::string> outcomes;
  for (const bool later : {false, true}) {
    const bool root = geteuid() == 0;
    const TempFolder work, given(root ? owner : geteuid());
    const std::string path = given.path() + "/host.sock";
    std::optional<HostSocket> host;
    if (!later) host.emplace(path);
    AgentOptions o = Attacking({later ? "later_host_socket" : "host_socket", path}, work);
    o.caller_uid = root ? kCaller : geteuid();
    o.caller_gids = {static_cast<gid_t>(o.caller_uid)};
    o.given[0].second = false;
    o.given.emplace_back(given.path(), writable);
    if (with) with(o, given.path());
    Agent agent(std::move(o));
    said = agent.notes().sockets;
    const size_t at = said.find(given.path());
    if (at != std::string::npos) said.replace(at, given.path().size(), "GIVEN");
    if (later && agent.started().ok()) {
      EXPECT_EQ(agent.Line(), "ready");
      host.emplace(path);
      agent.Input("go\n");
    }
    outcomes.push_back(Rest(agent));
  }
  return outcomes;
}

// A read-only bind does not stop connect(2): a map of owners that leaves no way to write does (root), an overlay does
// (plain user).
TEST_P(AttackTest, SocketsOfTheHostBelowAReadOnlyFolder) {
  As(GetParam(), [] {
    for (const uid_t owner : {kStranger, kCaller}) {
      std::string said;
      for (const std::string& outcome : SocketsBelow(owner, false, said))
        EXPECT_TRUE(outcome == "closed: EACCES" || outcome == "closed: ECONNREFUSED") << owner << ": " << outcome;
      EXPECT_EQ(said, "") << owner;
    }
    // A plain bind in its place lets it through: what stops it above is the kind of mount.
    const auto plain_bind = [](AgentOptions& o, const std::string& given) {
      o.change_ground = [](Groundwork& g) { g.sources_by_path = true; };
      o.change = [given](ChildPlan& p) {
        for (MountStep& s : p.mounts) {
          if (s.target != given) continue;
          s.kind = MountStep::Kind::kBind;
          s.tree.reset();
          s.source = given;
          s.attributes = MOUNT_ATTR_RDONLY;
          s.recursive = true;
        }
      };
    };
    std::string said;
    EXPECT_EQ(SocketsBelow(kStranger, false, said, plain_bind), std::vector<std::string>(2, "open"));
  });
}

// docs/adr/0017: nothing closes these. It is said, and stays said when somebody finds a way.
TEST_P(AttackTest, SocketsOfTheHostBelowAWritableFolderAreOpenAndItIsSaid) {
  As(GetParam(), [] {
    std::string said;
    EXPECT_EQ(SocketsBelow(kCaller, true, said), std::vector<std::string>(2, "open"));
    EXPECT_EQ(said.rfind("sockets of the host below GIVEN can be reached, also later ones", 0), 0U) << said;
    // What a parent may write, its sub-agent that may not is given as a bind, where there are no maps.
    const auto handed_down = [](AgentOptions& o, const std::string&) {
      o.ask = [](FolderRequest& r) { r.given.back().bind = true; };
    };
    const std::vector<std::string> outcomes = SocketsBelow(kCaller, false, said, handed_down);
    EXPECT_EQ(outcomes, std::vector<std::string>(2, geteuid() == 0 ? "closed: EACCES" : "open"));
    EXPECT_EQ(said.empty(), geteuid() == 0) << said;
  });
}

TEST_P(AttackTest, SocketsOfTheHostElsewhere) {
  As(GetParam(), [] {
    const std::string name = "hexr-attack-" + std::to_string(getpid());
    const HostSocket abstract(name, true);
    EXPECT_EQ(Outcome({"abstract_socket", name}), "closed: ECONNREFUSED");
    const TempFolder elsewhere;
    const HostSocket host(elsewhere.path() + "/s");
    EXPECT_EQ(Outcome({"host_socket", elsewhere.path() + "/s"}), "closed: ENOENT");
  });
}

// INV-SPAWN-06
TEST_P(AttackTest, WaysAroundTheListeners) {
  As(GetParam(), [] {
    for (const char* address : {"93.184.216.34:8443", "[::1]:22", "10.0.0.1:5432", "169.254.169.254:8080"}) {
      std::string a = address;
      if (a[0] == '[') a = "::1:22";
      EXPECT_EQ(Outcome({"outside", a}), "closed: ECONNREFUSED") << address;
    }
    EXPECT_EQ(Outcome({"privileged_port", ""}), "closed: EACCES");
    // Datagrams: to the machine itself, to QUIC and NTP somewhere, to a listener's port, which takes connections alone.
    const UniqueFd host(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in any{};
    any.sin_family = AF_INET;
    socklen_t size = sizeof any;
    ASSERT_EQ(bind(host.get(), reinterpret_cast<sockaddr*>(&any), size), 0);
    ASSERT_EQ(getsockname(host.get(), reinterpret_cast<sockaddr*>(&any), &size), 0);
    for (const std::string& to : {"127.0.0.1:" + std::to_string(ntohs(any.sin_port)), std::string("93.184.216.34:443"),
                                  std::string("93.184.216.34:123"), std::string("2606:2800:220:1::1:443")}) {
      EXPECT_EQ(Outcome({"udp", to}), "closed: ECONNREFUSED") << to;
    }
    char byte = 0;
    EXPECT_LT(recv(host.get(), &byte, 1, 0), 0) << "the machine has heard the agent";
    EXPECT_EQ(OutcomeOutside(geteuid() == 0 ? kTenantUid : geteuid(),
                             {"udp", "127.0.0.1:" + std::to_string(ntohs(any.sin_port))}),
              "closed: None")
        << "nobody answers, and it has arrived";
    EXPECT_EQ(recv(host.get(), &byte, 1, 0), 1);
    EXPECT_EQ(Outcome({"self_connect", ""}), "closed: ECONNREFUSED");
    EXPECT_EQ(Outcome({"self_connect_v6", ""}), "closed: ECONNREFUSED");
    // What keeps a connection from meeting itself is that its source is another address: with that one, it does.
    EXPECT_EQ(Outcome({"self_connect", kAgentIpv4}), "open");
  });
}

TEST_P(AttackTest, FilesThatHoldTheAgent) {
  As(GetParam(), [] {
    for (const bool landlock : {true, false}) {  // mounts hold without Landlock
      for (const char* name : {"write_resolver", "write_root", "write_usr"}) {
        const std::string outcome = Outcome({name, "", landlock});
        EXPECT_TRUE(outcome == "closed: EROFS" || outcome == "closed: EACCES") << name << ": " << outcome;
      }
      EXPECT_EQ(Outcome({"replace_sockets", "", landlock}), "closed: EBUSY");
    }
  });
}

}  // namespace
}  // namespace hexr::spawner
