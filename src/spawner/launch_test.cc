// Real launches, as root and as a plain user: what an agent is, sees and leaves behind.
#include "spawner/launch.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <fstream>
#include <set>

#include "base/limits/agents.h"
#include "spawner/testing/agent.h"

namespace hexr::spawner {
namespace {

using namespace testing;  // NOLINT: the harness of these tests

class LaunchTest : public ::testing::TestWithParam<Who> {};
INSTANTIATE_TEST_SUITE_P(As, LaunchTest, ::testing::Values(Who::kRoot, Who::kPlain), CallerName);

std::string OutputOf(AgentOptions o) {
  Agent agent(std::move(o));
  if (!agent.started().ok()) return "not started: " + agent.started().error().ToString();
  return agent.Finish().first;
}

TEST_P(LaunchTest, RunsAProgramAndPassesItsCodeOn) {
  As(GetParam(), [] {
    Agent agent(Shell("echo hello; exit 7"));
    ASSERT_TRUE(agent.started().ok()) << agent.started().error().ToString();
    const auto [out, status] = agent.Finish();
    EXPECT_EQ(out, "hello\n");
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 7);
    EXPECT_EQ(agent.exec_notifications(), 1);
  });
}

TEST_P(LaunchTest, SignalsReachTheAgentAndItsDeathIsToldAsTheKernelTellsIt) {
  As(GetParam(), [] {
    Agent agent(
        // Not signal.pause: a signal that comes just before it is handled after it, which is never.
        Python("import signal,os,time\nsignal.signal(signal.SIGUSR1,lambda *a: os.kill(os.getpid(),9))\n"
               "print('ready',flush=True)\nwhile 1: time.sleep(0.01)"));
    ASSERT_TRUE(agent.started().ok()) << agent.started().error().ToString();
    EXPECT_EQ(agent.Line(), "ready");
    const InitMessage m{InitMessage::Kind::kSignal, SIGUSR1, 0};
    ASSERT_EQ(send(agent.handles().control.get(), &m, sizeof m, 0), static_cast<ssize_t>(sizeof m));
    const int status = agent.Wait();
    EXPECT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGKILL);
  });
}

TEST_P(LaunchTest, IsAnOrdinaryUserWithoutRights) {
  As(GetParam(), [] {
    const std::string out =
        OutputOf(Shell("id -u; id -un; grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; hostname"));
    const std::string uid = geteuid() == 0 ? "1000" : std::to_string(kPlainUid);
    EXPECT_EQ(
        out,
        uid + "\nagent\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nagent\n");
  });
}

// INV-SPAWN-01
TEST_P(LaunchTest, IsNeverTheHostsRoot) {
  As(GetParam(), [] {
    Agent agent(Shell("read x"));
    ASSERT_TRUE(agent.started().ok()) << agent.started().error().ToString();
    struct stat st {};
    ASSERT_EQ(stat(("/proc/" + std::to_string(agent.handles().agent_pid)).c_str(), &st), 0);
    EXPECT_EQ(st.st_uid, geteuid() == 0 ? kTenantUid : kPlainUid);
    const auto refused = Launch::Prepare(std::make_unique<Groundwork>(), HostIds{0, 1000});
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code(), ErrorCode::kPermissionDenied);
  });
}

TEST_P(LaunchTest, SeesOnlyItsOwnProcesses) {
  As(GetParam(), [] {
    EXPECT_EQ(OutputOf(Shell("ls /proc | grep -E '^[0-9]+$' | sort -n | head -1; "
                             "cat /proc/1/status 2>&1 | grep -c 'No such file'")),
              "2\n1\n");
  });
}

TEST_P(LaunchTest, NotFoundAndNotExecutableAreToldApart) {
  As(GetParam(), [] {
    AgentOptions missing;
    missing.argv = {"no-such-program"};
    Agent a(std::move(missing));
    EXPECT_FALSE(a.started().ok());
    EXPECT_EQ(a.exit_code(), 127);
    AgentOptions data;
    data.argv = {"/etc/passwd"};
    Agent b(std::move(data));
    EXPECT_FALSE(b.started().ok());
    EXPECT_EQ(b.exit_code(), 126);
  });
}

