#include "identity/process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "base/limits/identity.h"
#include "identity/digest_cache.h"
#include "identity/testing/puppet.h"
#include "runtime/process.h"
#include "runtime/testing/pid_namespace.h"

namespace hexr::identity {
namespace {

using runtime::UniqueFd;

using testing::EvidenceOf;
using testing::Puppet;

class EachTier : public ::testing::TestWithParam<ProcessTier> {
 protected:
  ProcessReader reader_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Tiers, EachTier,
                         ::testing::Values(ProcessTier::kPidfdInfo, ProcessTier::kPidfd, ProcessTier::kProcfs),
                         [](const auto& param) {
                           std::string name(ProcessTierName(param.param));
                           std::erase(name, '-');
                           return name;
                         });

TEST_P(EachTier, ReadsTheFactsOfAProcess) {
  Puppet child;
  const auto facts = reader_.Read(EvidenceOf(child.pid(), GetParam() != ProcessTier::kProcfs));
  ASSERT_TRUE(facts.ok()) << facts.error().ToString();
  EXPECT_EQ(facts->key.pid, child.pid());
  EXPECT_EQ(facts->key.start_time, *runtime::ProcessStartTime(child.pid()));
  EXPECT_EQ(facts->parent_pid, ::getpid());
  EXPECT_EQ(facts->uid, ::geteuid());
  EXPECT_EQ(facts->gid, ::getegid());
  EXPECT_EQ(facts->exe, std::filesystem::read_symlink("/proc/self/exe").string());
  EXPECT_TRUE(facts->exe_path_holds);
  ASSERT_TRUE(facts->exe_file.has_value());
  EXPECT_EQ(*facts->exe_file, *FileIdentityOf(facts->exe_fd.get()));
  EXPECT_TRUE(reader_.IsAlive(facts->key));
  const auto key = reader_.Identify(EvidenceOf(child.pid(), GetParam() != ProcessTier::kProcfs));
  ASSERT_TRUE(key.ok());
  EXPECT_TRUE(SameProcess(*key, facts->key));
}

// The version 2 control group of this process: its path, and its folder where the hierarchy is mounted.
struct OwnCgroup {
  std::string path, folder;
};
OwnCgroup CgroupHere() {
  OwnCgroup own;
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("0::")) own.path = line.substr(3);
  }
  for (const char* root : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
    if (std::filesystem::exists(root + own.path + "/cgroup.procs")) own.folder = root + own.path;
  }
  return own;
}

// Facts that `unix:supplementary_gid` and `cgroup` are matched against, of a process that is in groups of its own.
TEST_P(EachTier, ReadsTheGroupsOfAProcess) {
  const OwnCgroup own = CgroupHere();
  const std::string name = "/hexr-process-test-" + std::to_string(::getpid());
  const bool root = ::geteuid() == 0;
  const bool moved = root && !own.folder.empty() && ::mkdir((own.folder + name).c_str(), 0755) == 0;
  {
    Puppet child([&](int go, int ready) {
      const std::array<gid_t, 3> groups = {4242, 4243, 100'000'000};
      if (root && ::setgroups(groups.size(), groups.data()) != 0) ::_exit(1);
      if (moved && !(std::ofstream(own.folder + name + "/cgroup.procs") << "0" << std::flush)) ::_exit(1);
      Puppet::Idle(go, ready);
    });
    ASSERT_TRUE(child.AwaitReady());
    const auto facts = reader_.Read(EvidenceOf(child.pid(), GetParam() != ProcessTier::kProcfs));
    ASSERT_TRUE(facts.ok()) << facts.error().ToString();
    std::vector<gid_t> groups = {4242, 4243, 100'000'000};
    if (!root) {
      groups.resize(static_cast<size_t>(::getgroups(0, nullptr)));
      ASSERT_EQ(::getgroups(static_cast<int>(groups.size()), groups.data()), static_cast<int>(groups.size()));
    }
    EXPECT_THAT(facts->groups, ::testing::UnorderedElementsAreArray(groups));
    EXPECT_EQ(facts->cgroup, moved ? (own.path == "/" ? name : own.path + name) : own.path);
    EXPECT_EQ(reader_.BoundsOf(facts->key)->cgroup, facts->cgroup);
  }
  EXPECT_TRUE(!moved || ::rmdir((own.folder + name).c_str()) == 0);
}

