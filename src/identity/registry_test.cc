#include "identity/registry.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#include <fstream>

#include "base/limits/identity.h"
#include "base/random.h"
#include "identity/caller.h"
#include "identity/testing/puppet.h"
#include "identity/testing/service_fixture.h"

namespace hexr::identity {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Puppet;

class RegistryTest : public ::testing::Test {
 protected:
  Registration Make(const Puppet& process) {
    Registration r{NextId(),
                   *IdSegment::Parse("acme"),
                   *IdSegment::Parse("crew"),
                   *IdSegment::Parse("writer"),
                   KeyOf(process.pid()),
                   std::move(*runtime::OpenPidfd(process.pid())),
                   {"/usr/bin/python3.11", {}, "", {}},
                   {},
                   {},
                   {},
                   {"python3*"}};
    return r;
  }
  InstanceId NextId() { return InstanceId::Make(++count_, "0123456789"); }
  ProcessKey KeyOf(pid_t pid) { return *reader_.Identify(testing::EvidenceOf(pid)); }
  Result<const Instance*> Add(const Puppet& process) { return registry_.Register(Make(process)); }
  std::vector<InstanceChange> Changes() { return std::exchange(changes_, {}); }

  // An entry that any process of this test's user matches, unless it is, or was, an instance's.
  class EntryOfThisUser {
   public:
    explicit EntryOfThisUser(RegistryTest& t)
        : digests_(t.clock_),
          selectors_(names_, cgroups_, digests_, t.clock_),
          resolver_(t.reader_, t.registry_, entries_, selectors_, t.clock_,
                    {std::chrono::seconds(900), std::chrono::seconds(300)}) {
      const std::string uid = "unix:uid:" + std::to_string(::geteuid());
      EXPECT_TRUE(entries_
                      .Set({"service/db",
                            *SpiffeId::Parse("spiffe://example.org/service/db"),
                            {*Selector::Parse(uid)},
                            {},
                            "",
                            {},
                            {}})
                      .ok());
    }
    // The ID that it gets, or why it gets none.
    std::string WhoIs(pid_t pid) const {
      const auto caller = resolver_.Resolve(testing::EvidenceOf(pid));
      return caller.ok() ? caller->grants.front().identity.id.ToString() : caller.error().message();
    }

   private:
    EntryTable entries_{*TrustDomain::Parse("example.org")};
    testing::NoNames names_;
    testing::NoCgroups cgroups_;
    DigestCache digests_;
    SelectorSource selectors_;
    const CallerResolver resolver_;
  };

