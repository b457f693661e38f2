// What a caller inside an agent may ask of the spawner, and what it is not given; what a keeper says of agents.
#include <sys/eventfd.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>

#include "base/limits/agents.h"
#include "spawner/testing/client.h"
#include "spawner/testing/node.h"

namespace hexr::spawner {
namespace {

using namespace testing;  // NOLINT: the harness of these tests

class InsideTest : public ::testing::TestWithParam<Who> {};
INSTANTIATE_TEST_SUITE_P(As, InsideTest, ::testing::Values(Who::kRoot, Who::kPlain), CallerName);

constexpr char kRoles[] =
    "roles:\n"
    "  - {agent: crew, role: main, exe: '*', user: '*', spawn: [crew/main, crew/other]}\n"
    "  - {agent: crew, role: other, exe: '*', user: somebody-else}\n";

// launch.sock without a library: `said` gives the first message that is no warning.
constexpr char kAsk[] = R"(
import array, re, socket, sys
def field(number, value):
    value = value.encode() if isinstance(value, str) else value
    n = len(value)
    return bytes([number << 3 | 2]) + (bytes([n]) if n < 128 else bytes([n & 127 | 128, n >> 7])) + value
def ask(body, *fds):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect('/run/hexr/launch.sock')
    s.sendmsg([body], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else [])
    return s
def launch(role, *argv):
    return ask(field(1, field(2, 'crew') + field(3, role) + b''.join(field(4, a) for a in argv) +
                     field(5, 'PATH=/usr/bin:/bin') + field(7, '/tmp')), 0, 1, 2)
def attach(instance):
    return ask(field(2, field(1, instance)))
def said(s):
    while True:
        m = s.recv(65536)
        if m[:1] != b'\x32': return m
def instance(m):
    return re.search(rb'[a-z2-7]{26}', m).group().decode()
)";

std::vector<std::string> Asking(const std::string& script) { return {"python3", "-c", kAsk + script}; }

void Say(Client& c, const std::string& line) { (void)!write(c.input.get(), line.data(), line.size()); }

bool UntilText(Node& node, Client& c, const std::string& text) {
  return node.Until([&] {
    c.Poll();
    return c.text.find(text) != std::string::npos;
  });
}

// INV-SPAWN-10
TEST_P(InsideTest, AnAgentAttachesToNoInstanceButItsOwnSubAgents) {
  As(GetParam(), [] {
    Node node(kRoles);
    const TempFolder folder;
    Client victim(node.path()), c(node.path());
    victim.Launch(folder.path(), {"sleep", "1000"});
    ASSERT_TRUE(node.UntilStarted(victim));
    ASSERT_TRUE(victim.started.has_value());
    c.Launch(folder.path(), Asking("print(said(attach(sys.stdin.readline().strip())), flush=True)\n"
                                   "held = launch('main', 'sleep', '1000')\nown = attach(instance(said(held)))\n"
                                   "own.send(field(3, b'\\x08\\x0f'))\n"
                                   "print('ended' if said(own)[:1] == b'\\x2a' else 'not', flush=True)\n"));
    ASSERT_TRUE(node.UntilStarted(c));
    Say(c, victim.started->instance() + "\n");
    ASSERT_TRUE(UntilText(node, c, "ended"));
    EXPECT_NE(c.text.find("started by somebody else"), std::string::npos) << c.text;
    victim.Poll();
    EXPECT_FALSE(victim.closed) << "its starter has lost it";
    EXPECT_FALSE(victim.ended.has_value());
  });
}

// INV-SPAWN-16: an agent has its own share of the connections to launch.sock, and not that of the user it runs as.
TEST_P(InsideTest, AnAgentsConnectionsAreItsOwn) {
  As(GetParam(), [] {
    rlimit files{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;  // both ends of some are ours
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
    Node node(kRoles);
    const TempFolder folder;
    Client c(node.path()), beside(node.path());
    const std::string many = std::to_string(2 * limits::kMaxLaunchSessionsPerAgent);
    static_assert(2 * limits::kMaxLaunchSessionsPerAgent < limits::kMaxLaunchSessionsPerUser);
    c.Launch(folder.path(), Asking("def silent():\n"
                                   "    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
                                   "    s.connect('/run/hexr/launch.sock')\n"
                                   "    return s\n"
                                   "held = [silent() for i in range(" +
                                   many +
                                   ")]\n"
                                   "print(said(held[-1]), flush=True)\nsys.stdin.readline()\n"));
    ASSERT_TRUE(node.UntilStarted(c));
    EXPECT_TRUE(UntilText(node, c, "\n"));
    EXPECT_NE(c.text.find("too many connections"), std::string::npos) << c.text;
    beside.Launch(folder.path(), {"sleep", "1000"});
    ASSERT_TRUE(node.UntilStarted(beside));
    EXPECT_TRUE(beside.started.has_value()) << "its user has lost his share";
  });
}

TEST_P(InsideTest, AnAgentGetsNoRoleOfAnotherUser) {
  As(GetParam(), [] {
    Node node(kRoles);
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), Asking("print(said(launch('other', 'true')), flush=True)"));
    ASSERT_TRUE(node.UntilStarted(c));
    EXPECT_TRUE(UntilText(node, c, "may not start crew/other")) << c.text;
    EXPECT_EQ(node.registered.size(), 1u);
  });
}

