// `hexr run` against a real spawner, as a program that a shell would start: codes, signals, pipes, terminals,
// sub-agents.
#include "cli/run.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <fstream>

#include "cli/run_prefix.h"
#include "spawner/testing/node.h"

namespace hexr::cli {
namespace {

using namespace spawner::testing;  // NOLINT: the harness of these tests
using runtime::UniqueFd;

class RunTest : public ::testing::TestWithParam<Who> {};
INSTANTIATE_TEST_SUITE_P(As, RunTest, ::testing::Values(Who::kRoot, Who::kPlain), CallerName);

// `hexr run` in a process of its own, on pipes or on a terminal.
struct Command {
  // `prepare` runs in that process, in its working folder.
  using Prepare = std::function<void(RunRequest&, const std::string& folder)>;
  Command(Node& n, std::vector<std::string> argv, bool terminal = false, std::vector<std::string> read_only = {},
          const Prepare& prepare = nullptr)
      : node(n) {
    int out[2] = {-1, -1}, in[2] = {-1, -1};
    if (!terminal) {
      EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
      EXPECT_EQ(pipe2(in, O_CLOEXEC), 0);
    }
    RunRequest r;
    r.launch_socket = node.path();
    r.agent = "crew";
    r.command = std::move(argv);
    r.read_only = std::move(read_only);
    int master = -1;
    winsize size{};
    size.ws_row = 33;
    size.ws_col = 99;
    pid = terminal ? forkpty(&master, nullptr, nullptr, &size) : fork();
    if (pid == 0) {
      if (!terminal) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(out[1], 2);
      }
      prctl(PR_SET_DUMPABLE, 1);  // an ordinary program, and not a copy of a node's process
      if (chdir(folder.path().c_str()) != 0) _exit(99);
      unsetenv("HEXR_INSTANCE");
      if (prepare) prepare(r, folder.path());
      _exit(RunAgent(r));
    }
    if (terminal) {
      output = UniqueFd(master);
      input = UniqueFd(fcntl(master, F_DUPFD_CLOEXEC, 3));
    } else {
      close(out[1]);
      close(in[0]);
      output = UniqueFd(out[0]);
      input = UniqueFd(in[1]);
    }
    fcntl(output.get(), F_SETFL, O_NONBLOCK);
  }
  ~Command() {
    if (!status) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
  }
  void Poll() {
    char buffer[4096];
    for (ssize_t n = 0; (n = read(output.get(), buffer, sizeof buffer)) > 0;)
      text.append(buffer, static_cast<size_t>(n));
    int s = 0;
    if (!status && waitpid(pid, &s, WNOHANG | WUNTRACED) == pid) {
      if (WIFSTOPPED(s))
        stopped = true;
      else
        status = s;
    }
  }
  bool UntilText(const std::string& wanted) {
    return node.Until([&] {
      Poll();
      return text.find(wanted) != std::string::npos;
    });
  }
  int Finish() {
    node.Until([&] {
      Poll();
      return status.has_value();
    });
    Poll();
    return status.value_or(-1);
  }

