#include "gateway/gateway.h"

#include <gmock/gmock.h>

#include "base/limits/messages.h"
#include "gateway/testing/gateway_fixture.h"

namespace hexr::gateway {
namespace {

using ledger::RecordKind;
using runtime::Envelope;
using runtime::Message;
using runtime::UniqueFd;
using testing::AgentNet;
using testing::GatewayFixture;
using testing::MakeInstanceId;
using testing::TestServer;

struct GatewayTest : GatewayFixture {
  // Forked before anything else runs.
  AgentNet net = AgentNet::Make({{false, 5432}});
  TestServer server;
  InstanceId id = MakeInstanceId(1);

  void SetUp() override {
    Configure(R"({allow: ["93.184.216.34:5432", "93.184.216.35:5432"], allow_private: ["127.0.0.0/8"]})");
  }
};

// The address 93.184.216.34 is an agent's only: dialled from the test's own network it goes nowhere. The connect step
// is real all the same; what is dialled comes from `resolve`, for names.
TEST_F(GatewayTest, ADeniedDestinationIsResetAndRecorded) {
  Start();
  ASSERT_TRUE(BringUp(id, {{"capture", 5432}}, net).ok());
  const UniqueFd agent = net.Connect("93.184.200.1:5432");
  ASSERT_TRUE(agent);
  EXPECT_EQ(Read(agent.get()), "!");
  const auto denied = Records(RecordKind::kDecision, "verdict", "deny");
  ASSERT_EQ(denied.size(), 1u);
  EXPECT_EQ(denied[0].Find("on_behalf_of"), nullptr);
  EXPECT_EQ(denied[0].FindString("host"), "93.184.200.1");
  EXPECT_EQ(denied[0].FindInteger("port"), 5432);
  EXPECT_EQ(denied[0].FindString("rule"), "default_deny");
  EXPECT_EQ(Records(RecordKind::kEgress, "how", "denied").size(), 1u);
  EXPECT_EQ(gateway->metrics().calls_denied[0], 1u);
}

// For whom an agent acts is in every record of its calls: the same digests for its life, never the name.
TEST_F(GatewayTest, RecordsForWhomAnAgentActs) {
  Start();
  up_more = [](::hexr::node::v1::InstanceUp& up) {
    up.set_subject("alice@example.org");
    up.set_subject_issuer("https://login.example.org");
    up.set_subject_claims(R"({"sub":"alice@example.org"})");
  };
  ASSERT_TRUE(BringUp(id, {{"capture", 5432}}, net).ok());
  for (const char* to : {"93.184.200.1:5432", "93.184.200.2:5432"}) {
    const UniqueFd agent = net.Connect(to);
    EXPECT_EQ(Read(agent.get()), "!");
  }
  const auto denied = Records(RecordKind::kDecision, "verdict", "deny");
  ASSERT_EQ(denied.size(), 2u);
  for (const char* member : {"sub", "issuer"}) {
    const wire::Json* first = denied[0].Find("on_behalf_of");
    const wire::Json* second = denied[1].Find("on_behalf_of");
    ASSERT_TRUE(first != nullptr && second != nullptr);
    ASSERT_TRUE(first->Find(member) != nullptr);
    EXPECT_EQ(first->Find(member)->FindString("sha256").value_or("").size(), 64u);
    EXPECT_EQ(wire::ToJson(*first->Find(member)), wire::ToJson(*second->Find(member)));
  }
  EXPECT_THAT(wire::ToJson(denied[0]), ::testing::Not(::testing::HasSubstr("alice")));
}

TEST_F(GatewayTest, RefusesInstancesThatAreNotItsOwn) {
  Start();
  Envelope other = Up(id, {{"capture", 5432}});
  other.mutable_instance_up()->set_tenant("other");
  Envelope foreign = Up(id, {{"capture", 5432}});
  foreign.mutable_instance_up()->set_spiffe_id("spiffe://elsewhere.example/agent/acme/crew/main");
  Envelope unknown = Up(id, {{"telepathy", 5432}});
  Envelope garbage = Up(id, {{"capture", 5432}});
  garbage.mutable_instance_up()->set_instance("../../etc");
  for (Envelope* e : {&other, &foreign, &unknown, &garbage}) {
    std::vector<UniqueFd> fds;
    fds.push_back(UniqueFd(fcntl(net.listeners()[0].get(), F_DUPFD_CLOEXEC, 0)));
    std::optional<ErrorCode> code;
    spawner->Call(*e, std::move(fds), std::chrono::seconds(5),
                  [&](Result<Message> r) { code = r.ok() ? ErrorCode::kUnknown : r.error().code(); });
    Until([&] { return code.has_value(); });
    EXPECT_EQ(code, ErrorCode::kInvalidArgument);
  }
  Envelope short_of_fds = Up(id, {{"capture", 5432}, {"capture", 5433}});
  std::optional<ErrorCode> code;
  spawner->Call(short_of_fds, {}, std::chrono::seconds(5), [&](Result<Message> r) { code = r.error().code(); });
  Until([&] { return code.has_value(); });
  EXPECT_EQ(code, ErrorCode::kInvalidArgument);
}

TEST_F(GatewayTest, QuarantineIsKnownBeforeTheInstance) {
  Start();
  Envelope q;
  q.mutable_quarantine()->set_instance(id.value());
  q.mutable_quarantine()->set_on(true);
  std::optional<bool> done;
  keeper->Call(q, {}, std::chrono::seconds(5), [&](Result<Message> r) { done = r.ok(); });
  Until([&] { return done.has_value(); });
  ASSERT_TRUE(BringUp(id, {{"capture", 5432}}, net).ok());
  const UniqueFd agent = net.Connect("93.184.216.34:5432");
  EXPECT_EQ(Read(agent.get()), "!");
  const auto denied = Records(RecordKind::kDecision, "verdict", "deny");
  ASSERT_EQ(denied.size(), 1u);
  EXPECT_EQ(denied[0].FindString("rule"), "identify");
}

TEST_F(GatewayTest, AnEndedInstanceNeverComesBack) {
  Start();
  ASSERT_TRUE(BringUp(id, {{"capture", 5432}}, net).ok());
  Envelope end;
  end.mutable_end_instance()->set_instance(id.value());
  std::optional<bool> done;
  keeper->Call(end, {}, std::chrono::seconds(5), [&](Result<Message> r) { done = r.ok(); });
  Until([&] { return done.has_value(); });
  EXPECT_EQ(BringUp(id, {{"capture", 5432}}, net).error().code(), ErrorCode::kFailedPrecondition);
}

TEST_F(GatewayTest, ARestartedGatewayAsksForItsInstances) {
  resend.push_back(Up(id, {{"capture", 5432}}));
  resend_fds.emplace_back();
  resend_fds.back().push_back(UniqueFd(fcntl(net.listeners()[0].get(), F_DUPFD_CLOEXEC, 0)));
  Start();
  EXPECT_EQ(gateway->metrics().instances, 1u);
  // A restarted spawner that names none of them: they are gone.
  resend.clear();
  resend_fds.clear();
  ConnectSpawner();
  Until([&] { return gateway->metrics().instances == 0; });
}

TEST_F(GatewayTest, WithoutAJournalNothingIsAllowed) {
  Start();
  ASSERT_TRUE(BringUp(id, {{"capture", 5432}}, net).ok());
  fail_journal = true;
  const UniqueFd agent = net.Connect("93.184.216.34:5432");
  EXPECT_EQ(Read(agent.get()), "!");
  EXPECT_TRUE(records.empty());
  EXPECT_EQ(gateway->metrics().calls_denied[static_cast<size_t>(DenialKind::kUnavailable)], 1u);
  // Another one was asked for, and the sink went on in it: taking the old one down would wait for the disk.
  Until([&] { return journals > 1; });
  fail_journal = false;
  const UniqueFd again = net.Connect("93.184.200.1:5432");
  EXPECT_EQ(Read(again.get()), "!");
  EXPECT_FALSE(records.empty());
  EXPECT_EQ(sinks, 1);
}

// While the keeper has not answered, however many records want another journal, it is asked once; and again when its
// answer is not to be expected any more.
TEST_F(GatewayTest, AsksForAJournalOnce) {
  Start();
  ASSERT_TRUE(BringUp(id, {{"capture", 5432}}, net).ok());
  journal_silent = true;
  const MonoTime before = clock.Mono();
  fail_journal = true;
  for (int i = 0; i < 5; ++i) {
    const UniqueFd agent = net.Connect("93.184.216.34:5432");
    EXPECT_EQ(Read(agent.get()), "!");
  }
  Until([&] { return journals > 1; });
  EXPECT_EQ(journals, 2);
  Until([&] { return journals > 2; });
  EXPECT_GE(clock.Mono() - before, limits::kNodeCallDeadline);
}

}  // namespace
}  // namespace hexr::gateway
