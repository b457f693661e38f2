// Requests that wait: for the disk that records what was signed, and for the end of an exec.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits/identity.h"
#include "crypto/keys.h"
#include "identity/testing/service_fixture.h"
#include "identity/workload_api.h"
#include "spiffe/workload.pb.h"

namespace hexr::identity {
namespace {

using testing::Connection;
using ::testing::IsEmpty;
using testing::kJwt;
using testing::kWriterId;
using testing::kX509;
using testing::Outcome;
using testing::Puppet;
using ::testing::SizeIs;

class WaitingTest : public testing::ServiceTest {
 protected:
  WaitingTest() { AddWorkloadApi(*router, *core, evidence); }
  static JWTSVIDRequest JwtFor(std::initializer_list<const char*> audience) {
    JWTSVIDRequest request;
    for (const char* a : audience) request.add_audience(a);
    return request;
  }
};

// INV-KPR-02 with a disk that takes its time: its owner waits, and nobody else.
TEST_F(WaitingTest, NothingLeavesBeforeItIsOnRecordAndOthersDoNotWait) {
  Puppet agent, other;
  const InstanceId id = Launch(agent)->id();
  Launch(other, "editor");
  slow_disk_of = kWriterId;
  Connection c(*router, clock, agent.pid());
  Outcome svid, jwt;
  c.Open(kX509, X509SVIDRequest(), svid);
  c.Open(kJwt, JwtFor({"db"}), jwt);
  core->Tick();
  c.Pump();
  EXPECT_THAT(svid.messages, IsEmpty());
  EXPECT_THAT(jwt.messages, IsEmpty());
  EXPECT_FALSE(svid.end || jwt.end);
  std::optional<Result<GatewaySvid>> gateway;
  const Bytes spki = crypto::PrivateKey::Generate(crypto::KeyType::kP256).public_key().spki();
  core->IssueForGateway(id, spki, [&](Result<GatewaySvid> r) { gateway = std::move(r); });
  EXPECT_FALSE(gateway);
  Connection d(*router, clock, other.pid());
  EXPECT_THAT(d.Call(kJwt, JwtFor({"db"})).messages, SizeIs(1));
  while (!unrecorded.empty()) {
    auto now = std::exchange(unrecorded, {});
    for (auto& u : now) u.done(Ok());
    c.Pump();
  }
  ASSERT_THAT(svid.messages, SizeIs(1));
  ASSERT_THAT(jwt.messages, SizeIs(1));
  EXPECT_TRUE(jwt.end && jwt.end->ok());
  EXPECT_TRUE(gateway && gateway->ok());
}

TEST_F(WaitingTest, WhatCouldNotBeRecordedIsVoid) {
  Puppet agent;
  Launch(agent);
  slow_disk_of = kWriterId;
  Connection c(*router, clock, agent.pid());
  Outcome svid;
  c.Open(kX509, X509SVIDRequest(), svid);
  ASSERT_THAT(unrecorded, SizeIs(1));
  auto failed = std::exchange(unrecorded, {});
  failed[0].done(Unavailable("the disk is gone"));
  c.Pump();
  EXPECT_THAT(svid.messages, IsEmpty());
  EXPECT_TRUE(core->authority().IsRevoked(failed[0].serial));
  ASSERT_THAT(unrecorded, SizeIs(1)) << "another one is tried";
  auto good = std::exchange(unrecorded, {});
  good[0].done(Ok());
  c.Pump();
  ASSERT_THAT(svid.messages, SizeIs(1));
  EXPECT_NE(good[0].serial, failed[0].serial);
}

// A program asks as soon as it runs; which one it is may be known a moment later.
TEST_F(WaitingTest, ARequestWaitsForTheEndOfAnExec) {
  Puppet agent;
  const InstanceId id = Launch(agent)->id();
  ASSERT_TRUE(core->registry().ExecStarting(id).ok());
  Connection c(*router, clock, agent.pid());
  Outcome svid, jwt;
  c.Open(kX509, X509SVIDRequest(), svid);
  c.Open(kJwt, JwtFor({"db"}), jwt);
  core->Tick();
  c.Pump();
  EXPECT_THAT(svid.messages, IsEmpty());
  EXPECT_FALSE(svid.end || jwt.end);
  ASSERT_TRUE(core->registry().ExecDone(id, {"/usr/bin/python3", {}, "", {}}).ok());
  c.Pump();
  ASSERT_THAT(svid.messages, SizeIs(1));
  ASSERT_THAT(jwt.messages, SizeIs(1));
  EXPECT_TRUE(jwt.end && jwt.end->ok());
  EXPECT_FALSE(svid.end);
}

// INV-ID-05: a dying image asks, and leaves the connection to an accomplice, who is to get its successor's key.
TEST_F(WaitingTest, AHeldRequestIsForTheNewImageAlone) {
  Puppet agent, accomplice;
  const InstanceId id = Launch(agent)->id();
  ASSERT_TRUE(core->registry().ExecStarting(id).ok());
  Connection c(*router, clock, agent.pid());
  Outcome svid;
  c.Open(kX509, X509SVIDRequest(), svid);
  c.HandTo(accomplice.pid());
  ASSERT_TRUE(core->registry().ExecDone(id, {"/usr/bin/python3", {}, "", {}}).ok());
  c.Pump();
  EXPECT_THAT(svid.messages, IsEmpty());
  EXPECT_EQ(svid.code(), ErrorCode::kPermissionDenied);
  // Nor does a forbidden image get anything.
  ASSERT_TRUE(core->registry().ExecStarting(id).ok());
  Connection d(*router, clock, agent.pid());
  Outcome of_forbidden;
  d.Open(kX509, X509SVIDRequest(), of_forbidden);
  EXPECT_FALSE(core->registry().ExecDone(id, {"/usr/bin/nc", {}, "", {}}).ok());
  d.Pump();
  EXPECT_EQ(of_forbidden.code(), ErrorCode::kPermissionDenied);
}

// INV-ID-11: an image that says it is there, becomes another one, and has left the connection to an accomplice.
TEST_F(WaitingTest, AnAnswerOfAnImageThatHasBeenReplacedSinceIsNone) {
  Puppet agent, accomplice;
  const InstanceId id = Launch(agent)->id();
  ASSERT_TRUE(core->registry().ExecStarting(id).ok());
  Connection c(*router, clock, agent.pid());
  Outcome svid;
  c.Open(kX509, X509SVIDRequest(), svid);
  ASSERT_TRUE(core->registry().ExecDone(id, {"/usr/bin/python3", {}, "", {}}).ok());
  bool replaced = false;
  c.before = [&] {  // its answer to the question who is there is on its way
    if (std::exchange(replaced, true)) return;
    EXPECT_TRUE(core->registry().ExecStarting(id).ok());
    EXPECT_TRUE(core->registry().ExecDone(id, {"/usr/bin/python3", {}, "", {}}).ok());
  };
  c.between = [&] {
    if (replaced) c.HandTo(accomplice.pid());
  };
  c.Pump();
  core->Tick();
  Settle();
  c.Pump();
  EXPECT_TRUE(replaced);
  EXPECT_THAT(svid.messages, IsEmpty());
  EXPECT_EQ(svid.code(), ErrorCode::kPermissionDenied);
}

// What waits for the disk is the image's that asked for it, as what waits for an exec is.
TEST_F(WaitingTest, WhatAnImageAskedForIsNotSignedForTheNext) {
  Puppet agent;
  const InstanceId id = Launch(agent)->id();
  slow_disk_of = kWriterId;
  Connection c(*router, clock, agent.pid());
  Outcome jwt;
  c.Open(kJwt, JwtFor({"db"}), jwt);
  ASSERT_THAT(unrecorded, SizeIs(1));
  EXPECT_FALSE(jwt.end);
  ASSERT_TRUE(core->registry().ExecStarting(id).ok());
  ASSERT_TRUE(core->registry().ExecDone(id, {"/usr/bin/python3", {}, "", {}}).ok());
  for (int turn = 0; turn < 10; ++turn) {
    for (auto& u : std::exchange(unrecorded, {})) u.done(Ok());
    core->Tick();
    Settle();
    c.Pump();
  }
  EXPECT_THAT(jwt.messages, IsEmpty());
  EXPECT_EQ(jwt.code(), ErrorCode::kPermissionDenied);
}

TEST_F(WaitingTest, AGatewaysCertificateGoesWithTheIdentityThatItWasMadeFor) {
  const Bytes spki = crypto::PrivateKey::Generate(crypto::KeyType::kP256).public_key().spki();
  slow_disk_of = kWriterId;
  for (const bool quarantine : {true, false}) {
    Puppet agent;
    const InstanceId id = Launch(agent)->id();
    std::optional<Result<GatewaySvid>> gateway;
    core->IssueForGateway(id, spki, [&](Result<GatewaySvid> r) { gateway = std::move(r); });
    ASSERT_THAT(unrecorded, SizeIs(1));
    EXPECT_FALSE(gateway);
    if (quarantine) {
      ASSERT_TRUE(core->registry().SetQuarantined(id, true).ok());
    } else {
      ASSERT_TRUE(core->registry().ExecStarting(id).ok());
      ASSERT_TRUE(core->registry().ExecDone(id, {"/usr/bin/python3", {}, "", {}}).ok());
    }
    for (auto& u : std::exchange(unrecorded, {})) u.done(Ok());
    ASSERT_TRUE(gateway);
    ASSERT_FALSE(gateway->ok()) << quarantine;
    EXPECT_EQ(gateway->error().code(), ErrorCode::kPermissionDenied) << quarantine;
  }
}

TEST_F(WaitingTest, HeldRequestsAreBoundedInNumberAndTime) {
  Puppet agent;
  const InstanceId id = Launch(agent)->id();
  ASSERT_TRUE(core->registry().ExecStarting(id).ok());
  Connection c(*router, clock, agent.pid());
  std::vector<Outcome> outcomes(limits::kMaxStreamsPerProcess + 1);
  for (Outcome& o : outcomes) c.Open(kJwt, JwtFor({"db"}), o);
  EXPECT_EQ(outcomes.back().code(), ErrorCode::kResourceExhausted);
  EXPECT_FALSE(outcomes.front().end);
  clock.Advance(limits::kMaxHoldTime);
  core->Tick();
  Settle();
  c.Pump();
  EXPECT_EQ(outcomes.front().code(), ErrorCode::kUnavailable);
  EXPECT_EQ(core->subscribers(), 0U);
}

}  // namespace
}  // namespace hexr::identity