  uint64_t count_ = 0;
  ManualClock clock_{WallTime{std::chrono::hours(1000)}};
  runtime::Loop loop_;
  ProcessReader reader_;
  std::vector<InstanceChange> changes_;
  Registry registry_{*TrustDomain::Parse("example.org"), clock_, reader_, loop_,
                     [this](const Instance&, InstanceChange c) { changes_.push_back(c); }};
};

TEST_F(RegistryTest, FindsAnInstanceByItsProcessAlone) {
  Puppet agent, stranger;
  const auto instance = Add(agent);
  ASSERT_TRUE(instance.ok()) << instance.error().ToString();
  EXPECT_EQ((*instance)->identity.id.ToString(), "spiffe://example.org/agent/acme/crew/writer");
  EXPECT_EQ((*instance)->identity.assurance, Assurance::kAttested);
  EXPECT_EQ(registry_.FindByProcess(KeyOf(agent.pid())), *instance);
  EXPECT_EQ(registry_.FindByProcess(KeyOf(stranger.pid())), nullptr);
  EXPECT_THAT(Changes(), ElementsAre(InstanceChange::kRegistered));
  // The lower tiers know pid and start time only.
  const ProcessReader old(ProcessTier::kProcfs);
  EXPECT_EQ(registry_.FindByProcess(*old.Identify(testing::EvidenceOf(agent.pid()))), *instance);
  ProcessKey reused = *old.Identify(testing::EvidenceOf(agent.pid()));
  reused.start_time += 1;
  EXPECT_EQ(registry_.FindByProcess(reused), nullptr);
}

TEST_F(RegistryTest, EndsWithItsProcess) {
  Puppet agent;
  const InstanceId id = (*Add(agent))->id();
  Changes();
  agent.KillOnly();
  for (int i = 0; i < 1000 && registry_.size() > 0; ++i) loop_.RunFor(std::chrono::milliseconds(10));
  EXPECT_EQ(registry_.size(), 0U);
  EXPECT_EQ(registry_.Find(id), nullptr);
  EXPECT_THAT(Changes(), ElementsAre(InstanceChange::kEnded));
  registry_.End(id, "again");
  EXPECT_THAT(Changes(), ElementsAre());
  EXPECT_EQ(registry_.ExecStarting(id).error().code(), ErrorCode::kNotFound);
}

TEST_F(RegistryTest, WithholdsTheIdentityWhileTheImageChanges) {
  Puppet agent;
  const auto instance = Add(agent);
  ASSERT_TRUE(instance.ok());
  const InstanceId id = (*instance)->id();
  Changes();
  ASSERT_TRUE(registry_.ExecStarting(id).ok());
  EXPECT_FALSE((*instance)->has_identity());
  ASSERT_TRUE(registry_.ExecFailed(id).ok());
  EXPECT_TRUE((*instance)->has_identity());
  ASSERT_TRUE(registry_.ExecStarting(id).ok());
  ASSERT_TRUE(registry_.ExecDone(id, {"/usr/bin/python3", {}, "", {}}).ok());
  EXPECT_TRUE((*instance)->has_identity());
  EXPECT_THAT(Changes(), ElementsAre(InstanceChange::kWithheld, InstanceChange::kRestored, InstanceChange::kWithheld,
                                     InstanceChange::kNewImage));
}

// INV-ID-05, before anybody has said a word.
TEST_F(RegistryTest, AnExecThatHasBeenCountedTakesTheIdentityAway) {
  auto spawners = runtime::SharedCounters::Create(4);
  ASSERT_TRUE(spawners.ok());
  const auto read = [&] {
    runtime::UniqueFd memory(fcntl(spawners->fd(), F_DUPFD_CLOEXEC, 3));
    auto adopted = runtime::SharedCounters::Adopt(std::move(memory), 4);
    return std::make_shared<const runtime::SharedCounters>(std::move(*adopted));
  };
  Puppet agent;
  Registration r = Make(agent);
  r.execs = {read(), 3, 0};
  const auto instance = registry_.Register(std::move(r));
  ASSERT_TRUE(instance.ok());
  const InstanceId id = (*instance)->id();
  const EntryOfThisUser entry(*this);
  EXPECT_TRUE((*instance)->has_identity());
  EXPECT_THAT(entry.WhoIs(agent.pid()), HasSubstr("writer"));
  Changes();
  spawners->Raise(2);  // somebody else's
  EXPECT_TRUE((*instance)->has_identity());
  spawners->Raise(3);
  EXPECT_FALSE((*instance)->has_identity());
  EXPECT_THAT(entry.WhoIs(agent.pid()), HasSubstr("replacing its image"));
  EXPECT_THAT(Changes(), ElementsAre());
  // What is said later is on record all the same, and what was attested before it gives nothing back.
  ASSERT_TRUE(registry_.ExecStarting(id).ok());
  spawners->Raise(3);
  ASSERT_TRUE(registry_.ExecDone(id, {"/usr/bin/python3", {}, "", {}}, 1).ok());
  EXPECT_FALSE((*instance)->has_identity());
  ASSERT_TRUE(registry_.ExecStarting(id).ok());
  ASSERT_TRUE(registry_.ExecFailed(id, 2).ok());
  EXPECT_TRUE((*instance)->has_identity());
  EXPECT_THAT(Changes(), ElementsAre(InstanceChange::kWithheld, InstanceChange::kNewImage, InstanceChange::kWithheld,
                                     InstanceChange::kRestored));
  // Another spawner counts somewhere else.
  spawners->Raise(3);
  Registration again = Make(agent);
  again.id = id;
  again.image.exe = "/usr/bin/python3";
  again.execs = {read(), 0, 0};
  ASSERT_TRUE(registry_.Register(std::move(again)).ok());
  EXPECT_TRUE((*instance)->has_identity());
}

TEST_F(RegistryTest, AnImageThatTheRoleDoesNotAllowHasNoIdentity) {
  Puppet agent;
  Registration wrong = Make(agent);
  wrong.image.exe = "/usr/bin/nc";
  EXPECT_EQ(registry_.Register(std::move(wrong)).error().code(), ErrorCode::kPermissionDenied);
  Registration none = Make(agent);
  none.exe_patterns.clear();
  EXPECT_EQ(registry_.Register(std::move(none)).error().code(), ErrorCode::kPermissionDenied);

  const auto instance = Add(agent);
  ASSERT_TRUE(instance.ok());
  ASSERT_TRUE(registry_.ExecStarting((*instance)->id()).ok());
  EXPECT_EQ(registry_.ExecDone((*instance)->id(), {"/usr/bin/nc", {}, "", {}}).error().code(),
            ErrorCode::kPermissionDenied);
  EXPECT_FALSE((*instance)->has_identity());
}

TEST_F(RegistryTest, QuarantineAndExecDoNotLiftEachOther) {
  Puppet agent;
  const auto instance = Add(agent);
  ASSERT_TRUE(instance.ok());
  const InstanceId id = (*instance)->id();
  ASSERT_TRUE(registry_.SetQuarantined(id, true).ok());
  ASSERT_TRUE(registry_.ExecStarting(id).ok());
  ASSERT_TRUE(registry_.ExecDone(id, {"/usr/bin/python3", {}, "", {}}).ok());
  EXPECT_FALSE((*instance)->has_identity());
  Changes();
  ASSERT_TRUE(registry_.SetQuarantined(id, false).ok());
  ASSERT_TRUE(registry_.SetQuarantined(id, false).ok());
  EXPECT_TRUE((*instance)->has_identity());
  EXPECT_THAT(Changes(), ElementsAre(InstanceChange::kRestored));
}

// INV-KPR-09: nobody's hand makes a forbidden image an attested one.
TEST_F(RegistryTest, AForbiddenImageStaysInQuarantineWhenItIsReleased) {
  Puppet agent;
  const auto instance = Add(agent);
  ASSERT_TRUE(instance.ok());
  const InstanceId id = (*instance)->id();
  EXPECT_FALSE(registry_.ExecDone(id, {"/usr/bin/nc", {}, "", {}}).ok());
  Changes();
  const Status refused = registry_.SetQuarantined(id, false);
  EXPECT_EQ(refused.error().code(), ErrorCode::kPermissionDenied);
  EXPECT_THAT(refused.error().message(), HasSubstr("may not run /usr/bin/nc"));
  EXPECT_FALSE((*instance)->has_identity());
  EXPECT_THAT(Changes(), ElementsAre());
  // The same of one that comes back with its quarantine after a restart.
  Puppet other;
  Registration again = Make(other);
  again.image.exe = "/usr/bin/nc";
  again.quarantined = true;
  const auto back = registry_.Register(std::move(again));
  ASSERT_TRUE(back.ok());
  EXPECT_FALSE(registry_.SetQuarantined((*back)->id(), false).ok());
  // What it runs next may be allowed.
  ASSERT_TRUE(registry_.ExecDone(id, {"/usr/bin/python3", {}, "", {}}).ok());
  EXPECT_TRUE(registry_.SetQuarantined(id, false).ok());
  EXPECT_TRUE((*instance)->has_identity());
}

TEST_F(RegistryTest, RefusesAPidfdOfAnotherProcessAndDeadOnes) {
  Puppet agent, other;
  Registration crossed = Make(agent);
  crossed.pidfd = std::move(*runtime::OpenPidfd(other.pid()));
  EXPECT_EQ(registry_.Register(std::move(crossed)).error().code(), ErrorCode::kInvalidArgument);
  Registration without = Make(agent);
  without.pidfd.reset();
  EXPECT_EQ(registry_.Register(std::move(without)).error().code(), ErrorCode::kInvalidArgument);
  Registration dead = Make(agent);
  agent.KillOnly();
  EXPECT_EQ(registry_.Register(std::move(dead)).error().code(), ErrorCode::kNotFound);
  EXPECT_THAT(Changes(), ElementsAre());
}

TEST_F(RegistryTest, OneProcessIsOneInstance) {
  Puppet agent, other;
  ASSERT_TRUE(Add(agent).ok());
  EXPECT_EQ(Add(agent).error().code(), ErrorCode::kAlreadyExists);
  Registration same_id = Make(other);
  same_id.id = registry_.All()[0]->id();
  EXPECT_EQ(registry_.Register(std::move(same_id)).error().code(), ErrorCode::kAlreadyExists);
}

TEST_F(RegistryTest, RegisteredAgainIsTheSameInstanceWithWhatRunsNow) {
  Puppet agent;
  const Instance* instance = Add(agent).value();
  const auto again = [&](const std::string& script) {
    Registration r = Make(agent);
    r.id = instance->id();
    r.image.script = script;
    return registry_.Register(std::move(r));
  };
  Changes();
  ASSERT_EQ(again("").value(), instance);
  EXPECT_THAT(Changes(), ElementsAre());
  ASSERT_TRUE(registry_.ExecStarting(instance->id()).ok());
  ASSERT_TRUE(again("").ok());  // the exec failed, and whoever would have said so is gone
  EXPECT_TRUE(instance->has_identity());
  ASSERT_TRUE(registry_.ExecStarting(instance->id()).ok());
  ASSERT_TRUE(again("/work/other.py").ok());
  EXPECT_THAT(Changes(), ElementsAre(InstanceChange::kWithheld, InstanceChange::kRestored, InstanceChange::kWithheld,
                                     InstanceChange::kNewImage));
  ASSERT_TRUE(registry_.SetQuarantined(instance->id(), true).ok());
  ASSERT_TRUE(again("/work/other.py").ok());
  EXPECT_TRUE(instance->quarantined) << "nobody is released by a restart of the spawner";
}

TEST_F(RegistryTest, AQuarantineFromAnEarlierLifeComesWithTheRegistration) {
  Puppet agent;
  Registration r = Make(agent);
  r.quarantined = true;
  r.image.exe = "/usr/bin/nc";  // for which it was put there
  const auto instance = registry_.Register(std::move(r));
  ASSERT_TRUE(instance.ok());
  EXPECT_FALSE((*instance)->has_identity());
}

TEST_F(RegistryTest, KeepsLineageAndTheUserThroughGenerations) {
  Puppet a, b, c;
  Registration root = Make(a);
  root.on_behalf_of = OnBehalfOf{"alice", "https://login.example.org", "{}"};
  const InstanceId root_id = root.id;
  ASSERT_TRUE(registry_.Register(std::move(root)).ok());
  Registration child = Make(b);
  child.role = *IdSegment::Parse("editor");
  child.parent = root_id;
  const auto second = registry_.Register(std::move(child));
  ASSERT_TRUE(second.ok());
  EXPECT_THAT((*second)->identity.lineage,
              ElementsAre(*SpiffeId::Parse("spiffe://example.org/agent/acme/crew/writer")));
  EXPECT_EQ((*second)->identity.on_behalf_of->subject, "alice");

  Registration other_user = Make(c);
  other_user.parent = root_id;
  other_user.on_behalf_of = OnBehalfOf{"bob", "https://login.example.org", "{}"};
  EXPECT_THAT(registry_.Register(std::move(other_user)).error().message(), HasSubstr("another user"));
  ASSERT_TRUE(registry_.SetQuarantined(root_id, true).ok());
  Registration of_quarantined = Make(c);
  of_quarantined.parent = root_id;
  EXPECT_EQ(registry_.Register(std::move(of_quarantined)).error().code(), ErrorCode::kPermissionDenied);
  registry_.End(root_id, "test");
  Registration orphan = Make(c);
  orphan.parent = root_id;
  EXPECT_EQ(registry_.Register(std::move(orphan)).error().code(), ErrorCode::kNotFound);
}

// A node's own bound is limits::kMaxInstances; so many processes are not made here.
TEST_F(RegistryTest, InstancesAreBounded) {
  Registry small(
      *TrustDomain::Parse("example.org"), clock_, reader_, loop_, [](const Instance&, InstanceChange) {}, 2);
  const Puppet a, b, c;
  ASSERT_TRUE(small.Register(Make(a)).ok());
  ASSERT_TRUE(small.Register(Make(b)).ok());
  EXPECT_EQ(small.Register(Make(c)).error().code(), ErrorCode::kResourceExhausted);
}

TEST_F(RegistryTest, GenerationsAreBounded) {
  std::vector<std::unique_ptr<Puppet>> line;
  std::optional<InstanceId> parent;
  for (size_t i = 0; i <= limits::kMaxLineage; ++i) {
    line.push_back(std::make_unique<Puppet>());
    Registration r = Make(*line.back());
    r.parent = parent;
    parent = r.id;
    ASSERT_TRUE(registry_.Register(std::move(r)).ok());
  }
  Puppet last;
  Registration r = Make(last);
  r.parent = parent;
  EXPECT_EQ(registry_.Register(std::move(r)).error().code(), ErrorCode::kResourceExhausted);
}

// After a restart of the keeper: a sub-agent is who it was, whatever has become of its parent.
TEST_F(RegistryTest, WhoOutlivedItsParentIsRegisteredAgain) {
  Puppet orphan, child, parent;
  Registration gone = Make(orphan);
  gone.parent = NextId();
  gone.lineage = {*SpiffeId::Parse("spiffe://example.org/agent/acme/crew/boss")};
  gone.on_behalf_of = OnBehalfOf{"alice", "https://login.example.org", "{}"};
  const auto back = registry_.Register(std::move(gone));
  ASSERT_TRUE(back.ok()) << back.error().ToString();
  ASSERT_EQ((*back)->identity.lineage.size(), 1U);
  EXPECT_EQ((*back)->identity.lineage[0].ToString(), "spiffe://example.org/agent/acme/crew/boss");
  EXPECT_EQ((*back)->identity.on_behalf_of->subject, "alice");
  const auto boss = Add(parent);
  ASSERT_TRUE(registry_.SetQuarantined((*boss)->id(), true).ok());
  Registration of_quarantined = Make(child);
  of_quarantined.parent = (*boss)->id();
  of_quarantined.lineage = {(*boss)->identity.id};
  EXPECT_TRUE(registry_.Register(std::move(of_quarantined)).ok());
  Puppet deep;
  Registration too_deep = Make(deep);
  too_deep.parent = NextId();
  too_deep.lineage.assign(limits::kMaxLineage + 1, (*boss)->identity.id);
  EXPECT_EQ(registry_.Register(std::move(too_deep)).error().code(), ErrorCode::kResourceExhausted);
}

// Children and orphans of an instance belong to it, whatever they do to their parent links; nobody else does.
// It lives already: refused, it would run on and nobody would know of it.
TEST_F(RegistryTest, WhoIsRegisteredAgainWithAnImageOfNoRoleIsInQuarantine) {
  Puppet process;
  Registration r = Make(process);
  r.image.exe = "/usr/bin/nc";
  EXPECT_EQ(registry_.Register(std::move(r)).error().code(), ErrorCode::kPermissionDenied);
  r = Make(process);
  r.image.exe = "/usr/bin/nc";
  r.again = true;
  const InstanceId id = r.id;
  const auto instance = registry_.Register(std::move(r));
  ASSERT_TRUE(instance.ok()) << instance.error().ToString();
  EXPECT_FALSE((*instance)->has_identity());
  EXPECT_EQ(registry_.CountOf(*IdSegment::Parse("acme")), 1u);
  EXPECT_EQ(registry_.SetQuarantined(id, false).error().code(), ErrorCode::kPermissionDenied);
  registry_.End(id, "test");
  EXPECT_EQ(registry_.CountOf(*IdSegment::Parse("acme")), 0u);
}

TEST_F(RegistryTest, AProcessBelongsToTheNearestInstanceAboveIt) {
  // The puppet makes a PID namespace: init, below it the agent, which forks a child and an orphan.
  struct Pids {
    pid_t init, agent, child, orphan;
  };
  Puppet host([](int go, int ready) {
    if (::unshare((::geteuid() == 0 ? 0 : CLONE_NEWUSER) | CLONE_NEWPID) != 0) ::_exit(1);
    const pid_t init = ::fork();
    if (init == 0) {
      const auto sleeper = [] {
        const pid_t pid = ::fork();
        if (pid == 0) {
          ::pause();
          ::_exit(0);
        }
        return pid;
      };
      const pid_t agent = ::fork();
      if (agent == 0) {
        sleeper();            // pid 3: the child
        if (::fork() == 0) {  // pid 4 leaves pid 5 behind
          sleeper();
          ::_exit(0);
        }
        ::wait(nullptr);
        if (::write(ready, "r", 1) != 1) ::_exit(1);
        ::pause();
      }
      while (true) ::pause();
    }
    char c;
    while (::read(go, &c, 1) == 1) {
    }
    ::kill(init, SIGKILL);
    ::waitpid(init, nullptr, 0);
  });
  ASSERT_TRUE(host.AwaitReady());
  const auto children = [](pid_t pid) {
    std::vector<pid_t> out;
    FILE* f = ::fopen(("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children").c_str(), "re");
    long value = 0;
    while (f != nullptr && ::fscanf(f, "%ld", &value) == 1) out.push_back(static_cast<pid_t>(value));
    if (f != nullptr) ::fclose(f);
    return out;
  };
  ASSERT_EQ(children(host.pid()).size(), 1U);
  const pid_t init = children(host.pid())[0];
  ASSERT_EQ(children(init).size(), 2U) << "the agent, and the orphan that it adopted";
  const pid_t agent = children(init)[0];
  const pid_t orphan = children(init)[1];
  const pid_t child = children(agent).at(0);

  Registration r = Make(host);
  r.process = KeyOf(agent);
  r.pidfd = std::move(*runtime::OpenPidfd(agent));
  const auto instance = registry_.Register(std::move(r));
  ASSERT_TRUE(instance.ok()) << instance.error().ToString();
  ASSERT_TRUE((*instance)->init.has_value());
  const auto owner = [this](pid_t pid) { return registry_.FindByAncestry(*reader_.AncestorsOf(KeyOf(pid))); };
  EXPECT_EQ(owner(child), *instance);
  EXPECT_EQ(owner(orphan), *instance);
  EXPECT_EQ(owner(agent), *instance);
  EXPECT_EQ(owner(init), *instance);
  EXPECT_EQ(owner(host.pid()), nullptr);
  EXPECT_EQ(registry_.FindByProcess(KeyOf(child)), nullptr);
  EXPECT_EQ(registry_.FindByProcess(KeyOf(orphan)), nullptr);

  // The agent's own process ends first: for a moment its orphan lives on, and is nobody's, a service's neither.
  EXPECT_FALSE(registry_.IsLeftOver(*reader_.AncestorsOf(KeyOf(orphan))));
  EntryOfThisUser entry(*this);
  const auto why = [&](pid_t pid) { return entry.WhoIs(pid); };
  EXPECT_EQ(why(host.pid()), "spiffe://example.org/service/db");
  EXPECT_THAT(why(orphan), HasSubstr("children have no identity"));
  ::kill(agent, SIGKILL);
  for (int i = 0; i < 1000 && registry_.size() > 0; ++i) loop_.RunFor(std::chrono::milliseconds(10));
  ASSERT_EQ(registry_.size(), 0U);
  EXPECT_TRUE(registry_.IsLeftOver(*reader_.AncestorsOf(KeyOf(orphan))));
  EXPECT_FALSE(registry_.IsLeftOver(*reader_.AncestorsOf(KeyOf(host.pid()))));
  EXPECT_THAT(why(orphan), HasSubstr("has ended"));
  EXPECT_EQ(why(host.pid()), "spiffe://example.org/service/db");
  ::kill(init, SIGKILL);
}

// A process that enters an instance's PID namespace from outside, as root or whoever owns its user namespace may: it
// has what its own parents have, and neither the instance's identity nor, where that cannot be told, a service's.
TEST_F(RegistryTest, WhoEntersAnInstanceFromOutsideIsNoPartOfIt) {
  Puppet host([](int go, int ready) {
    if (::unshare((::geteuid() == 0 ? 0 : CLONE_NEWUSER) | CLONE_NEWPID) != 0) ::_exit(1);
    if (::fork() == 0) {
      if (::fork() == 0) {
        sock_filter allow[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
        const sock_fprog program{1, allow};
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
            ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
          ::_exit(1);
        if (::fork() == 0) ::pause();  // a child of the agent
        if (::write(ready, "r", 1) != 1) ::_exit(1);
        ::pause();
      }
      while (true) ::pause();
    }
    char c;
    while (::read(go, &c, 1) == 1) {
    }
  });
  ASSERT_TRUE(host.AwaitReady());
  const auto child_of = [](pid_t pid, int number = 0) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
    pid_t out = 0;
    for (int i = 0; i <= number; ++i) {
      if (!(file >> out)) return pid_t{0};
    }
    return out;
  };
  const pid_t init = child_of(host.pid()), agent = child_of(init);
  Registration r = Make(host);
  r.process = KeyOf(agent);
  r.pidfd = std::move(*runtime::OpenPidfd(agent));
  r.children_inherit = true;
  const auto instance = registry_.Register(std::move(r));
  ASSERT_TRUE(instance.ok()) << instance.error().ToString();

  // One stays its parent's child; the other's parent ends in there, so that the instance's PID 1 adopts it.
  std::vector<pid_t> doors;
  const auto enter = [&](bool orphan) {
    int pipe[2];
    EXPECT_EQ(::pipe(pipe), 0);
    doors.push_back(::fork());
    if (doors.back() == 0) {
      const auto pidfd = runtime::OpenPidfd(init);
      if (::setns(pidfd->get(), (::geteuid() == 0 ? 0 : CLONE_NEWUSER) | CLONE_NEWPID) != 0) ::_exit(1);
      const pid_t child = ::fork();
      if (child == 0) {
        if (orphan && ::fork() != 0) ::_exit(0);
        ::pause();
        ::_exit(0);
      }
      if (::write(pipe[1], &child, sizeof child) != sizeof child) ::_exit(1);
      ::waitpid(child, nullptr, 0);
      ::_exit(0);
    }
    pid_t pid = 0;
    EXPECT_EQ(::read(pipe[0], &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
    ::close(pipe[0]);
    ::close(pipe[1]);
    return pid;
  };
  EntryOfThisUser entry(*this);
  const auto why = [&](pid_t pid) { return entry.WhoIs(pid); };
  EXPECT_EQ(why(child_of(agent)), "spiffe://example.org/agent/acme/crew/writer") << "a child that was born there";
  const pid_t visitor = enter(false);
  EXPECT_THAT(why(visitor), HasSubstr("from outside"));
  ASSERT_EQ(child_of(init, 1), 0);
  enter(true);
  pid_t adopted = 0;
  for (int i = 0; i < 5000 && (adopted = child_of(init, 1)) == 0; ++i) ::usleep(1000);
  ASSERT_NE(adopted, 0);
  ASSERT_EQ(registry_.FindByAncestry(*reader_.AncestorsOf(KeyOf(adopted))), *instance);
  EXPECT_THAT(why(adopted), HasSubstr("from outside"));
  ::kill(visitor, SIGKILL);
  ::kill(init, SIGKILL);
  for (const pid_t pid : doors) ::waitpid(pid, nullptr, 0);
}

}  // namespace
}  // namespace hexr::identity