TEST_P(EachTier, AZombieIsNobody) {
  Puppet child;
  const ProcessEvidence evidence = EvidenceOf(child.pid(), GetParam() != ProcessTier::kProcfs);
  const auto before = reader_.Read(evidence);
  ASSERT_TRUE(before.ok());
  child.KillOnly();
  const auto facts = reader_.Read(evidence);
  ASSERT_FALSE(facts.ok());
  EXPECT_EQ(facts.error().code(), ErrorCode::kNotFound);
  EXPECT_FALSE(reader_.IsAlive(before->key));
}

// INV-ID-01: pid reuse made certain: a PID namespace whose next pid is chosen (ns_last_pid), so that a second process
// really gets the number of the first.
TEST_P(EachTier, AReusedPidIsAnotherProcess) {
  const ProcessTier tier = GetParam();
  const int said = runtime::testing::InPidNamespace([&] {
    const auto spawn = [] {
      const pid_t pid = ::fork();
      if (pid == 0) {
        ::pause();
        ::_exit(0);
      }
      return pid;
    };
    const ProcessReader reader(tier);
    const pid_t first = spawn();
    ProcessEvidence evidence = EvidenceOf(first, tier != ProcessTier::kProcfs);
    const auto before = reader.Read(evidence);
    if (!before.ok()) ::_exit(2);
    ::kill(first, SIGKILL);
    ::waitpid(first, nullptr, 0);
    // Start times count in ticks of 10 ms: the lowest tier can only tell what is a tick apart.
    const uint64_t old_tick = before->key.start_time;
    pid_t second = 0;
    for (int i = 0; i < 1000; ++i) {
      runtime::testing::ChooseNextPid(first);
      second = spawn();
      if (second != first) ::_exit(runtime::testing::kNoPidNamespace);
      if (*runtime::ProcessStartTime(second) != old_tick) break;
      ::kill(second, SIGKILL);
      ::waitpid(second, nullptr, 0);
    }
    if (reader.IsAlive(before->key)) ::_exit(3);
    const auto after = reader.Read(evidence);
    if (tier == ProcessTier::kProcfs) {
      // The number is all there is: it names the new process, whose key is another.
      if (!after.ok() || SameProcess(after->key, before->key)) ::_exit(4);
    } else {
      if (after.ok() || after.error().code() != ErrorCode::kNotFound) ::_exit(5);
      if (reader.Identify(evidence).ok()) ::_exit(6);
    }
    if (reader.AncestorsOf(before->key).ok()) ::_exit(7);
    ::kill(second, SIGKILL);
  });
  ASSERT_NE(said, runtime::testing::kNoPidNamespace)
      << "a PID namespace of one's own is needed to bring a pid back: run this test as root";
  EXPECT_EQ(said, 0);
}

TEST_P(EachTier, EvidenceThatNamesTwoProcessesIsRefused) {
  Puppet child;
  ProcessEvidence evidence = EvidenceOf(child.pid());
  evidence.pid = ::getpid();
  evidence.owner->uid += 1;
  for (const auto code : {reader_.Identify(evidence).error().code(), reader_.Read(evidence).error().code()}) {
    EXPECT_EQ(code, ErrorCode::kUnauthenticated);
  }
}

TEST_P(EachTier, NobodyIsRefused) {
  const ProcessEvidence evidence{};
  EXPECT_EQ(reader_.Identify(evidence).error().code(), ErrorCode::kUnauthenticated);
  EXPECT_EQ(reader_.Read(evidence).error().code(), ErrorCode::kUnauthenticated);
}

// Whether the pid has been used again or the process has executed a setuid program since: the question came from
// another user than the one whose facts would answer it.
TEST_P(EachTier, AProcessOfAnotherUserIsNotThePeer) {
  Puppet child;
  for (const bool with_pidfd : {false, true}) {
    ProcessEvidence evidence = EvidenceOf(child.pid(), with_pidfd);
    evidence.owner->uid += 1;
    EXPECT_EQ(reader_.Read(evidence).error().code(), ErrorCode::kUnauthenticated) << with_pidfd;
    evidence = EvidenceOf(child.pid(), with_pidfd);
    evidence.owner->gid += 1;
    EXPECT_EQ(reader_.Read(evidence).error().code(), ErrorCode::kUnauthenticated) << with_pidfd;
  }
}

TEST_P(EachTier, ANumberWithoutAnOwnerNamesNobody) {
  Puppet child;
  EXPECT_EQ(reader_.Read({.pid = child.pid()}).error().code(), ErrorCode::kUnauthenticated);
}