// A keeper says it again to every spawner that comes, which may not have its instances back yet.
TEST_P(InsideTest, AQuarantinedAgentStartsNothing) {
  As(GetParam(), [] {
    Node node(kRoles);
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), Asking("for line in sys.stdin: print(line, said(launch('main', 'true')), flush=True)"));
    ASSERT_TRUE(node.UntilStarted(c));
    const std::string id = c.started->instance();
    node.Quarantine(id, true);
    node.loop.RunFor(std::chrono::milliseconds(5));
    Say(c, "held\n");
    EXPECT_TRUE(UntilText(node, c, "an operator can release it")) << c.text;
    ASSERT_TRUE(node.Until([&] { return node.parked.contains(id); }));

    node.spawner.reset();
    node.to_supervisor.reset();
    node.ready = false;
    c.text.clear();
    node.quarantined = {id};
    node.StartSpawner();
    ASSERT_EQ(node.spawner->instances(), 1u);
    Say(c, "again\n");
    EXPECT_TRUE(UntilText(node, c, "an operator can release it")) << c.text;

    node.Quarantine(id, false);
    node.loop.RunFor(std::chrono::milliseconds(5));
    c.text.clear();
    Say(c, "released\n");
    EXPECT_TRUE(UntilText(node, c, "spiffe://")) << c.text;
  });
}

// INV-SPAWN-02: through any other descriptor an agent reaches what is not in its root or its network.
TEST_P(InsideTest, StandardInputAndOutputLeadNowhereElse) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    const auto launched = [&](size_t place, int fd) {
      Client c(node.path());
      c.in_place[place] = fd;
      c.Launch(folder.path(), {"true"});
      EXPECT_TRUE(node.UntilEnded(c));
      return c.refused ? c.refused->message() : std::string();
    };
    std::vector<std::pair<std::string, UniqueFd>> refused;
    refused.emplace_back("a folder", UniqueFd(open("/", O_RDONLY | O_CLOEXEC)));
    refused.emplace_back("a folder's name", UniqueFd(open("/", O_PATH | O_CLOEXEC)));
    refused.emplace_back("a file's name", UniqueFd(open("/etc/passwd", O_PATH | O_CLOEXEC)));
    refused.emplace_back("IPv4", UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
    refused.emplace_back("IPv6", UniqueFd(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
    refused.emplace_back("netlink", UniqueFd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0)));
    refused.emplace_back("no connection yet", UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)));
    refused.emplace_back("listening", ListenAt(folder.path() + "/listening"));
    refused.emplace_back("an event", UniqueFd(eventfd(0, EFD_CLOEXEC)));
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    refused.emplace_back("datagrams", UniqueFd(pair[0]));
    const UniqueFd other(pair[1]);
    for (const auto& [what, fd] : refused) {
      ASSERT_TRUE(fd) << what;
      for (size_t place = 0; place < 3; ++place)
        EXPECT_NE(launched(place, fd.get()).find("standard input and output are"), std::string::npos) << what;
    }
    EXPECT_EQ(node.registered.size(), 0u);

    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    const UniqueFd stream(pair[0]), its_other(pair[1]);
    const UniqueFd file(open((folder.path() + "/file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
    for (const int fd : {stream.get(), file.get(), null.get()}) {
      for (size_t place = 0; place < 3; ++place) EXPECT_EQ(launched(place, fd), "");
    }
  });
}

