// What never ends by itself: agents and destinations that stop in the middle, and names with too many addresses.
#include <gmock/gmock.h>

#include "base/limits/gateway.h"
#include "gateway/testing/gateway_fixture.h"
#include "net/connection.h"

namespace hexr::gateway {
namespace {

using ledger::RecordKind;
using runtime::UniqueFd;
using std::chrono::milliseconds;
using testing::AgentNet;
using ::testing::AnyOf;
using testing::GatewayFixture;
using testing::MakeInstanceId;
using ::testing::StartsWith;
using testing::TestServer;

constexpr milliseconds kSoon{30};

struct Late : GatewayFixture {
  AgentNet net = AgentNet::Make({{false, 53}, {false, 443}, {false, 15001}});
  TestServer server;

  void Run() {
    const std::string port = std::to_string(server.port());
    Configure("{allow: ['files.test:80', 'files.test:8443', 'many.test:" + port + "', 'two.test:" + port +
              "'], allow_private: ['127.0.0.0/8'], resolve: {files.test: '" + server.place() + "'}}");
    Start();
    ASSERT_TRUE(BringUp(MakeInstanceId(1), {{"dns_tcp", 53}, {"capture", 443}, {"proxy", 15001}}, net).ok());
  }
  UniqueFd Proxy(std::string_view request) {
    UniqueFd agent = net.Connect("127.0.0.1:15001");
    Write(agent.get(), request);
    return agent;
  }
  std::string Connect(const std::string& name) {
    const std::string to = name + ":" + std::to_string(server.port());
    const UniqueFd agent = Proxy("CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\n\r\n");
    return ReadUntil(agent.get(), "\r\n\r\n");
  }
};

TEST_F(Late, TheDeadlinesAreTheBounds) {
  const Deadlines d;
  EXPECT_EQ(d.find_owner, limits::kFindOwnerDeadline);
  EXPECT_EQ(d.request_head, limits::kRequestHeadDeadline);
  EXPECT_EQ(d.keep_alive, limits::kKeepAliveDeadline);
  EXPECT_EQ(d.linger, limits::kLingerDeadline);
  EXPECT_EQ(d.tunnel_idle, limits::kTunnelIdleDeadline);
  EXPECT_EQ(d.dns_idle, limits::kDnsIdleDeadline);
  EXPECT_EQ(d.dial_attempt, limits::kDialAttemptDeadline);
}

TEST_F(Late, HalfAHelloAndNothingAtAll) {
  deadlines.request_head = kSoon;
  Run();
  const UniqueFd tls = net.Connect("198.18.0.9:443");
  Write(tls.get(), std::string_view("\x16\x03\x01\x02", 4));
  EXPECT_THAT(Read(tls.get()), AnyOf("", "!"));
  const UniqueFd silent = Proxy("");
  EXPECT_THAT(Read(silent.get()), AnyOf("", "!"));
  Until([&] { return gateway->connections() == 0; });
  EXPECT_TRUE(records.empty()) << "nothing was asked for";
}

// A request that is never whole is one that somebody tried: refused, and on record like any other.
TEST_F(Late, HalfAHead) {
  deadlines.request_head = kSoon;
  Run();
  const UniqueFd http = Proxy("GET http://files.test/ HT");
  EXPECT_THAT(Read(http.get()), AnyOf("", "!"));
  const auto refused = Records(RecordKind::kDecision, "rule", "request_head");
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_EQ(refused[0].FindString("verdict"), "deny");
  EXPECT_EQ(refused[0].FindString("reason"), "timeout");
  EXPECT_EQ(refused[0].FindString("door"), "proxy_http");
  EXPECT_EQ(records.back().instance, MakeInstanceId(1).value());
}

TEST_F(Late, HalfASecondHeadOfAConnectionThatIsKept) {
  deadlines.keep_alive = kSoon;
  Run();
  const UniqueFd agent = Proxy("GET http://files.test/ HTTP/1.1\r\nHost: files.test\r\n\r\nG");
  const UniqueFd upstream = Accept(server);
  ReadUntil(upstream.get(), "\r\n\r\n");
  Write(upstream.get(), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_THAT(ReadUntil(agent.get(), "\r\n\r\n"), StartsWith("HTTP/1.1 204 "));
  EXPECT_THAT(Read(agent.get()), AnyOf("", "!"));
  EXPECT_EQ(Records(RecordKind::kDecision, "rule", "request_head").size(), 1u);
}

TEST_F(Late, AConnectionThatIsKeptAndNotUsed) {
  deadlines.keep_alive = kSoon;
  Run();
  const UniqueFd agent = Proxy("GET http://files.test/ HTTP/1.1\r\nHost: files.test\r\n\r\n");
  const UniqueFd upstream = Accept(server);
  ReadUntil(upstream.get(), "\r\n\r\n");
  Write(upstream.get(), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_THAT(ReadUntil(agent.get(), "\r\n\r\n"), StartsWith("HTTP/1.1 204 "));
  EXPECT_THAT(Read(agent.get()), AnyOf("", "!"));
  EXPECT_TRUE(Records(RecordKind::kDecision, "verdict", "deny").empty()) << "nothing was asked for";
}

TEST_F(Late, AnAgentThatDoesNotCloseAfterItsLastAnswer) {
  deadlines.linger = kSoon;
  Run();
  const UniqueFd agent = Proxy("nonsense\r\n\r\n");
  EXPECT_THAT(ReadUntil(agent.get(), "\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  Until([&] { return gateway->connections() == 0; });
}

TEST_F(Late, ATunnelInWhichNothingMoves) {
  deadlines.tunnel_idle = kSoon;
  Run();
  const UniqueFd agent = Proxy("CONNECT files.test:8443 HTTP/1.1\r\nHost: files.test:8443\r\n\r\n");
  const UniqueFd upstream = Accept(server);
  EXPECT_THAT(ReadUntil(agent.get(), "\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(Read(agent.get()), "!");
  EXPECT_EQ(Read(upstream.get()), "!") << "neither side takes it for an orderly end";
  EXPECT_EQ(Records(RecordKind::kEgress, "how", "idle").size(), 1u);
}

TEST_F(Late, AnAnswerThatNeverComes) {
  deadlines.tunnel_idle = kSoon;
  Run();
  const UniqueFd agent = Proxy("GET http://files.test/ HTTP/1.1\r\nHost: files.test\r\n\r\n");
  const UniqueFd upstream = Accept(server);
  EXPECT_EQ(Read(agent.get()), "!");
  EXPECT_EQ(Records(RecordKind::kEgress, "how", "idle").size(), 1u);
}

TEST_F(Late, ADnsConnectionThatAsksNothing) {
  deadlines.dns_idle = kSoon;
  Run();
  const UniqueFd agent = net.Connect("198.18.0.53:53");
  EXPECT_THAT(Read(agent.get()), AnyOf("", "!"));
}

TEST_F(Late, ASpawnerThatDoesNotSayWhoseTheConnectionIs) {
  deadlines.find_owner = kSoon;
  owner_silent = true;
  Run();
  const UniqueFd agent = Proxy("CONNECT files.test:8443 HTTP/1.1\r\nHost: files.test:8443\r\n\r\n");
  EXPECT_THAT(ReadUntil(agent.get(), "\r\n\r\n"), StartsWith("HTTP/1.1 200 ")) << "nobody waits for it";
  Until([&] { return gateway->metrics().owners_unknown == 1; });
}

TEST_F(Late, AnAddressThatDoesNotAnswerAndTheNextOneThatDoes) {
  // One place in the queue, and it is taken: the kernel answers nobody else.
  const TestServer full("127.0.0.2", server.port(), 0);
  const UniqueFd taken = net::StartConnect(Bytes{127, 0, 0, 2}, server.port()).value();
  const TestServer open("127.0.0.3", server.port());
  known_names.Set("two.test", {"127.0.0.2", "127.0.0.3"});
  deadlines.dial_attempt = kSoon;
  Run();
  EXPECT_THAT(Connect("two.test"), StartsWith("HTTP/1.1 200 "));
  const auto opened = Records(RecordKind::kEgress, "event", "open");
  ASSERT_EQ(opened.size(), 2u);
  EXPECT_THAT(opened[0].FindString("address").value_or(""), StartsWith("127.0.0.2:"));
  EXPECT_THAT(opened[1].FindString("address").value_or(""), StartsWith("127.0.0.3:"));
}

TEST_F(Late, ANameWithManyAddressesOfWhichNoneAnswers) {
  std::vector<std::string> addresses;
  for (size_t i = 0; i < limits::kMaxDialAttempts + 3; ++i) addresses.push_back("127.0.0." + std::to_string(10 + i));
  known_names.Set("many.test", addresses);
  Run();
  EXPECT_THAT(Connect("many.test"), StartsWith("HTTP/1.1 502 "));
  EXPECT_EQ(Records(RecordKind::kEgress, "event", "open").size(), limits::kMaxDialAttempts);
}

// All in one segment, so that none is answered before the last is read.
TEST_F(Late, MoreDnsQuestionsThanMayWait) {
  Run();
  const std::string question("\0\x1c\0\1\1\0\0\1\0\0\0\0\0\0\5files\4test\0\0\1\0\1", 30);
  ASSERT_EQ(question.size(), 30u);
  constexpr size_t kAsked = limits::kMaxDnsQueriesPending + 44;
  std::string all;
  for (size_t i = 0; i < kAsked; ++i) all += question;
  const UniqueFd agent = net.Connect("198.18.0.53:53");
  Write(agent.get(), all);
  Until([&] { return gateway->metrics().dns_answered + gateway->metrics().dns_dropped == kAsked; });
  EXPECT_EQ(gateway->metrics().dns_answered, limits::kMaxDnsQueriesPending);
}

}  // namespace
}  // namespace hexr::gateway