TEST_P(LaunchTest, RunsAScriptWithoutInterpreterLineLikeAShellDoes) {
  As(GetParam(), [] {
    const TempFolder folder;
    const std::string script = folder.path() + "/plain";
    std::ofstream(script) << "echo plain $1\n";
    chmod(script.c_str(), 0755);
    AgentOptions o;
    o.argv = {script, "word"};
    o.working_folder = folder.path();
    o.given = {{folder.path(), true}};
    EXPECT_EQ(OutputOf(std::move(o)), "plain word\n");
  });
}

TEST_P(LaunchTest, DescriptorsOfTheSpawnerStayThere) {
  As(GetParam(), [] {
    const UniqueFd secret(open("/etc/hostname", O_RDONLY));          // without close-on-exec, on purpose
    EXPECT_EQ(OutputOf(Shell("ls /proc/self/fd")), "0\n1\n2\n3\n");  // 3 is ls reading the folder
  });
}

TEST_P(LaunchTest, FiresItsPidfdOnlyWhenEveryProcessIsGone) {
  As(GetParam(), [] {
    // Double-forked children that ignore TERM and hold the output pipe: end of file there means that all are dead.
    Agent agent(
        Python("import os,signal,time\n"
               "for i in range(20):\n"
               "  if os.fork()==0:\n"
               "    os.setsid()\n"
               "    if os.fork()==0:\n"
               "      signal.signal(signal.SIGTERM,signal.SIG_IGN); time.sleep(1000)\n"
               "    os._exit(0)\n"
               "print('ready',flush=True)\ntime.sleep(1000)"));
    ASSERT_TRUE(agent.started().ok()) << agent.started().error().ToString();
    EXPECT_EQ(agent.Line(), "ready");
    ASSERT_TRUE(runtime::SignalPidfd(agent.handles().init_pidfd.get(), SIGKILL).ok());
    pollfd p{agent.handles().init_pidfd.get(), POLLIN, 0};
    ASSERT_EQ(poll(&p, 1, 20'000), 1);
    EXPECT_EQ(agent.Output(), "");
  });
}

TEST_P(LaunchTest, EndsWhenNobodyHoldsItAnyMore) {
  As(GetParam(), [] {
    Agent agent(Shell("echo ready; sleep 1000"));
    ASSERT_TRUE(agent.started().ok()) << agent.started().error().ToString();
    EXPECT_EQ(agent.Line(), "ready");
    agent.handles().control.reset();
    pollfd p{agent.handles().init_pidfd.get(), POLLIN, 0};
    EXPECT_EQ(poll(&p, 1, 20'000), 1);
  });
}

TEST_P(LaunchTest, OutlivesTheProcessThatMadeItWhileADuplicateIsHeld) {
  As(GetParam(), [] {
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    int out[2];
    ASSERT_EQ(pipe(out), 0);
    const pid_t maker = fork();
    if (maker == 0) {
      close(pair[0]);
      AgentOptions o;
      o.argv = {"sleep", "1000"};
      Agent agent(std::move(o));
      char control[CMSG_SPACE(sizeof(int))] = {};
      char byte = agent.started().ok() ? '1' : '0';
      iovec v{&byte, 1};
      msghdr m{};
      m.msg_iov = &v;
      m.msg_iovlen = 1;
      m.msg_control = control;
      m.msg_controllen = sizeof control;
      cmsghdr* h = CMSG_FIRSTHDR(&m);
      h->cmsg_level = SOL_SOCKET;
      h->cmsg_type = SCM_RIGHTS;
      h->cmsg_len = CMSG_LEN(sizeof(int));
      const int fd = agent.handles().control.get();
      memcpy(CMSG_DATA(h), &fd, sizeof fd);
      sendmsg(pair[1], &m, 0);
      char ack = 0;
      (void)!read(pair[1], &ack, 1);
      _exit(0);  // a crash: nothing is ended in order
    }
    close(pair[1]);
    char control[CMSG_SPACE(sizeof(int))] = {};
    char byte = 0;
    iovec v{&byte, 1};
    msghdr m{};
    m.msg_iov = &v;
    m.msg_iovlen = 1;
    m.msg_control = control;
    m.msg_controllen = sizeof control;
    ASSERT_EQ(recvmsg(pair[0], &m, MSG_CMSG_CLOEXEC), 1);
    ASSERT_EQ(byte, '1');
    int fd = -1;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    const UniqueFd held(fd);
    (void)!write(pair[0], "x", 1);
    int status = 0;
    waitpid(maker, &status, 0);
    // PID 1 answers: it is there. Its maker is not.
    const InitMessage ask{InitMessage::Kind::kSocket, AF_INET, 42};
    ASSERT_EQ(send(held.get(), &ask, sizeof ask, 0), static_cast<ssize_t>(sizeof ask));
    pollfd p{held.get(), POLLIN, 0};
    ASSERT_EQ(poll(&p, 1, 20'000), 1);
    InitMessage answer{};
    ASSERT_EQ(recv(held.get(), &answer, sizeof answer, 0), static_cast<ssize_t>(sizeof answer));
    EXPECT_EQ(answer.kind, InitMessage::Kind::kSocket);
    EXPECT_EQ(answer.serial, 42u);
    EXPECT_EQ(answer.value, 0);
  });
}

size_t CountEntries(const char* folder) {
  size_t n = 0;
  DIR* d = opendir(folder);
  while (d != nullptr && readdir(d) != nullptr) ++n;
  closedir(d);
  return n;
}

TEST_P(LaunchTest, LeavesNothingBehind) {
  As(GetParam(), [] {
    OutputOf(Shell("true"));  // id map namespaces live in the harness: gone with it
    const size_t before = CountEntries("/proc/self/fd");
    const size_t threads = CountEntries("/proc/self/task");
    for (int i = 0; i < 20; ++i) {
      AgentOptions o = Shell("true");
      o.listeners = {Tcp(15001), Tcp(443, true)};
      o.terminal = i % 2 == 0;
      OutputOf(std::move(o));
    }
    AgentOptions broken = Shell("true");
    broken.argv = {"/no/such"};
    for (int i = 0; i < 5; ++i) {
      AgentOptions copy = broken;
      Agent failed(std::move(copy));
      EXPECT_FALSE(failed.started().ok());
    }
    EXPECT_EQ(CountEntries("/proc/self/fd"), before);
    EXPECT_EQ(CountEntries("/proc/self/task"), threads);
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD);
  });
}

// ---- files

TEST_P(LaunchTest, WritesInTheWorkingFolderAsItsOwner) {
  As(GetParam(), [] {
    const uid_t owner = geteuid() == 0 ? 4321 : geteuid();
    const TempFolder folder(owner);
    std::ofstream(folder.path() + "/private") << "mine";
    (void)!chown((folder.path() + "/private").c_str(), owner, owner);
    chmod((folder.path() + "/private").c_str(), 0600);
    AgentOptions o =
        Shell("pwd; cat private; echo; echo new > made; stat -c %u made; touch /usr/x 2>&1 | grep -c Read-only");
    o.working_folder = folder.path();
    o.given = {{folder.path(), true}};
    const std::string uid = geteuid() == 0 ? "1000" : std::to_string(kPlainUid);
    EXPECT_EQ(OutputOf(std::move(o)), folder.path() + "\nmine\n" + uid + "\n1\n");
    struct stat st {};
    ASSERT_EQ(stat((folder.path() + "/made").c_str(), &st), 0);
    EXPECT_EQ(st.st_uid, owner);
  });
}

// Its times stay when a file is given other blocks, and what was measured of it would be taken for what it is.
TEST_P(LaunchTest, GivesNoFileTheBlocksOfAnother) {
  As(GetParam(), [] {
    const TempFolder folder;
    AgentOptions o = Python(
        "import fcntl\n"
        "f = open('a', 'w+b')\n"
        "for call in (0xC028660F, 0xC0C0586D):\n"
        "  try: fcntl.ioctl(f.fileno(), call, bytes(192))\n"
        "  except OSError as e: print(e.strerror)\n");
    o.working_folder = folder.path();
    o.given = {{folder.path(), true}};
    EXPECT_EQ(OutputOf(std::move(o)), "Operation not permitted\nOperation not permitted\n");
  });
}

TEST_P(LaunchTest, ReachesAFolderBelowOnesThatItMayNotSearch) {
  As(GetParam(), [] {
    const TempFolder outer(geteuid(), 0700);
    const std::string inner = outer.path() + "/deep/er";
    mkdir((outer.path() + "/deep").c_str(), 0700);
    mkdir(inner.c_str(), 0755);
    std::ofstream(outer.path() + "/secret") << "s";
    std::ofstream(inner + "/file") << "f";
    AgentOptions o = Shell("cat file; ls " + outer.path());
    o.working_folder = inner;
    o.given = {{inner, true}};
    EXPECT_EQ(OutputOf(std::move(o)), "fdeep\n");
  });
}

TEST_P(LaunchTest, SeesNothingThatIsNotGiven) {
  As(GetParam(), [] {
    const TempFolder folder;
    AgentOptions o =
        Shell("ls -A /root /var/lib " + folder.path() + " 2>/dev/null; ls -A /tmp /var/tmp /run /etc/shadow 2>&1");
    EXPECT_EQ(OutputOf(std::move(o)),
              "ls: cannot access '/etc/shadow': No such file or directory\n/run:\nhexr\n\n/tmp:\n\n/var/tmp:\n");
  });
}

TEST_P(LaunchTest, GivesReadOnlyAndHides) {
  As(GetParam(), [] {
    const TempFolder folder;
    std::ofstream(folder.path() + "/a") << "a";
    std::ofstream(folder.path() + "/key") << "k";
    mkdir((folder.path() + "/.ssh").c_str(), 0755);
    std::ofstream(folder.path() + "/.ssh/id") << "i";
    AgentOptions o =
        Shell("cd " + folder.path() +
              "; cat a; "
              "(echo x > b) 2>&1 | grep -c Read-only; cat key 2>&1 | grep -c denied; ls .ssh 2>&1 | grep -c denied");
    o.given = {{folder.path(), false}};
    o.hidden = {folder.path() + "/key", folder.path() + "/.ssh", folder.path() + "/absent"};
    EXPECT_EQ(OutputOf(std::move(o)), "a1\n1\n1\n");
  });
}

TEST(FolderTest, NobodyGivesWritableWhatIsNotHis) {
  const TempFolder folder(4321);
  AgentOptions o = Shell("true");
  o.given = {{folder.path(), true}};
  o.working_folder = folder.path();
  o.caller_uid = 1001;
  Agent agent(std::move(o));
  ASSERT_FALSE(agent.started().ok());
  EXPECT_EQ(agent.started().error().code(), ErrorCode::kPermissionDenied);
  EXPECT_NE(agent.started().error().message().find("--ro"), std::string::npos);
}

TEST(FolderTest, AFolderThatWasSwappedAfterItWasShownIsRefused) {
  As(Who::kPlain, [] {
    const TempFolder folder;
    const std::string path = folder.path() + "/project";
    mkdir(path.c_str(), 0755);
    AgentOptions o = Shell("true");
    o.given = {{path, true}};
    o.working_folder = path;
    o.change = [&](ChildPlan&) {
      rename(path.c_str(), (path + ".old").c_str());
      mkdir(path.c_str(), 0755);
    };
    Agent agent(std::move(o));
    ASSERT_FALSE(agent.started().ok());
    EXPECT_EQ(agent.started().error().code(), ErrorCode::kFailedPrecondition);
  });
}

TEST_P(LaunchTest, SharedFoldersOfTheHostAreNotGivenAsAWhole) {
  As(GetParam(), [] {
    AgentOptions o = Shell("pwd; ls -A /tmp");
    o.working_folder = "/tmp";
    o.given = {{"/tmp", true}};
    Agent agent(std::move(o));
    ASSERT_TRUE(agent.started().ok()) << agent.started().error().ToString();
    EXPECT_EQ(agent.notes().warnings.size(), 1u);
    EXPECT_EQ(agent.Finish().first, "/tmp\n");
  });
}

TEST(FolderTest, PathsAreAbsoluteAndNormal) {
  EXPECT_TRUE(IsNormalPath("/"));
  EXPECT_TRUE(IsNormalPath("/a/b c/.d"));
  for (const char* bad : {"", "a", "/a/", "//a", "/a//b", "/a/../b", "/a/.", "/a\nb"})
    EXPECT_FALSE(IsNormalPath(bad)) << bad;
  EXPECT_TRUE(IsSystemPath("/usr/lib/x"));
  EXPECT_FALSE(IsSystemPath("/usrlocal"));
}

// ---- network

TEST_P(LaunchTest, EveryAddressEndsAtTheListenerWithItsDestinationKnown) {
  As(GetParam(), [] {
    AgentOptions o = Python(
        "import socket\n"
        "for a in [('93.184.216.34',443),('2606:4700::1111',443)]:\n"
        "  socket.create_connection(a).close()\n"
        "for a in [('93.184.216.34',8080),('127.0.0.1',22),('169.254.169.254',8081)]:\n"
        "  try: socket.create_connection(a); print('open',a)\n"
        "  except ConnectionRefusedError: print('refused')\n");
    o.listeners = {Tcp(443), Tcp(443, true)};
    Agent agent(std::move(o));
    ASSERT_TRUE(agent.started().ok()) << agent.started().error().ToString();
    const auto accepted = [&](size_t i) {
      pollfd p{agent.handles().listeners[i].get(), POLLIN, 0};
      poll(&p, 1, 20'000);
      const UniqueFd c(accept4(agent.handles().listeners[i].get(), nullptr, nullptr, SOCK_CLOEXEC));
      sockaddr_storage a{};
      socklen_t n = sizeof a;
      getsockname(c.get(), reinterpret_cast<sockaddr*>(&a), &n);
      char text[64] = "?";
      if (a.ss_family == AF_INET)
        inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in&>(a).sin_addr, text, sizeof text);
      else
        inet_ntop(AF_INET6, &reinterpret_cast<sockaddr_in6&>(a).sin6_addr, text, sizeof text);
      return std::string(text);
    };
    EXPECT_EQ(accepted(0), "93.184.216.34");
    EXPECT_EQ(accepted(1), "2606:4700::1111");
    EXPECT_EQ(agent.Finish().first, "refused\nrefused\nrefused\n");
  });
}

TEST_P(LaunchTest, ManyListenersFitAndOneMoreIsRefused) {
  As(GetParam(), [] {
    AgentOptions o = Shell("echo ok");
    for (size_t i = 0; i < limits::kMaxAgentListeners; ++i)
      o.listeners.push_back(Tcp(static_cast<uint16_t>(20000 + i)));
    AgentOptions more = o;
    EXPECT_EQ(OutputOf(std::move(o)), "ok\n");
    more.listeners.push_back(Tcp(30000));
    Agent agent(std::move(more));
    ASSERT_FALSE(agent.started().ok());
    EXPECT_EQ(agent.started().error().code(), ErrorCode::kResourceExhausted);
  });
}

// ---- terminal

TEST_P(LaunchTest, HasATerminalOfItsOwn) {
  As(GetParam(), [] {
    AgentOptions o = Shell("tty; test -t 0 && test -t 1 && test -t 2 && echo three; echo via-tty > /dev/tty; exit 3");
    o.terminal = true;
    Agent agent(std::move(o));
    ASSERT_TRUE(agent.started().ok()) << agent.started().error().ToString();
    EXPECT_EQ(agent.Output(), "/dev/pts/0\r\nthree\r\nvia-tty\r\n");
    EXPECT_EQ(WEXITSTATUS(agent.Wait()), 3);
  });
}

TEST_P(LaunchTest, CtrlCInterruptsAndCtrlZStopsAProgramWithoutAShell) {
  As(GetParam(), [] {
    // sigwait, not handlers: an interpreter runs those some time later, or after its next sleep.
    AgentOptions o = Python(
        "import os,signal as s\n"
        "names={s.SIGINT:b'interrupted\\n',s.SIGWINCH:b'size\\n',s.SIGCONT:b'continued\\n'}\n"
        "s.pthread_sigmask(s.SIG_BLOCK,names)\n"
        "print('ready',flush=True)\n"
        "while 1:\n"
        "  n=s.sigwait(names); os.write(1,names[n])\n"
        "  if n==s.SIGCONT: os._exit(5)\n");
    o.terminal = true;
    Agent agent(std::move(o));
    ASSERT_TRUE(agent.started().ok()) << agent.started().error().ToString();
    EXPECT_EQ(agent.Line(), "ready\r");
    agent.Input("\x03");
    EXPECT_EQ(agent.Line(), "^Cinterrupted\r");
    winsize size{};
    size.ws_row = 40;
    size.ws_col = 123;
    ASSERT_EQ(ioctl(agent.handles().terminal.get(), TIOCSWINSZ, &size), 0);
    EXPECT_EQ(agent.Line(), "size\r");
    agent.Input("\x1a");
    pollfd p{agent.handles().control.get(), POLLIN, 0};
    ASSERT_EQ(poll(&p, 1, 20'000), 1) << "PID 1 does not see the stop";
    InitMessage m{};
    ASSERT_EQ(recv(agent.handles().control.get(), &m, sizeof m, 0), static_cast<ssize_t>(sizeof m));
    EXPECT_EQ(m.kind, InitMessage::Kind::kStopped);
    EXPECT_EQ(m.value, SIGTSTP);
    const InitMessage go{InitMessage::Kind::kSignal, SIGCONT, 0};
    ASSERT_EQ(send(agent.handles().control.get(), &go, sizeof go, 0), static_cast<ssize_t>(sizeof go));
    EXPECT_EQ(agent.Line(), "^Zcontinued\r");
    EXPECT_EQ(WEXITSTATUS(agent.Wait()), 5);
  });
}

TEST_P(LaunchTest, PipesStayPipesBesideATerminal) {
  As(GetParam(), [] {
    AgentOptions o = Shell("cat; test -t 1 || echo pipe >&1");
    o.stdin_text = "through\n";
    Agent agent(std::move(o));
    ASSERT_TRUE(agent.started().ok());
    EXPECT_EQ(agent.Finish().first, "through\npipe\n");
  });
}

// ---- what ordinary programs need

TEST_P(LaunchTest, OrdinaryProgramsRun) {
  As(GetParam(), [] {
    const TempFolder folder;
    AgentOptions o = Shell(
        "set -e\n"
        "python3 -c 'import subprocess,multiprocessing as m,asyncio,pty,tempfile,ssl\n"
        "def f(x): return x+1\n"
        "if __name__==\"__main__\":\n"
        "  assert subprocess.check_output([\"echo\",\"x\"])==b\"x\\n\"\n"
        "  with m.get_context(\"fork\").Pool(2) as p: assert p.map(f,[1,2])==[2,3]\n"
        "  assert pty.spawn([\"true\"])==0\n"
        "  assert ssl.create_default_context().cert_store_stats()[\"x509\"]>0\n'\n"
        "git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x\n"
        "echo 'int main(){return 0;}' > a.c && (! command -v cc >/dev/null || cc a.c -o a && ./a)\n"
        "! command -v node >/dev/null || node -e 'require(\"fs\").writeFileSync(\"n\",\"1\")'\n"
        "bash -c 'sleep 0.01 & wait'\n"
        "echo fine");
    o.working_folder = folder.path();
    o.given = {{folder.path(), true}};
    EXPECT_EQ(OutputOf(std::move(o)), "fine\n");
  });
}

// INV-SPAWN-15: the end of a child takes as long as the file systems that it has mounted.
TEST_P(LaunchTest, WhoGivesALaunchUpWaitsForNothing) {
  As(GetParam(), [] {
    const bool root = geteuid() == 0;
    auto ground = std::make_unique<Groundwork>();
    ground->uid = ground->gid = root ? 1000 : geteuid();
    ground->filter = BuildAgentFilter(ExecCalls::kNotify);
    ground->filter_flags = static_cast<unsigned>(SECCOMP_FILTER_FLAG_NEW_LISTENER);
    Idmapper idmapper;
    const HostIds ids = root ? HostIds{kTenantUid, kTenantUid} : HostIds{geteuid(), getegid()};
    std::vector<std::string> weaker;
    ASSERT_TRUE(PlanGround({"", "", ids, root ? &idmapper : nullptr}, *ground, weaker).ok());
    AgentHandles given;
    auto launch = Launch::Prepare(std::move(ground), ids, [&](AgentHandles& h) {
      given = std::move(h);
      return true;
    });
    ASSERT_TRUE(launch.ok()) << launch.error().ToString();
    ASSERT_EQ(kill((*launch)->handles().init_pid, SIGSTOP), 0);  // it does not end by itself
    launch->reset();
    ASSERT_TRUE(given.init_pidfd);
    pollfd p{given.init_pidfd.get(), POLLIN, 0};
    ASSERT_EQ(poll(&p, 1, 20'000), 1) << "it was not killed";
    siginfo_t info{};
    EXPECT_EQ(waitid(P_PIDFD, static_cast<id_t>(given.init_pidfd.get()), &info, WEXITED), 0) << "somebody has waited";
  });
}

}  // namespace
}  // namespace hexr::spawner