TEST_P(InsideTest, AnAgentThatANewKeeperDoesNotTakeBackEnds) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), {"sleep", "1000"});
    ASSERT_TRUE(node.UntilStarted(c));
    // For a reason that passes it is asked again.
    node.refuse_next = 3;
    node.ConnectKeeper();
    ASSERT_TRUE(node.Until([&] { return node.registered.size() == 5; }));
    node.loop.RunFor(std::chrono::milliseconds(20));
    c.Poll();
    EXPECT_FALSE(c.ended.has_value());

    node.refuse_registration = true;
    node.events.clear();
    node.ConnectKeeper();
    ASSERT_TRUE(node.UntilEnded(c));
    ASSERT_TRUE(c.ended.has_value());
    EXPECT_NE(c.ended->why().find("the keeper does not take it back"), std::string::npos) << c.ended->why();
    EXPECT_TRUE(node.Until([&] { return node.events.find("ended") != std::string::npos; })) << node.events;
    EXPECT_NE(node.events.find("down"), std::string::npos) << node.events;
  });
}

// A keeper that is about to know the old image does not know it yet: the exec waits until it can be taken away.
TEST_P(InsideTest, AnExecWhileTheKeeperTakesItBackIsAskedAboutAgain) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), {"python3", "-c", "import os,sys; sys.stdin.readline(); os.execv('/usr/bin/cat',['cat'])"});
    ASSERT_TRUE(node.UntilStarted(c));
    node.hold_registrations = node.knows_nobody = true;
    node.ConnectKeeper();
    ASSERT_TRUE(node.Until([&] { return node.held.size() == 1; }));
    node.events.clear();
    Say(c, "\n");
    ASSERT_TRUE(node.Until([&] { return node.events.starts_with("exec-starting exec-starting "); })) << node.events;
    node.knows_nobody = false;
    node.AnswerHeld();
    ASSERT_TRUE(node.Until([&] { return node.exec_done.size() == 1; })) << node.events;
    EXPECT_NE(node.exec_done[0].image().exe().find("cat"), std::string::npos);
  });
}

TEST_P(InsideTest, ANewKeeperIsToldOfParentsFirstAndNotOfAllAtOnce) {
  As(GetParam(), [] {
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    Node node(kRoles);
    const TempFolder folder;
    Client parent(node.path());
    parent.Launch(folder.path(), Asking("s = launch('main', 'sleep', '1000'); print(said(s)); s.recv(1)"));
    ASSERT_TRUE(node.UntilStarted(parent));
    std::vector<std::unique_ptr<Client>> others;
    ASSERT_TRUE(node.Until([&] { return node.spawner->instances() == 2; }));
    while (node.spawner->instances() < limits::kMaxRegistrationsUnderWay + 3) {
      others.push_back(std::make_unique<Client>(node.path()));
      others.back()->Launch(folder.path(), {"sleep", "1000"});
      ASSERT_TRUE(node.UntilStarted(*others.back()));
      ASSERT_TRUE(others.back()->started.has_value()) << others.back()->refused->message();
    }
    node.registered.clear();
    node.hold_registrations = true;
    node.ConnectKeeper();
    ASSERT_TRUE(node.Until([&] { return node.registered.size() == limits::kMaxRegistrationsUnderWay; }));
    node.loop.RunFor(std::chrono::milliseconds(20));
    EXPECT_EQ(node.registered.size(), limits::kMaxRegistrationsUnderWay);
    node.AnswerHeld();
    ASSERT_TRUE(node.Until([&] { return node.registered.size() == node.spawner->instances(); }));
    EXPECT_FALSE(node.registered.back().parent_instance().empty());
    EXPECT_EQ(std::ranges::count_if(node.registered, [](const auto& r) { return !r.parent_instance().empty(); }), 1);
  });
}