  Node& node;
  TempFolder folder;
  pid_t pid = -1;
  UniqueFd output, input;
  std::string text;
  bool stopped = false;
  std::optional<int> status;
};

TEST_P(RunTest, PassesOnOutputInputAndCode) {
  As(GetParam(), [] {
    Node node;
    Command c(node, {"sh", "-c", "read x; echo got $x; pwd; exit 9"});
    (void)!write(c.input.get(), "word\n", 5);
    EXPECT_EQ(WEXITSTATUS(c.Finish()), 9) << c.text;
    EXPECT_EQ(c.text, "got word\n" + c.folder.path() + "\n");
  });
}

TEST_P(RunTest, EndsByTheSignalThatEndedTheCommand) {
  As(GetParam(), [] {
    Node node;
    Command c(node, {"sh", "-c", "kill -SEGV $$"});
    const int status = c.Finish();
    EXPECT_TRUE(WIFSIGNALED(status)) << c.text;
    EXPECT_EQ(WTERMSIG(status), SIGSEGV);
  });
}

TEST_P(RunTest, ForwardsSignals) {
  As(GetParam(), [] {
    Node node;
    Command c(node, {"sh", "-c", "trap 'echo term; exit 3' TERM; echo up; while :; do sleep 0.01; done"});
    ASSERT_TRUE(c.UntilText("up\n")) << c.text;
    kill(c.pid, SIGTERM);
    EXPECT_EQ(WEXITSTATUS(c.Finish()), 3);
    EXPECT_EQ(c.text, "up\nterm\n");
  });
}

TEST_P(RunTest, SaysWhyItRefusesAndHowItFails) {
  As(GetParam(), [] {
    Node node;
    Command missing(node, {"no-such-program"});
    EXPECT_EQ(WEXITSTATUS(missing.Finish()), 127);
    Command folder(node, {"/etc/passwd"});
    EXPECT_EQ(WEXITSTATUS(folder.Finish()), 126);
    node.refuse_registration = true;
    Command refused(node, {"true"});
    EXPECT_EQ(WEXITSTATUS(refused.Finish()), 125);
    EXPECT_EQ(refused.text, "hexr: policy says no\n");
    RunRequest r;
    r.launch_socket = "/nonexistent/launch.sock";
    r.agent = "a";
    r.command = {"true"};
    EXPECT_EQ(RunAgent(r), 125);
  });
}

TEST_P(RunTest, ATerminalBehavesAsIfHexrWereNotThere) {
  As(GetParam(), [] {
    Node node;
    Command c(node,
              {"/usr/bin/python3", "-c",
               "import os,signal as s\n"
               "names={s.SIGINT:b'interrupted\\n',s.SIGWINCH:b'size\\n',s.SIGCONT:b'continued\\n'}\n"
               "s.pthread_sigmask(s.SIG_BLOCK,names)\n"
               "print('size',*os.get_terminal_size(),flush=True)\n"
               "while 1:\n"
               "  n=s.sigwait(names); os.write(1,names[n])\n"
               "  if n==s.SIGCONT: os._exit(5)\n"},
              true);
    ASSERT_TRUE(c.UntilText("size 99 33\r\n")) << c.text;
    (void)!write(c.input.get(), "\x03", 1);
    ASSERT_TRUE(c.UntilText("interrupted\r\n")) << c.text;
    winsize size{};
    size.ws_row = 44;
    size.ws_col = 55;
    ioctl(c.input.get(), TIOCSWINSZ, &size);
    ASSERT_TRUE(c.UntilText("size\r\n")) << c.text;
    (void)!write(c.input.get(), "\x1a", 1);
    ASSERT_TRUE(node.Until([&] {
      c.Poll();
      return c.stopped;
    })) << "Ctrl-Z does not reach the shell";
    kill(c.pid, SIGCONT);
    EXPECT_EQ(WEXITSTATUS(c.Finish()), 5) << c.text;
    EXPECT_NE(c.text.find("continued\r\n"), std::string::npos) << c.text;
  });
}

TEST_P(RunTest, SurvivesARestartOfTheSpawner) {
  As(GetParam(), [] {
    Node node;
    Command c(node, {"sh", "-c", "echo up; read x; exit 8"});
    ASSERT_TRUE(c.UntilText("up\n")) << c.text;
    ASSERT_TRUE(node.Until([&] { return node.parked.size() == 1; }));
    node.spawner.reset();
    node.to_supervisor.reset();
    node.ready = false;
    node.StartSpawner();
    (void)!write(c.input.get(), "\n", 1);
    EXPECT_EQ(WEXITSTATUS(c.Finish()), 8) << c.text;
  });
}

// This program, and the folder it lies in: the `hexr` of the inside.
std::pair<std::string, std::string> Self() {
  char self[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", self, sizeof self);
  const std::string program(self, n > 0 ? static_cast<size_t>(n) : 0);
  return {program, program.substr(0, program.rfind('/'))};
}

// INV-SPAWN-10
TEST_P(RunTest, SubAgentsAreKnownByTheKernelAndGetNoMoreThanTheirParent) {
  As(GetParam(), [] {
    const std::string me = spawner::UserName(geteuid()).value();
    const std::string user = me.starts_with("uid:") ? "\"*\"" : me;
    Node node("roles:\n  - {agent: crew, role: main, exe: \"*\", user: " + user +
              ", spawn: [crew/writer]}\n"
              "  - {agent: crew, role: writer, exe: \"*\", user: " +
              user +
              "}\n"
              "  - {agent: crew, role: admin, exe: \"*\", user: " +
              user + "}\n");
    // The test program is the `hexr` of the inside: it is given read-only, and runs the request by a flag of this test.
    const auto [program, bin] = Self();
    Command c(node, {"sh", "-c", "for r in writer admin; do HEXR_TEST_SUB=$r " + program + "; echo $r $?; done"}, false,
              {bin});
    c.Finish();
    EXPECT_NE(c.text.find("i am writer\nwriter 0\n"), std::string::npos) << c.text;
    EXPECT_NE(c.text.find("crew/main may not start crew/admin"), std::string::npos) << c.text;
    EXPECT_NE(c.text.find("admin 125\n"), std::string::npos) << c.text;
    ASSERT_EQ(node.registered.size(), 2u);
    EXPECT_EQ(node.registered[1].parent_instance(), node.registered[0].instance());
    EXPECT_EQ(node.registered[1].caller_uid(), geteuid());
  });
}

// INV-SPAWN-13: what a parent does not see or write, no sub-agent of it does: also when the spawner was restarted in
// between.
TEST_P(RunTest, ASubAgentShedsNothingThatHoldsItsParent) {
  As(GetParam(), [] {
    for (const bool restart : {false, true}) {
      Node node(
          "roles:\n  - {agent: crew, role: main, exe: \"*\", user: \"*\", spawn: [crew/writer]}\n"
          "  - {agent: crew, role: writer, exe: \"*\", user: \"*\"}\n");
      const auto [program, bin] = Self();
      Command c(node,
                {"sh", "-c",
                 "read x; HEXR_TEST_SUB=writer HEXR_TEST_SCRIPT='echo sub; cat plain; cat .ssh/id; echo x > vendor/x; "
                 "echo x > free' " +
                     program +
                     "; mv a b && echo renamed; echo > tried; read x; HEXR_TEST_SUB=writer HEXR_TEST_SCRIPT='cat "
                     "b/secret/id' " +
                     program},
                false, {bin}, [](RunRequest& r, const std::string& folder) {
                  for (const char* name : {".ssh", "vendor", "a", "a/secret"}) mkdir(name, 0755);
                  for (const char* name : {".ssh/id", "a/secret/id"}) std::ofstream(name) << "secret key\n";
                  std::ofstream("plain") << "plain text\n";
                  r.hidden = {folder + "/.ssh", folder + "/a/secret"};
                  r.read_only.push_back(folder + "/vendor");
                });
      ASSERT_TRUE(node.Until([&] { return node.spawner->instances() == 1; })) << c.text;  // its launch is over
      if (restart) {
        node.spawner.reset();
        node.to_supervisor.reset();
        node.ready = false;
        node.StartSpawner();
      }
      (void)!write(c.input.get(), "\n", 1);
      ASSERT_TRUE(node.Until([&] { return access((c.folder.path() + "/tried").c_str(), F_OK) == 0; }));
      // What the agent cannot do, its user or another program may.
      const std::string a = c.folder.path() + "/a", b = c.folder.path() + "/b";
      ASSERT_EQ(rename(a.c_str(), b.c_str()), 0);
      ASSERT_EQ(mkdir(a.c_str(), 0755), 0);
      ASSERT_EQ(mkdir((a + "/secret").c_str(), 0755), 0);
      (void)!write(c.input.get(), "\n", 1);
      c.Finish();
      EXPECT_NE(c.text.find("sub\nplain text\n"), std::string::npos) << c.text;
      EXPECT_EQ(c.text.find("renamed"), std::string::npos) << c.text;
      EXPECT_EQ(c.text.find("secret key"), std::string::npos) << c.text;
      EXPECT_NE(c.text.find("hidden from the parent, has been moved"), std::string::npos) << c.text;
      EXPECT_NE(access((c.folder.path() + "/vendor/x").c_str(), F_OK), 0);
      EXPECT_EQ(access((c.folder.path() + "/free").c_str(), F_OK), 0) << c.text;
    }
  });
}

TEST_P(RunTest, AHomeIsNeverGivenInPassing) {
  As(GetParam(), [] {
    Node node;
    const auto at_home = [](RunRequest&, const std::string& folder) {
      setenv("HOME", folder.c_str(), 1);
      mkdir(".ssh", 0755);
      std::ofstream(".ssh/id") << "secret key\n";
      std::ofstream("tool") << "#!/bin/sh\ncat " + folder + "/.ssh/id; echo ran\n";
      chmod("tool", 0755);
      mkdir("project", 0755);
    };
    Command refused(node, {"sh", "-c", "cat .ssh/id"}, false, {}, at_home);
    EXPECT_EQ(WEXITSTATUS(refused.Finish()), 125) << refused.text;
    EXPECT_NE(refused.text.find("--ro ."), std::string::npos) << refused.text;
    EXPECT_TRUE(node.registered.empty());
    Command named(node, {"sh", "-c", "cat .ssh/id"}, false, {"."}, at_home);
    EXPECT_EQ(WEXITSTATUS(named.Finish()), 0) << named.text;
    EXPECT_EQ(named.text, "secret key\n");
    // The folder above homes holds them all.
    Command above(node, {"true"}, false, {}, [](RunRequest&, const std::string& folder) {
      mkdir("user", 0755);
      setenv("HOME", (folder + "/user").c_str(), 1);
    });
    EXPECT_EQ(WEXITSTATUS(above.Finish()), 125) << above.text;
    // A program that lies right there brings itself and nothing beside it.
    Command tool(node, {"../tool"}, false, {}, [&](RunRequest& r, const std::string& folder) {
      at_home(r, folder);
      (void)!chdir("project");
      r.command = {folder + "/tool"};
    });
    EXPECT_EQ(WEXITSTATUS(tool.Finish()), 0) << tool.text;
    EXPECT_EQ(tool.text.find("secret key"), std::string::npos) << tool.text;
    EXPECT_NE(tool.text.find("ran\n"), std::string::npos) << tool.text;
  });
}

// Runs as the inside's `hexr` when this program is started by the test above: before gtest's main.
[[maybe_unused]] const bool kInside = [] {
  const char* role = std::getenv("HEXR_TEST_SUB");
  if (role == nullptr) return false;
  RunRequest r;
  r.launch_socket = "/nonexistent";
  r.agent = "crew";
  r.role = role;
  const char* script = std::getenv("HEXR_TEST_SCRIPT");
  r.command = {"sh", "-c", script != nullptr ? script : "echo i am $HEXR_ROLE"};
  _exit(RunAgent(r));
}();

TEST(RunPrefixTest, FollowsLinksVirtualEnvironmentsAndInterpreterLines) {
  const TempFolder home;
  const auto make = [&](const std::string& path, const std::string& content) {
    for (size_t i = home.path().size() + 1; (i = path.find('/', i)) != std::string::npos; ++i)
      mkdir(path.substr(0, i).c_str(), 0755);
    std::ofstream(path) << content;
    chmod(path.c_str(), 0755);
  };
  char real[PATH_MAX];
  const std::string h = realpath(home.path().c_str(), real);
  make(h + "/pyenv/3.11/bin/python3", "x");
  make(h + "/proj/venv/bin/tool", "#!" + h + "/proj/venv/bin/python3\n");
  make(h + "/proj/venv/pyvenv.cfg", "home = " + h + "/pyenv/3.11/bin\n");
  ASSERT_EQ(symlink((h + "/pyenv/3.11/bin/python3").c_str(), (h + "/proj/venv/bin/python3").c_str()), 0);
  make(h + "/.local/bin/uv", "x");
  const ProgramPlaces tool = FindProgramPlaces("tool", h + "/proj/venv/bin:/usr/bin", {h});
  EXPECT_EQ(tool.program, h + "/proj/venv/bin/tool");
  EXPECT_EQ(tool.prefixes, (std::vector<std::string>{h + "/proj/venv", h + "/pyenv/3.11"}));
  EXPECT_EQ(FindProgramPlaces("uv", h + "/.local/bin", {h}).prefixes, std::vector<std::string>{h + "/.local/bin"});
  EXPECT_TRUE(FindProgramPlaces("sh", "/usr/bin:/bin", {h}).prefixes.empty());
  EXPECT_EQ(FindProgramPlaces("absent", "/usr/bin", {h}).program, "");
}

}  // namespace
}  // namespace hexr::cli
