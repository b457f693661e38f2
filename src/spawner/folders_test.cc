// What may be given to an agent, and as what: attacks with descriptors that are not what they are called, on the node's
// own places and on groups that the caller is not in.
#include "spawner/folders.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <fstream>

#include "base/limits/agents.h"
#include "spawner/testing/agent.h"

namespace hexr::spawner {
namespace {

using namespace testing;  // NOLINT: the harness of these tests

class FoldersTest : public ::testing::TestWithParam<Who> {};
INSTANTIATE_TEST_SUITE_P(As, FoldersTest, ::testing::Values(Who::kRoot, Who::kPlain), CallerName);

void Write(const std::string& path, const std::string& text, mode_t mode = 0644) {
  std::ofstream(path) << text;
  chmod(path.c_str(), mode);
}

// The outcome of a launch that is given `path`, shown as `fd`.
Status Giving(const std::string& path, UniqueFd fd, bool writable = false, NodePlaces own = {}) {
  AgentOptions o = Shell("true");
  o.own = std::move(own);
  o.ask = [&](FolderRequest& r) { r.given.push_back({path, std::move(fd), writable}); };
  Agent agent(std::move(o));
  return agent.started();
}

UniqueFd OpenPath(const std::string& path) { return UniqueFd(open(path.c_str(), O_PATH | O_CLOEXEC)); }

ErrorCode CodeOf(const Status& s) { return s.ok() ? ErrorCode::kUnknown : s.error().code(); }

// INV-SPAWN-12: a folder of the caller's that is called /usr/bin would make any program match a role's `exe`.
TEST_P(FoldersTest, WhatIsShownLiesAtThePathItIsCalled) {
  As(GetParam(), [] {
    const TempFolder evil;
    mkdir((evil.path() + "/inner").c_str(), 0755);
    ASSERT_EQ(symlink(evil.path().c_str(), (evil.path() + "/link").c_str()), 0);
    for (const std::string path : {"/usr/bin", "/opt", "/etc/ssl", "/run/x", "/home/other/bin", "/sys/x"})
      EXPECT_EQ(CodeOf(Giving(path, OpenPath(evil.path()))), ErrorCode::kPermissionDenied) << path;
    EXPECT_EQ(CodeOf(Giving(evil.path() + "/link/inner", OpenPath(evil.path() + "/inner"))),
              ErrorCode::kPermissionDenied);
    EXPECT_EQ(CodeOf(Giving("/proc/" + std::to_string(getpid()), OpenPath("/proc/self/"))),
              ErrorCode::kPermissionDenied);
    EXPECT_TRUE(Giving(evil.path(), OpenPath(evil.path())).ok());
    EXPECT_TRUE(Giving("/usr", OpenPath("/usr")).ok());
  });
}

// The kernel names a place as its own mount namespace has it: a caller can make one in which /usr/bin is his.
TEST(FoldersTest, APlaceInAnotherMountNamespaceIsNotThisMachines) {
  As(Who::kRoot, [] {
    const TempFolder evil;
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    const pid_t pid = fork();
    if (pid == 0) {
      const bool made = unshare(CLONE_NEWNS) == 0 && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                        mount(evil.path().c_str(), "/usr/local", nullptr, MS_BIND, nullptr) == 0;
      (void)!write(ready[1], made ? "1" : "0", 1);
      pause();
      _exit(0);
    }
    char made = '0';
    ASSERT_EQ(read(ready[0], &made, 1), 1);
    ASSERT_EQ(made, '1');
    UniqueFd shown = OpenPath("/proc/" + std::to_string(pid) + "/root/usr/local");
    char place[64] = {};
    ASSERT_GT(readlink(("/proc/self/fd/" + std::to_string(shown.get())).c_str(), place, sizeof place - 1), 0);
    ASSERT_STREQ(place, "/usr/local") << "the attack is not the one that is meant";
    EXPECT_EQ(CodeOf(Giving("/usr/local", std::move(shown))), ErrorCode::kPermissionDenied);
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  });
}

// INV-SPAWN-14
TEST_P(FoldersTest, TheNodesOwnPlacesAreHiddenAndNeverGiven) {
  As(GetParam(), [] {
    const TempFolder home;
    const std::string state = home.path() + "/.local/state/hexr", run = state + "/run";
    mkdir((home.path() + "/.local").c_str(), 0755);
    mkdir((home.path() + "/.local/state").c_str(), 0755);
    mkdir(state.c_str(), 0755);  // wider than it is: what stops the agent is not the mode
    mkdir(run.c_str(), 0755);
    Write(state + "/keys", "the keys");
    const NodePlaces own{{state, run}, {}};
    for (const std::string& path : {state, run, state + "/keys"})
      EXPECT_EQ(CodeOf(Giving(path, OpenPath(path), false, own)), ErrorCode::kPermissionDenied) << path;
    for (const bool writable : {true, false}) {
      AgentOptions o = Shell("cd " + home.path() +
                             "; cat .local/state/hexr/keys; ls .local/state/hexr/run; "
                             "mv .local/state .local/moved; cat .local/moved/hexr/keys; mv .local/moved .local/state");
      o.given = {{home.path(), writable}};
      AgentOptions without = o;
      o.own = own;
      Agent agent(std::move(o));
      ASSERT_TRUE(agent.started().ok()) << agent.started().error().ToString();
      EXPECT_EQ(agent.Finish().first.find("the keys"), std::string::npos) << writable;
      Agent open(std::move(without));
      EXPECT_NE(open.Finish().first.find("the keys"), std::string::npos) << "the attack reads nothing anyway";
    }
  });
}

// INV-SPAWN-14: no folder on the way to what the agent does not get is renamed, exchanged or removed by it. On
// the host's disk, root or the next node would follow the new name.
TEST_P(FoldersTest, NoNameOnTheWayToWhatIsKeptIsChanged) {
  As(GetParam(), [] {
    for (const std::string kept : {"the node's", "hidden", "read-only"}) {
      const TempFolder folder;
      const std::string a = folder.path() + "/a", b = a + "/b", c = b + "/c";
      for (const std::string& made : {a, b, c, folder.path() + "/evil"}) mkdir(made.c_str(), 0755);
      Write(c + "/file", "kept");
      AgentOptions o = Python(
          "import ctypes, os\n"
          "os.chdir('" +
          folder.path() +
          "')\n"
          "libc, said = ctypes.CDLL(None), []\n"
          "for name in ('a', 'a/b', 'a/b/c'):\n"
          "    for flags in (0, 2):\n"
          "        to = b'evil' if flags else b'moved'\n"
          "        said.append(libc.syscall(316, -100, name.encode(), -100, to, flags))\n"
          "    try: os.rmdir(name); said.append(0)\n"
          "    except OSError: said.append(-1)\n"
          "print(set(said), os.path.isdir('evil'), open('evil/made', 'w').write('x'))\n");
      o.given = {{folder.path(), true}};
      const AgentOptions without = o;
      if (kept == "the node's") o.own.places = {c};
      if (kept == "hidden") o.hidden = {c};
      if (kept == "read-only") o.given.emplace_back(c, false);
      Agent agent(std::move(o));
      ASSERT_TRUE(agent.started().ok()) << kept << ": " << agent.started().error().ToString();
      EXPECT_EQ(agent.Finish().first, "{-1} True 1\n") << kept;
      EXPECT_EQ(access((c + "/file").c_str(), F_OK), 0) << kept;
      Agent open(without);
      EXPECT_NE(open.Finish().first.find("0"), std::string::npos) << "the attack renames nothing anyway";
    }
  });
}

TEST_P(FoldersTest, FoldersAroundWhatIsKeptAreBounded) {
  As(GetParam(), [] {
    const TempFolder folder;
    for (const size_t deep : {limits::kMaxFoldersPinned, limits::kMaxFoldersPinned + 1}) {
      AgentOptions o = Shell("true");
      o.given = {{folder.path(), true}};
      std::string path = folder.path();
      for (size_t i = 0; i < deep; ++i) path += "/d";
      o.hidden = {path + "/hidden"};
      const Agent agent(std::move(o));
      EXPECT_EQ(CodeOf(agent.started()),
                deep > limits::kMaxFoldersPinned ? ErrorCode::kResourceExhausted : ErrorCode::kUnknown);
    }
  });
}

// What cannot be held by its name: a link on the way to the node's own, a configuration that is not there yet, and a
// folder around it by another name.
TEST_P(FoldersTest, WhereTheNodeWouldFindItsOwnIsNotWritable) {
  As(GetParam(), [] {
    const TempFolder home;
    const std::string there = home.path() + "/there", link = home.path() + "/link";
    mkdir(there.c_str(), 0755);
    ASSERT_EQ(symlink("there", link.c_str()), 0);
    NodePlaces linked, missing;
    linked.Add(link + "/.");
    missing.Add(there + "/hexr/hexr.yaml");
    EXPECT_EQ(linked.places, std::vector<std::string>{there});
    EXPECT_EQ(linked.names, std::vector<std::string>{link});
    EXPECT_EQ(missing.names, std::vector<std::string>{there + "/hexr"});
    for (const NodePlaces& own : {linked, missing}) {
      EXPECT_EQ(CodeOf(Giving(home.path(), OpenPath(home.path()), true, own)), ErrorCode::kPermissionDenied);
      EXPECT_TRUE(Giving(home.path(), OpenPath(home.path()), false, own).ok());
    }
    for (int i = 0; i <= limits::kMaxNodeLinks; ++i) {
      const std::string to = i == 0 ? "there" : "l" + std::to_string(i - 1);
      ASSERT_EQ(symlink(to.c_str(), (home.path() + "/l" + std::to_string(i)).c_str()), 0);
      NodePlaces chain;
      chain.Add(home.path() + "/l" + std::to_string(i));
      EXPECT_EQ(chain.names.size(), static_cast<size_t>(i) + 1);
      EXPECT_EQ(chain.places.empty(), i == limits::kMaxNodeLinks) << i;  // i + 1 links
    }
  });
}

TEST(FoldersTest, AFolderAroundTheNodesOwnIsNotGivenByAnotherName) {
  As(Who::kRoot, [] {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    const TempFolder home, other;
    const std::string state = home.path() + "/state";
    mkdir(state.c_str(), 0755);
    ASSERT_EQ(mount(home.path().c_str(), other.path().c_str(), nullptr, MS_BIND, nullptr), 0);
    const NodePlaces own{{state}, {}};
    EXPECT_EQ(CodeOf(Giving(other.path(), OpenPath(other.path()), false, own)), ErrorCode::kPermissionDenied);
    EXPECT_TRUE(Giving(home.path(), OpenPath(home.path()), false, own).ok());
    umount(other.path().c_str());
  });
}

TEST(FoldersTest, AGroupIsHandedOnByItsMembersOnly) {
  As(Who::kRoot, [] {
    constexpr uid_t kCaller = 4321;
    constexpr gid_t kGroup = 4242;
    const TempFolder folder(kCaller);
    ASSERT_EQ(chown(folder.path().c_str(), kCaller, kGroup), 0);
    Write(folder.path() + "/group", "of the group", 0640);
    ASSERT_EQ(chown((folder.path() + "/group").c_str(), 0, kGroup), 0);
    const auto outcome = [&](std::vector<gid_t> gids) {
      AgentOptions o = Shell("cat group 2>&1; (echo > made) 2>&1");
      o.working_folder = folder.path();
      o.given = {{folder.path(), true}};
      o.caller_uid = kCaller;
      o.caller_gids = std::move(gids);
      Agent agent(std::move(o));
      if (!agent.started().ok()) return agent.started().error().ToString();
      return agent.Finish().first;
    };
    EXPECT_NE(outcome({kCaller}).find("denied"), std::string::npos);
    struct stat st {};
    ASSERT_EQ(stat((folder.path() + "/made").c_str(), &st), 0);
    EXPECT_EQ(st.st_gid, kCaller);
    EXPECT_EQ(outcome({kCaller, kGroup}), "of the group");
  });
}

// ramfs has no idmapped mounts: what a folder on it may be given as, for a node of root's.
TEST(FoldersTest, AFileSystemWithoutOwnerMappingIsReadOnlyAndWeaker) {
  As(Who::kRoot, [] {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    constexpr uid_t kCaller = 4321;
    const TempFolder folder;
    ASSERT_EQ(mount("ramfs", folder.path().c_str(), "ramfs", 0, "mode=755"), 0);
    Write(folder.path() + "/file", "shown");
    const auto asking = [&](uid_t owner, bool writable) {
      EXPECT_EQ(chown(folder.path().c_str(), owner, owner), 0);
      AgentOptions o = Shell("cat file; (echo x > made) 2>/dev/null && echo written");
      o.working_folder = folder.path();
      o.given = {{folder.path(), writable}};
      o.caller_uid = owner;
      o.caller_gids = {owner};
      return o;
    };
    const Agent refused(asking(kCaller, true));
    ASSERT_EQ(CodeOf(refused.started()), ErrorCode::kFailedPrecondition);
    const std::string why = refused.started().error().message();
    EXPECT_NE(why.find("has no owner mapping. Hand a copy to uid " + std::to_string(kTenantUid)), std::string::npos);
    EXPECT_NE(why.find("--ro"), std::string::npos);

    Agent reads(asking(kCaller, false));
    ASSERT_TRUE(reads.started().ok()) << reads.started().error().ToString();
    EXPECT_EQ(reads.notes().weaker, std::vector<std::string>{UnmappedNote(folder.path())});
    EXPECT_EQ(reads.Finish().first, "shown");

    // The tenant's own uid needs no map to write; sockets of others are still there.
    Agent writes(asking(kTenantUid, true));
    ASSERT_TRUE(writes.started().ok()) << writes.started().error().ToString();
    EXPECT_EQ(writes.notes().weaker, std::vector<std::string>{UnmappedNote(folder.path())});
    EXPECT_EQ(writes.Finish().first, "shownwritten\n");
    umount(folder.path().c_str());

    // A file system that has it: nothing is weaker.
    Agent usual(asking(kCaller, true));
    ASSERT_TRUE(usual.started().ok()) << usual.started().error().ToString();
    EXPECT_EQ(usual.notes().weaker, std::vector<std::string>{});
  });
}

// An overlay takes nothing in that is mounted below: a plain user's folder is bound then, and said to be weaker.
TEST(FoldersTest, AFolderWithMountsInsideIsBoundAndWeaker) {
  As(Who::kRoot, [] {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    const TempFolder folder(kPlainUid);
    ASSERT_EQ(mkdir((folder.path() + "/inner").c_str(), 0755), 0);
    const auto connects = [&](const std::vector<std::string>& weaker, const std::string& outcome) {
      As(Who::kPlain, [&] {
        const std::string path = folder.path() + "/host.sock";
        unlink(path.c_str());
        const UniqueFd host(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un a{};
        a.sun_family = AF_UNIX;
        path.copy(a.sun_path, sizeof a.sun_path - 1);
        ASSERT_EQ(bind(host.get(), reinterpret_cast<sockaddr*>(&a), sizeof a), 0);
        ASSERT_EQ(listen(host.get(), 8), 0);
        AgentOptions o = Python(
            "import socket, os\ns = socket.socket(socket.AF_UNIX)\n"
            "print(s.connect_ex('" +
            path + "') == 0, os.access('" + folder.path() + "', os.W_OK))");
        o.given = {{folder.path(), false}};
        Agent agent(std::move(o));
        ASSERT_TRUE(agent.started().ok()) << agent.started().error().ToString();
        EXPECT_EQ(agent.plainly_bound(), weaker);
        EXPECT_EQ(agent.Finish().first, outcome);
      });
    };
    connects({}, "False False\n");
    ASSERT_EQ(mount("inner", (folder.path() + "/inner").c_str(), "tmpfs", 0, nullptr), 0);
    connects({folder.path()}, "True False\n");
    umount((folder.path() + "/inner").c_str());
  });
}

TEST(FoldersTest, FilesOfEtcThatNotEverybodyReadsStayOutside) {
  As(Who::kRoot, [] {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    const TempFolder folder;
    for (const mode_t mode : {0600, 0644}) {
      Write(folder.path() + "/shells", "private", mode);
      ASSERT_EQ(mount((folder.path() + "/shells").c_str(), "/etc/shells", nullptr, MS_BIND, nullptr), 0);
      Agent agent(Shell("cat /etc/shells 2>/dev/null"));
      ASSERT_TRUE(agent.started().ok()) << agent.started().error().ToString();
      EXPECT_EQ(agent.Finish().first, mode == 0644 ? "private" : "");
      umount("/etc/shells");
    }
  });
}

TEST(FoldersTest, FilesOfEtcThatAreTooLargeStayOutside) {
  As(Who::kRoot, [] {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    const TempFolder folder;
    for (const size_t size : {limits::kMaxEtcFileBytes, limits::kMaxEtcFileBytes + 1}) {
      Write(folder.path() + "/shells", std::string(size, 'x'), 0644);
      ASSERT_EQ(mount((folder.path() + "/shells").c_str(), "/etc/shells", nullptr, MS_BIND, nullptr), 0);
      Agent agent(Shell("cat /etc/shells 2>/dev/null | wc -c"));
      ASSERT_TRUE(agent.started().ok()) << agent.started().error().ToString();
      EXPECT_EQ(agent.Finish().first, size == limits::kMaxEtcFileBytes ? std::to_string(size) + "\n" : "0\n");
      umount("/etc/shells");
    }
  });
}

// INV-SPAWN-13: what was hidden from the parent, and what its narrower grants lie on, is known by what it is: a parent
// that renames things, even while its sub-agent is made, does not get its sub-agent to see or write them.
TEST_P(FoldersTest, WhatIsInheritedIsToldFromWhatIsPutInItsPlace) {
  As(GetParam(), [] {
    for (const bool nested : {false, true}) {
      for (const bool during : {false, true}) {
        const TempFolder folder;
        const std::string a = folder.path() + "/a", b = folder.path() + "/b", secret = a + "/secret";
        mkdir(a.c_str(), 0755);
        mkdir(secret.c_str(), 0755);
        Write(secret + "/key", "k");
        struct stat st {};
        ASSERT_EQ(stat(secret.c_str(), &st), 0);
        UniqueFd held = OpenPath(secret);
        const auto move = [&] {
          rename(a.c_str(), b.c_str());
          mkdir(a.c_str(), 0755);
          mkdir(secret.c_str(), 0755);
        };
        AgentOptions o = Shell("cat " + b + "/secret/key; echo x > " + b + "/secret/planted");
        o.given = {{folder.path(), true}};
        o.ask = [&](FolderRequest& r) {
          if (nested)
            r.given.push_back({secret, std::move(held), false, true});
          else
            r.hidden.push_back({secret, FileId{st.st_dev, st.st_ino}, true});
          if (!during) move();
        };
        if (during) o.change = [&](ChildPlan&) { move(); };
        Agent agent(std::move(o));
        EXPECT_FALSE(agent.started().ok())
            << "nested " << nested << ", during " << during << ": " << agent.Finish().first;
      }
    }
  });
}

}  // namespace
}  // namespace hexr::spawner