TEST_P(EachTier, AncestorsAreNearestFirst) {
  Puppet child;
  const auto facts = reader_.Read(EvidenceOf(child.pid(), false));
  ASSERT_TRUE(facts.ok());
  const auto chain = reader_.AncestorsOf(facts->key);
  ASSERT_TRUE(chain.ok()) << chain.error().ToString();
  ASSERT_GE(chain->size(), 2U);
  EXPECT_LE(chain->size(), limits::kMaxAncestors);
  EXPECT_TRUE(SameProcess((*chain)[0], facts->key));
  EXPECT_EQ((*chain)[1].pid, ::getpid());
}

TEST(ProcessReader, AProcessBelowTooManyAncestorsIsNobodys) {
  // A line of more processes than the bound, each the child of the one before.
  Puppet child([](int go, int ready) {
    for (size_t i = 0; i < limits::kMaxAncestors + 4; ++i) {
      const pid_t pid = ::fork();
      if (pid != 0) {
        ::waitpid(pid, nullptr, 0);
        ::_exit(0);
      }
    }
    const pid_t self = ::getpid();
    if (::write(ready, &self, sizeof self) != sizeof self) ::_exit(1);
    char c;
    while (::read(go, &c, 1) == 1) {
    }
  });
  pid_t deepest = 0;
  ASSERT_EQ(::read(child.ready(), &deepest, sizeof deepest), static_cast<ssize_t>(sizeof deepest));
  const ProcessReader reader;
  const auto facts = reader.Read(EvidenceOf(deepest, false));
  ASSERT_TRUE(facts.ok());
  EXPECT_EQ(reader.AncestorsOf(facts->key).error().code(), ErrorCode::kPermissionDenied);
  ::kill(deepest, SIGKILL);
}