TEST_P(InsideTest, AFrozenTenantIsCalledSo) {
  As(GetParam(), [] {
    Node node;
    Envelope e;
    e.mutable_tenants()->add_frozen("default");
    (void)!node.supervisor->Send(std::move(e)).ok();
    node.loop.RunFor(std::chrono::milliseconds(5));
    const TempFolder folder;
    Client c(node.path());
    c.Launch(folder.path(), {"true"});
    ASSERT_TRUE(node.UntilEnded(c));
    ASSERT_TRUE(c.refused.has_value());
    EXPECT_EQ(c.refused->message(), "tenant default is frozen; `hexr tenant thaw default` ends that");
  });
}

void CopyProgram(const std::string& from, const std::string& to) {
  std::ifstream in(from, std::ios::binary);
  std::ofstream(to, std::ios::binary) << in.rdbuf();
  chmod(to.c_str(), 0755);
}

// What is hidden from an agent is hidden from its sub-agents as well, and counts with what they hide themselves.
TEST_P(InsideTest, WhatIsHiddenFromAParentCountsBeforeItIsLookedFor) {
  As(GetParam(), [] {
    Node node(kRoles);
    const TempFolder folder;
    Client c(node.path());
    for (size_t i = 0; i < limits::kMaxFoldersHidden; ++i) c.hide.push_back(folder.path() + "/" + std::to_string(i));
    c.Launch(folder.path(),
             Asking("where = '" + folder.path() +
                    "'\n"
                    "def hiding(path):\n"
                    "    return said(ask(field(1, field(2, 'crew') + field(3, 'main') + field(4, 'true') "
                    "+ field(5, 'PATH=/usr/bin') + field(7, '/tmp') + field(9, path)), 0, 1, 2))\n"
                    "print(hiding(where + '/0'), flush=True)\n"
                    "print(hiding(where + '/more'), flush=True)\n"
                    "print('end', flush=True)\nsys.stdin.readline()\n"));
    ASSERT_TRUE(node.UntilStarted(c));
    ASSERT_TRUE(c.started.has_value()) << c.refused->message();
    ASSERT_TRUE(UntilText(node, c, "end\n"));
    const size_t first = c.text.find('\n');
    EXPECT_EQ(c.text.substr(0, first).find("too much"), std::string::npos) << c.text;
    EXPECT_NE(c.text.substr(first).find("too much is hidden"), std::string::npos) << c.text;
    EXPECT_EQ(node.registered.size(), 2u);
  });
}

void WriteProgram(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
  chmod(path.c_str(), 0755);
}

// Whoever can rename in the program's folder has the time between its measurement and its exec.
TEST_P(InsideTest, WhatWasMeasuredIsWhatRuns) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    const std::string program = folder.path() + "/program", other = folder.path() + "/other";
    CopyProgram("/bin/echo", program);
    WriteProgram(other, "#!/bin/sh\necho evil\n");
    node.before_exec = [&] { EXPECT_EQ(rename(other.c_str(), program.c_str()), 0); };
    Client c(node.path());
    c.Launch(folder.path(), {program, "good"});
    ASSERT_TRUE(node.UntilEnded(c));
    ASSERT_TRUE(c.started.has_value()) << c.refused->message();
    c.Poll();
    EXPECT_EQ(c.text.find("evil"), std::string::npos) << c.text;  // it may be ended for having been replaced
  });
}

