// Agents that share a folder can share a socket in it, and hand each other open connections (SCM_RIGHTS). What comes
// over such a connection is the agent's whose listener took it, whoever writes it, and it ends with that agent.
#include <gmock/gmock.h>

#include "gateway/testing/gateway_fixture.h"
#include "runtime/packet.h"

namespace hexr::gateway {
namespace {

using runtime::UniqueFd;
using testing::AgentNet;
using testing::GatewayFixture;
using testing::MakeInstanceId;
using testing::TestServer;

struct HandedOver : GatewayFixture {
  // Forked before anything else runs.
  AgentNet giver_net = AgentNet::Make({{false, 15001}});
  AgentNet taker_net = AgentNet::Make({{false, 15001}});
  TestServer server;
  InstanceId giver = MakeInstanceId(1), taker = MakeInstanceId(2);

  void SetUp() override {
    Configure("{allow: ['files.test:8443'], resolve: {files.test: '" + server.place() + "'}}");
    Start();
    ASSERT_TRUE(BringUp(giver, {{"proxy", 15001}}, giver_net).ok());
    ASSERT_TRUE(BringUp(taker, {{"proxy", 15001}}, taker_net).ok());
  }
  // A connection of the giver's, as another process gets it.
  UniqueFd HandOver() {
    const UniqueFd made = giver_net.Connect("127.0.0.1:15001");
    auto shared = runtime::MakePacketPair();
    const int fd = made.get();
    EXPECT_TRUE(runtime::SendPacket(shared->first.get(), AsBytes("yours"), std::span<const int>(&fd, 1)).ok());
    auto packet = runtime::ReceivePacket(shared->second.get());
    EXPECT_TRUE(packet.ok() && packet->fds.size() == 1);
    return std::move(packet->fds[0]);
  }
  void TakeDown(const InstanceId& instance) {
    runtime::Envelope down;
    down.mutable_instance_down()->set_instance(instance.value());
    bool acked = false;
    spawner->Call(down, {}, std::chrono::seconds(5), [&](Result<runtime::Message> r) { acked = r.ok(); });
    Until([&] { return acked; });
  }
};

TEST_F(HandedOver, AConnectionIsTheAgentsWhoseListenerTookIt) {
  const UniqueFd handed = HandOver();
  Write(handed.get(), "CONNECT files.test:8443 HTTP/1.1\r\nHost: files.test:8443\r\n\r\n");
  const UniqueFd upstream = Accept(server);
  ReadUntil(handed.get(), "\r\n\r\n");
  // The taker ends: it was never its connection.
  TakeDown(taker);
  Write(handed.get(), "still here");
  EXPECT_EQ(Read(upstream.get()), "still here");
  // The giver ends: whoever holds the descriptor, it is cut in the same turn.
  TakeDown(giver);
  EXPECT_EQ(Read(handed.get()), "!");
  EXPECT_EQ(Read(upstream.get()), "!");
  ASSERT_FALSE(records.empty());
  for (const auto& record : records) EXPECT_EQ(record.instance, giver.value());
  EXPECT_EQ(Records(ledger::RecordKind::kEgress, "how", "ended").size(), 1u);
}

// A giver that is held cannot lend what it no longer has.
TEST_F(HandedOver, AQuarantinedAgentHasNothingToGive) {
  const UniqueFd before = HandOver();
  runtime::Envelope q;
  q.mutable_quarantine()->set_instance(giver.value());
  q.mutable_quarantine()->set_on(true);
  Until([&] { return gateway->connections() == 1; });
  std::optional<bool> done;
  keeper->Call(q, {}, std::chrono::seconds(5), [&](Result<runtime::Message> r) { done = r.ok(); });
  Until([&] { return done.has_value(); });
  char byte = 0;
  EXPECT_TRUE(recv(before.get(), &byte, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET) << "in the same turn";
  const UniqueFd after = HandOver();
  Write(after.get(), "CONNECT files.test:8443 HTTP/1.1\r\nHost: files.test:8443\r\n\r\n");
  EXPECT_THAT(ReadAll(after.get()), ::testing::StartsWith("HTTP/1.1 403 "));
  EXPECT_FALSE(server.TryAccept());
  EXPECT_EQ(records.back().instance, giver.value());
}

}  // namespace
}  // namespace hexr::gateway