// What the kernel has to say of somebody is as long as he makes it: his groups, for one.
TEST(ProcessReader, AProcessOfWhichThereIsTooMuchToReadIsNobody) {
  Puppet crowd([](int go, int ready) {
    std::vector<gid_t> groups;
    for (gid_t g = 0; g < limits::kMaxProcFileBytes / 10; ++g) groups.push_back(4'000'000'000 + g);
    const char made = ::setgroups(groups.size(), groups.data()) == 0 ? 'y' : 'n';
    char c = 0;
    if (::write(ready, &made, 1) == 1) (void)!::read(go, &c, 1);
  });
  char made = 0;
  ASSERT_EQ(::read(crowd.ready(), &made, 1), 1);
  ASSERT_EQ(made, 'y') << "only root has so many groups";
  EXPECT_EQ(ProcessReader().Read(EvidenceOf(crowd.pid())).error().code(), ErrorCode::kResourceExhausted);
}

// execve keeps pid, start time and pidfd inode: only the image tells.
TEST(ProcessReader, ExecKeepsTheKeyAndChangesTheImage) {
  Puppet child([](int go, int ready) {
    char c;
    if (::write(ready, "r", 1) != 1 || ::read(go, &c, 1) != 1) ::_exit(1);
    ::fcntl(ready, F_SETFD, FD_CLOEXEC);
    ::fcntl(go, F_SETFD, 0);
    ::dup2(go, 0);
    ::execl("/bin/cat", "cat", nullptr);
    ::_exit(1);
  });
  ASSERT_TRUE(child.AwaitReady());
  const ProcessReader reader;
  const ProcessEvidence evidence = EvidenceOf(child.pid());
  const auto before = reader.Read(evidence);
  ASSERT_TRUE(before.ok());
  ASSERT_TRUE(child.Go());
  char c;
  ASSERT_EQ(::read(child.ready(), &c, 1), 0);  // closed by exec
  const auto after = reader.Read(evidence);
  ASSERT_TRUE(after.ok()) << after.error().ToString();
  EXPECT_TRUE(SameProcess(before->key, after->key));
  EXPECT_NE(before->exe, after->exe);
  EXPECT_NE(before->exe_file, after->exe_file);
}

// Whoever may make a mount namespace can bind a program of theirs over a trusted path.
TEST(ProcessReader, APathUnderAPrivateMountProvesNothing) {
  char dir[] = "/tmp/hexr-process-XXXXXX";
  ASSERT_NE(::mkdtemp(dir), nullptr);
  const std::string trusted = std::string(dir) + "/trusted";
  std::ofstream(trusted) << "x";
  Puppet child([&trusted](int go, int ready) {
    if (::unshare((::geteuid() == 0 ? 0 : CLONE_NEWUSER) | CLONE_NEWNS) != 0) ::_exit(1);
    ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    if (::mount("/bin/cat", trusted.c_str(), nullptr, MS_BIND, nullptr) != 0) ::_exit(1);
    ::dup2(go, 0);
    ::fcntl(ready, F_SETFD, 0);
    ::dup2(ready, 1);
    if (::write(ready, "r", 1) != 1) ::_exit(1);
    ::execl(trusted.c_str(), trusted.c_str(), nullptr);
    ::_exit(1);
  });
  ASSERT_TRUE(child.AwaitReady());
  ASSERT_TRUE(child.Go());  // cat echoes it once it runs
  ASSERT_TRUE(child.AwaitReady());
  const auto facts = ProcessReader().Read(EvidenceOf(child.pid()));
  ASSERT_TRUE(facts.ok()) << facts.error().ToString();
  EXPECT_EQ(facts->exe, trusted);  // what the link says
  EXPECT_FALSE(facts->exe_path_holds);
  child.End();
  std::filesystem::remove_all(dir);
}

// As of files whose changes show, wherever this test has its own.
Result<FileDigest> HashLasting(int fd, const FileIdentity& file, WallTime now) {
  ASSIGN_OR_RETURN(FileDigest digest, HashFile(fd, file, now));
  digest.lasts = true;
  return digest;
}

TEST(DigestCache, HashesOncePerStateOfAFile) {
  char dir[] = "/tmp/hexr-digest-XXXXXX";
  ASSERT_NE(::mkdtemp(dir), nullptr);
  const std::string path = std::string(dir) + "/program";
  std::ofstream(path) << "one";
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ManualClock clock(SystemClock().Wall() + std::chrono::hours(1));
  DigestCache cache(clock, HashLasting);
  const FileIdentity one = *FileIdentityOf(fd.get());
  EXPECT_EQ(*cache.DigestOf(fd.get(), one), crypto::Sha256("one"));
  EXPECT_EQ(*cache.DigestOf(fd.get(), one), crypto::Sha256("one"));
  EXPECT_EQ(cache.hits(), 1U);
  EXPECT_EQ(cache.misses(), 1U);

  std::ofstream(path) << "two!";
  const FileIdentity two = *FileIdentityOf(fd.get());
  EXPECT_EQ(*cache.DigestOf(fd.get(), two), crypto::Sha256("two!"));
  EXPECT_EQ(cache.misses(), 2U);
  // A caller that looked before the change is told so, and nothing is remembered under the old state.
  FileIdentity stale = two;
  stale.inode += 1;
  EXPECT_EQ(cache.DigestOf(fd.get(), stale).error().code(), ErrorCode::kAborted);
  std::filesystem::remove_all(dir);
}

TEST(DigestCache, RemembersNothingThatChangedJustNow) {
  char path[] = "/tmp/hexr-digest-XXXXXX";
  const UniqueFd fd(::mkstemp(path));
  const SystemClock clock;
  DigestCache cache(clock);
  const FileIdentity file = *FileIdentityOf(fd.get());
  ASSERT_TRUE(cache.DigestOf(fd.get(), file).ok());
  EXPECT_EQ(cache.size(), 0U);
  ::unlink(path);
}

TEST(DigestCache, IsBounded) {
  char path[] = "/tmp/hexr-digest-XXXXXX";
  const UniqueFd fd(::mkstemp(path));
  ManualClock clock(SystemClock().Wall() + std::chrono::hours(1));
  DigestCache cache(clock, HashLasting);
  FileIdentity file = *FileIdentityOf(fd.get());
  file.size = limits::kMaxHashedFileBytes + 1;
  EXPECT_EQ(cache.DigestOf(fd.get(), file).error().code(), ErrorCode::kResourceExhausted);
  for (size_t i = 0; i < limits::kMaxCachedDigests + 10; ++i) {
    ASSERT_EQ(::fchmod(fd.get(), i % 2 == 0 ? 0600 : 0640), 0);  // a new ctime
    const FileIdentity now = *FileIdentityOf(fd.get());
    ASSERT_TRUE(cache.DigestOf(fd.get(), now).ok());
  }
  EXPECT_LE(cache.size(), limits::kMaxCachedDigests);
  ::unlink(path);
}

}  // namespace
}  // namespace hexr::identity
