// What one process, one instance and one user may take of the node's attention.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>

#include "base/limits/identity.h"
#include "identity/testing/service_fixture.h"
#include "identity/workload_api.h"
#include "spiffe/workload.pb.h"

namespace hexr::identity {
namespace {

using std::chrono::seconds;
using testing::Connection;
using testing::EvidenceOf;
using testing::Outcome;
using testing::Puppet;
using ::testing::SizeIs;

class Shares : public testing::ServiceTest {
 protected:
  void Build() {
    Create(ProcessTier::kPidfdInfo, {1e6, 1e6});
    AddWorkloadApi(*router, *core, evidence);
  }
  ErrorCode Code(const Puppet& who) {
    const auto caller = core->Authenticate(EvidenceOf(who.pid()));
    return caller.ok() ? ErrorCode{0} : caller.error().code();
  }
};

TEST_F(Shares, AProcessIsWalkedOnceAndAUserHasAShareOfWalks) {
  core_options.walks = {.per_second = 0, .burst = 2};
  Build();
  Puppet a, b, c, agent;
  Launch(agent);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Code(a), ErrorCode::kPermissionDenied);
  EXPECT_EQ(Code(b), ErrorCode::kPermissionDenied);
  EXPECT_EQ(Code(c), ErrorCode::kResourceExhausted);
  EXPECT_EQ(Code(agent), ErrorCode{0}) << "an instance's own process is found without a walk";
}

TEST_F(Shares, SoManyProcessesAreRemembered) {
  EXPECT_EQ(core_options.max_known_processes, limits::kMaxKnownProcesses);
  core_options.walks = {.per_second = 0, .burst = 3};
  core_options.max_known_processes = 1;
  Build();
  Puppet a, b;
  EXPECT_EQ(Code(a), ErrorCode::kPermissionDenied);
  EXPECT_EQ(Code(b), ErrorCode::kPermissionDenied);
  EXPECT_EQ(Code(a), ErrorCode::kPermissionDenied) << "was forgotten";
  EXPECT_EQ(Code(a), ErrorCode::kPermissionDenied);
  EXPECT_EQ(Code(b), ErrorCode::kResourceExhausted);
}

TEST_F(Shares, ProcessesWithIdentitiesAreBoundedByInstanceAndByUser) {
  EXPECT_EQ(core_options.max_watched_per_instance, limits::kMaxWatchedPerInstance);
  EXPECT_EQ(core_options.max_watched_per_user, limits::kMaxWatchedPerUser);
  core_options.max_watched_per_instance = 2;
  core_options.max_watched_per_user = 2;
  Build();
  Match("service/db", {Uid()});
  Puppet agent(Puppet::Parent<3>);
  pid_t children[3];
  ASSERT_EQ(::read(agent.ready(), children, sizeof children), static_cast<ssize_t>(sizeof children));
  Launch(agent, "writer", true);
  const auto code = [&](pid_t pid) {
    const auto caller = core->Authenticate(EvidenceOf(pid));
    return caller.ok() ? ErrorCode{0} : caller.error().code();
  };
  EXPECT_EQ(code(children[0]), ErrorCode{0});
  EXPECT_EQ(code(children[1]), ErrorCode{0});
  EXPECT_EQ(code(children[2]), ErrorCode::kResourceExhausted);
  EXPECT_EQ(code(children[0]), ErrorCode{0});
  Puppet first, second, third;
  EXPECT_EQ(Code(first), ErrorCode{0}) << "not the instance's share";
  EXPECT_EQ(Code(second), ErrorCode{0});
  EXPECT_EQ(Code(third), ErrorCode::kResourceExhausted);
  first.End();
  EXPECT_TRUE(Await([&] { return Code(third) == ErrorCode{0}; })) << "and given back";
}

// On connections of which nothing else is known there is little room.
TEST_F(Shares, AQuestionOfNobodyMakesItsConnectionNoKnownOne) {
  Build();
  Puppet agent, stranger;
  Launch(agent);
  const auto ask = [&](const Puppet& who, uint64_t writer) {
    ProcessEvidence of_it = EvidenceOf(who.pid());
    of_it.writer = writer;
    return core->Authenticate(of_it).ok();
  };
  EXPECT_FALSE(ask(stranger, 7));
  EXPECT_THAT(identified, ::testing::IsEmpty());
  EXPECT_TRUE(ask(agent, 8));
  EXPECT_THAT(identified, ::testing::ElementsAre(8u));
}

TEST_F(Shares, ALongListOfRevocationsIsSentLessOften) {
  core_options.crl_bytes_per_second = 20;  // some hundred bytes to one stream take seconds
  Build();
  Puppet agent;
  Launch(agent);
  Connection c(*router, clock, agent.pid());
  Outcome o;
  c.Open("/SpiffeWorkloadAPI/FetchX509SVID", X509SVIDRequest(), o);
  const auto end_one = [&] {
    Puppet other;
    const InstanceId id = Launch(other, "editor")->id();
    Outcome theirs;
    Connection(*router, clock, other.pid()).Open("/SpiffeWorkloadAPI/FetchX509SVID", X509SVIDRequest(), theirs);
    core->registry().End(id, "test");
  };
  const auto messages_after = [&](seconds wait) {
    clock.Advance(wait);
    core->Tick();
    Settle();
    c.Pump();
    return o.messages.size();
  };
  end_one();
  EXPECT_EQ(messages_after(seconds(2)), 2u) << "there was no list yet";
  end_one();
  EXPECT_EQ(messages_after(seconds(2)), 2u);
  EXPECT_EQ(messages_after(seconds(30)), 3u);
  end_one();
  core->PushCrls();
  EXPECT_EQ(messages_after(seconds(0)), 4u) << "a kill waits for nothing";
}

}  // namespace
}  // namespace hexr::identity