TEST_P(InsideTest, WhatRunsInPlaceOfWhatWasMeasuredEnds) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    const std::string program = folder.path() + "/program", other = folder.path() + "/other";
    const std::string waits = "#!/bin/sh\necho evil\nsleep 1000\ntrue\n";
    const auto replaced = [&] { EXPECT_EQ(rename(other.c_str(), program.c_str()), 0); };
    const auto ended = [&](const std::vector<std::string>& argv) {
      node.before_exec = replaced;
      node.events.clear();
      Client c(node.path());
      c.Launch(folder.path(), argv);
      EXPECT_TRUE(node.UntilEnded(c));
      EXPECT_TRUE(node.Until([&] { return node.spawner->instances() == 0; }));
      EXPECT_NE(node.events.find("down"), std::string::npos);
      return c.ended ? c.ended->why() : "not ended";
    };
    // A script by another of the same interpreter, and by a program.
    WriteProgram(program, "#!/bin/sh\necho good\n");
    WriteProgram(other, waits);
    EXPECT_NE(ended({program}).find("is not what was measured"), std::string::npos);
    WriteProgram(program, "#!/bin/sh\necho good\n");
    CopyProgram("/bin/sleep", other);
    EXPECT_NE(ended({program, "1000"}).find("is not what was measured"), std::string::npos);
    // One without a first line that says who reads it.
    WriteProgram(program, "echo good\n");
    WriteProgram(other, waits);
    EXPECT_NE(ended({"sh", program}).find("is not what was measured"), std::string::npos);
    // A script that is an argument.
    WriteProgram(program, "print('good')\n");
    WriteProgram(other, "import time\ntime.sleep(1000)\n");
    EXPECT_NE(ended({"python3", "program"}).find("is not what was measured"), std::string::npos);
    // Written to, under the same name.
    CopyProgram("/bin/echo", program);
    const auto written = [&] {
      std::ofstream(program, std::ios::binary) << std::ifstream("/bin/sleep", std::ios::binary).rdbuf() << "more";
    };
    node.before_exec = written;
    Client c(node.path());
    c.Launch(folder.path(), {program, "1000"});
    ASSERT_TRUE(node.UntilEnded(c));
    ASSERT_TRUE(c.ended.has_value());
    EXPECT_NE(c.ended->why().find("is not what was measured"), std::string::npos) << c.ended->why();
  });
}

TEST_P(InsideTest, ScriptsOfEveryKindRun) {
  As(GetParam(), [] {
    Node node;
    const TempFolder folder;
    const std::string program = folder.path() + "/program";
    for (const char* text : {"#!/bin/sh\nread x\necho up\nread x\n", "#! /usr/bin/env -S sh\nread x\necho up\nread x\n",
                             "read x\necho up\nread x\n"}) {
      WriteProgram(program, text);
      Client c(node.path());
      c.Launch(folder.path(), {program});
      ASSERT_TRUE(node.UntilStarted(c));
      ASSERT_TRUE(c.started.has_value()) << c.refused->message();
      Say(c, "\n");
      EXPECT_TRUE(UntilText(node, c, "up\n")) << text;
      node.loop.RunFor(std::chrono::milliseconds(20));
      EXPECT_EQ(node.spawner->instances(), 1u) << text;
      Say(c, "\n");
      ASSERT_TRUE(node.UntilEnded(c));
      EXPECT_EQ(c.ended->why(), "") << text;
      ASSERT_TRUE(node.Until([&] { return node.spawner->instances() == 0; }));
    }
  });
}

}  // namespace
}  // namespace hexr::spawner
