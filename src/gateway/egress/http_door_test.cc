#include "gateway/egress/http_door.h"

#include <gmock/gmock.h>
#include <linux/tcp.h>
#include <netinet/in.h>

#include "base/limits/gateway.h"
#include "base/testing/moved_bytes.h"
#include "gateway/testing/gateway_fixture.h"

namespace hexr::gateway {
namespace {

using ledger::RecordKind;
using runtime::UniqueFd;
using testing::AgentNet;
using ::testing::EndsWith;
using testing::GatewayFixture;
using ::testing::HasSubstr;
using testing::MakeInstanceId;
using ::testing::Not;
using ::testing::StartsWith;
using testing::TestServer;

struct HttpDoor : GatewayFixture {
  AgentNet net = AgentNet::Make({{false, 15001}, {false, 80}});
  TestServer server;
  InstanceId id = MakeInstanceId(1);

  void SetUp() override {
    Configure(
        "{allow: ['files.test:80', 'files.test:8443', '*.wild.test:80', 'rebind.test:80', '10.0.0.1:80', "
        "'down.test:80'], resolve: {files.test: '" +
        server.place() + "', down.test: '127.0.0.1:1'}}");
    Start();
    ASSERT_TRUE(BringUp(id, {{"proxy", 15001}, {"capture", 80}}, net).ok());
  }
  UniqueFd Proxy() { return net.Connect("127.0.0.1:15001"); }
  // One exchange over a connection of its own: what the agent gets.
  std::string Ask(const std::string& request) {
    const UniqueFd agent = Proxy();
    Write(agent.get(), request);
    shutdown(agent.get(), SHUT_WR);
    return ReadAll(agent.get());
  }
};

TEST_F(HttpDoor, ConnectIsRelayedUntouchedBothWays) {
  const UniqueFd agent = Proxy();
  Write(agent.get(), "CONNECT files.test:8443 HTTP/1.1\r\nHost: files.test:8443\r\n\r\nearly");
  const UniqueFd upstream = Accept(server);
  EXPECT_THAT(ReadUntil(agent.get(), "\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(Read(upstream.get()), "early");
  Write(upstream.get(), std::string_view("\x00\xff\r\n", 4));
  EXPECT_EQ(Read(agent.get()), std::string("\x00\xff\r\n", 4));
  // Half-close travels.
  shutdown(agent.get(), SHUT_WR);
  EXPECT_EQ(Read(upstream.get()), "");
  Write(upstream.get(), "late");
  shutdown(upstream.get(), SHUT_WR);
  EXPECT_EQ(ReadAll(agent.get()), "late");
  Until([&] { return gateway->connections() == 0; });
  const auto closed = Records(RecordKind::kEgress, "event", "close");
  ASSERT_EQ(closed.size(), 1u);
  EXPECT_EQ(closed[0].FindString("how"), "closed");
  EXPECT_EQ(closed[0].FindInteger("bytes_out"), 5);
  EXPECT_EQ(closed[0].FindInteger("bytes_in"), 8);
  // Decided, opened, closed: in this order.
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0].body.FindString("action"), "CONNECT");
  EXPECT_EQ(records[1].body.FindString("address"), server.place());
}

TEST_F(HttpDoor, MegabytesPassWithASlowReader) {
  const UniqueFd agent = Proxy();
  Write(agent.get(), "CONNECT files.test:8443 HTTP/1.1\r\nHost: files.test:8443\r\n\r\n");
  const UniqueFd upstream = Accept(server);
  ReadUntil(agent.get(), "\r\n\r\n");
  std::string sent(64 << 20, '\0');  // more than both sockets' kernel buffers hold
  for (size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 2654435761u >> 13);
  size_t at = 0, got = 0;
  // The agent does not read: the gateway stops taking, and holds no more than its bound.
  for (int idle = 0; idle < 100;) {
    const ssize_t n = send(upstream.get(), sent.data() + at, sent.size() - at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) at += static_cast<size_t>(n);
    idle = n > 0 ? 0 : idle + 1;
    loop.RunFor(std::chrono::milliseconds(1));
  }
  ASSERT_LT(at, sent.size());
  std::string received;
  Until([&] {
    const ssize_t n = send(upstream.get(), sent.data() + at, sent.size() - at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) at += static_cast<size_t>(n);
    char buffer[65536];
    const ssize_t m = recv(agent.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (m > 0) {
      received.append(buffer, static_cast<size_t>(m));
      got += static_cast<size_t>(m);
    }
    return got == sent.size();
  });
  EXPECT_TRUE(received == sent);
}

TEST_F(HttpDoor, DeniedConnectSaysWhyAndIsNotDialled) {
  const std::string answer = Ask("CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(answer, HasSubstr("application/problem+json"));
  EXPECT_THAT(answer, HasSubstr("\"code\":\"hexr_denied\""));
  EXPECT_THAT(answer, HasSubstr("no rule of egress.allow names evil.example:443"));
  EXPECT_THAT(answer, HasSubstr("\"decision_id\":\"" + records.at(0).call_id));
  EXPECT_TRUE(known_names.asked().empty()) << "a name that is denied is not even resolved";
}

// INV-GW-02
TEST_F(HttpDoor, NothingIsDialledWhoseOpeningCannotBeRecorded) {
  fail_kind = RecordKind::kEgress;
  EXPECT_THAT(Ask("CONNECT files.test:8443 HTTP/1.1\r\nHost: files.test:8443\r\n\r\n"), StartsWith("HTTP/1.1 503 "));
  EXPECT_EQ(Records(RecordKind::kDecision, "verdict", "allow").size(), 1u);
  EXPECT_FALSE(server.TryAccept());
  // Each is its instance's, by the name that the log has for it.
  for (const auto& r : records) EXPECT_FALSE(r.instance.empty());
}

TEST_F(HttpDoor, PlainRequestIsWrittenAnew) {
  const UniqueFd agent = Proxy();
  Write(agent.get(),
        "POST http://files.test/up?key=s3cret HTTP/1.1\r\nHost: other.test\r\nConnection: keep-alive, X-Hop\r\nX-Hop: "
        "1\r\n"
        "Proxy-Authorization: Basic eDp5\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nX-Keep: yes\r\nContent-Length: "
        "5\r\n\r\nhello");
  const UniqueFd upstream = Accept(server);
  const std::string got = ReadUntil(upstream.get(), "hello");
  EXPECT_THAT(got, StartsWith("POST /up?key=s3cret HTTP/1.1\r\nHost: files.test\r\n"));
  EXPECT_THAT(got, HasSubstr("X-Keep: yes\r\n"));
  for (const char* gone : {"X-Hop", "Proxy-Authorization", "Keep-Alive", "Upgrade", "other.test", "keep-alive"}) {
    EXPECT_THAT(got, Not(HasSubstr(gone))) << gone;
  }
  Write(upstream.get(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
        "Connection: X-Secret\r\nX-Secret: 1\r\nX-Ok: 1\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  const std::string answer = ReadUntil(agent.get(), "0\r\n\r\n");
  EXPECT_THAT(answer, HasSubstr("X-Ok: 1\r\n"));
  EXPECT_THAT(answer, HasSubstr("3\r\nabc\r\n0\r\n\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("X-Secret")));
  // The connection stays for the next request, which is decided by itself.
  Write(agent.get(), "GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n");
  EXPECT_THAT(ReadUntil(agent.get(), "}\n"), StartsWith("HTTP/1.1 403 "));
  Write(agent.get(), "GET http://files.test/2 HTTP/1.1\r\nHost: files.test\r\n\r\n");
  const UniqueFd second = Accept(server);
  EXPECT_THAT(ReadUntil(second.get(), "\r\n\r\n"), StartsWith("GET /2 HTTP/1.1"));
  Write(second.get(), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_THAT(ReadUntil(agent.get(), "\r\n\r\n"), StartsWith("HTTP/1.1 204 "));
  for (const auto& entry : records) EXPECT_THAT(wire::ToJson(entry.body), Not(HasSubstr("s3cret")));
}

TEST_F(HttpDoor, PipelinedRequestsAreAnsweredInOrder) {
  const UniqueFd agent = Proxy();
  Write(agent.get(),
        "GET http://files.test/1 HTTP/1.1\r\nHost: a.test\r\n\r\nGET http://files.test/2 HTTP/1.1\r\nHost: "
        "a.test\r\n\r\n");
  for (const char* path : {"/1", "/2"}) {
    const UniqueFd upstream = Accept(server);
    EXPECT_THAT(ReadUntil(upstream.get(), "\r\n\r\n"), StartsWith("GET " + std::string(path) + " "));
    Write(upstream.get(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + std::string(path));
    EXPECT_THAT(ReadUntil(agent.get(), path), EndsWith(path));
  }
}

TEST_F(HttpDoor, BodiesOfEveryKindArrive) {
  const UniqueFd agent = Proxy();
  Write(agent.get(),
        "POST http://files.test/ HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n");
  const UniqueFd upstream = Accept(server);
  EXPECT_THAT(ReadUntil(upstream.get(), "wiki\r\n"), HasSubstr("Transfer-Encoding: chunked"));
  Write(agent.get(), "5\r\npedia\r\n0\r\n\r\n");
  EXPECT_EQ(ReadUntil(upstream.get(), "0\r\n\r\n"), "5\r\npedia\r\n0\r\n\r\n");
  // An answer that ends with its connection.
  Write(upstream.get(), "HTTP/1.0 200 OK\r\n\r\nall of it");
  shutdown(upstream.get(), SHUT_WR);
  EXPECT_THAT(ReadUntil(agent.get(), "0\r\n\r\n"), HasSubstr("9\r\nall of it\r\n"));
  // HEAD has a length and no body.
  Write(agent.get(), "HEAD http://files.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n");
  const UniqueFd head = Accept(server);
  ReadUntil(head.get(), "\r\n\r\n");
  Write(head.get(), "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
  EXPECT_THAT(ReadUntil(agent.get(), "\r\n\r\n"), HasSubstr("Content-Length: 1234"));
}

// Segments with data that have arrived at this end. Our side sends without delay, so that each write is at least one.
uint32_t SegmentsIn(const UniqueFd& fd) {
  tcp_info info{};
  socklen_t n = sizeof info;
  EXPECT_EQ(getsockopt(fd.get(), IPPROTO_TCP, TCP_INFO, &info, &n), 0);
  return info.tcpi_data_segs_in;
}

TEST_F(HttpDoor, WhatATurnMakesIsWrittenOnce) {
  std::string chunks;
  for (int i = 0; i < 200; ++i) chunks += "5\r\nabcde\r\n";
  chunks += "0\r\n\r\n";
  const UniqueFd agent = Proxy();
  Write(agent.get(),
        "POST http://files.test/ HTTP/1.1\r\nHost: files.test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks);
  const UniqueFd upstream = Accept(server);
  EXPECT_THAT(ReadUntil(upstream.get(), "0\r\n\r\n"), EndsWith(chunks));
  EXPECT_LE(SegmentsIn(upstream), 4u);
  Write(upstream.get(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks);
  EXPECT_THAT(ReadUntil(agent.get(), "0\r\n\r\n"), EndsWith(chunks));
  EXPECT_LE(SegmentsIn(agent), 4u);
}

// A turn's inbox may hold thousands of events: each is read where it lies, and what was read is cut off once.
TEST_F(HttpDoor, ManyEventsOfOneTurnCostNoMoreForEach) {
  std::string chunks;
  for (int i = 0; i < 10'000; ++i) chunks += "1\r\nz\r\n";
  chunks += "0\r\n\r\n";
  const UniqueFd agent = Proxy();
  const size_t before = MovedBytes();
  Write(agent.get(),
        "POST http://files.test/ HTTP/1.1\r\nHost: files.test\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks);
  const UniqueFd upstream = Accept(server);
  EXPECT_THAT(ReadUntil(upstream.get(), "0\r\n\r\n"), EndsWith(chunks));
  const size_t moved = MovedBytes() - before;
  EXPECT_LT(moved, 64 * chunks.size());
  EXPECT_TRUE(!kCountsMovedBytes || moved >= chunks.size()) << moved;
}

TEST_F(HttpDoor, ExpectContinueWaitsForTheDestination) {
  const UniqueFd agent = Proxy();
  Write(agent.get(),
        "PUT http://files.test/ HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  const UniqueFd upstream = Accept(server);
  EXPECT_THAT(ReadUntil(upstream.get(), "\r\n\r\n"), HasSubstr("Expect: 100-continue"));
  Write(upstream.get(), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_THAT(ReadUntil(agent.get(), "\r\n\r\n"), StartsWith("HTTP/1.1 100 "));
  Write(agent.get(), "ok");
  EXPECT_EQ(Read(upstream.get()), "ok");
  Write(upstream.get(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  EXPECT_THAT(ReadUntil(agent.get(), "\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
}

// Whatever two readers could cut differently goes nowhere: every case is refused, and the destination sees nothing.
TEST_F(HttpDoor, SmugglingIsRefused) {
  const std::string head = "POST http://files.test/ HTTP/1.1\r\nHost: files.test\r\n";
  for (const std::string& request : {
           head + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
           head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
           head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
           head + "Content-Length : 1\r\n\r\na",
           head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
           head + "X: a\r\n b\r\n\r\n",
           head + "X: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           std::string("GET http://files.test/ HTTP/1.1\nHost: files.test\n\n"),
           std::string("GET http://files.test/ HTTP/1.1\r\nHost: files.test\r\nHost: evil.example\r\n\r\n"),
           std::string("GET http://files.test@evil.example/ HTTP/1.1\r\nHost: files.test\r\n\r\n"),
           std::string("GET http://2130706433/ HTTP/1.1\r\nHost: files.test\r\n\r\n"),
           std::string("GET http://0x7f.1/ HTTP/1.1\r\nHost: files.test\r\n\r\n"),
           std::string("GET /origin HTTP/1.1\r\nHost: files.test\r\n\r\n"),
           std::string("GET https://files.test/ HTTP/1.1\r\nHost: files.test\r\n\r\n"),
           std::string("CONNECT files.test HTTP/1.1\r\nHost: files.test\r\n\r\n"),
           std::string("GET http://files.test/ HTTP/3.0\r\nHost: files.test\r\n\r\n"),
           std::string("\x16\x03\x01\x00\x05hello\r\n\r\n", 14),
       }) {
    const std::string answer = Ask(request);
    EXPECT_THAT(answer, ::testing::AnyOf(StartsWith("HTTP/1.1 400 "), StartsWith("HTTP/1.1 501 "))) << request;
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n")) << request;
    // Nor does anybody try it unseen.
    ASSERT_FALSE(records.empty());
    EXPECT_EQ(records.back().body.FindString("verdict"), "deny") << request;
    EXPECT_THAT(answer, HasSubstr("\"decision_id\":\"" + records.back().call_id)) << request;
    records.clear();
  }
  EXPECT_FALSE(server.TryAccept());
}

// INV-GW-05 by every way to write a private place.
TEST_F(HttpDoor, PrivatePlacesStayClosed) {
  known_names.Set("a.wild.test", {"127.0.0.1"});
  known_names.Set("b.wild.test", {"10.1.2.3", "169.254.169.254"});
  known_names.Set("c.wild.test", {"::ffff:192.168.0.1"});
  known_names.Set("d.wild.test", {"64:ff9b::7f00:1"});
  for (const char* name : {"a", "b", "c", "d"}) {
    const std::string answer = Ask("GET http://" + std::string(name) + ".wild.test/ HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 403 ")) << name;
    EXPECT_THAT(answer, HasSubstr("egress.allow_private")) << name;
  }
  // Allowed by rule, and private all the same.
  EXPECT_THAT(Ask("GET http://10.0.0.1/ HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(Ask("GET http://169.254.169.254/latest/meta-data HTTP/1.1\r\nHost: x\r\n\r\n"), HasSubstr("metadata"));
  EXPECT_TRUE(Records(RecordKind::kEgress, "event", "open").empty()) << "nothing was dialled";
}

TEST_F(HttpDoor, WhatIsResolvedOnceIsDialled) {
  // A name that resolves to a public address first and to loopback a moment later: it is asked once only.
  known_names.Set("rebind.test", {"93.184.216.34"});
  const UniqueFd agent = Proxy();
  Write(agent.get(), "GET http://rebind.test/ HTTP/1.1\r\nHost: x\r\n\r\n");
  Until([&] { return !Records(RecordKind::kEgress, "event", "open").empty(); });
  known_names.Set("rebind.test", {"127.0.0.1"});
  EXPECT_EQ(Records(RecordKind::kEgress, "event", "open")[0].FindString("address"), "93.184.216.34:80");
  EXPECT_EQ(known_names.asked().size(), 1u);
}

TEST_F(HttpDoor, DestinationsThatFailAreNotDenials) {
  EXPECT_THAT(Ask("GET http://nowhere.wild.test/ HTTP/1.1\r\nHost: x\r\n\r\n"), HasSubstr("does not resolve"));
  const std::string down = Ask("GET http://down.test/ HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(down, StartsWith("HTTP/1.1 502 "));
  EXPECT_THAT(down, HasSubstr("hexr_upstream"));
  EXPECT_THAT(down, HasSubstr("Connection refused"));
}

TEST_F(HttpDoor, HalfAnAnswerIsNeverTakenForAWhole) {
  const UniqueFd agent = Proxy();
  Write(agent.get(), "GET http://files.test/ HTTP/1.1\r\nHost: x\r\n\r\n");
  UniqueFd upstream = Accept(server);
  ReadUntil(upstream.get(), "\r\n\r\n");
  Write(upstream.get(), "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  ReadUntil(agent.get(), "half");
  upstream.reset();
  EXPECT_EQ(Read(agent.get()), "!") << "a reset, no orderly end";
  // Before the head: a proper answer.
  const UniqueFd other = Proxy();
  Write(other.get(), "GET http://files.test/ HTTP/1.1\r\nHost: x\r\n\r\n");
  UniqueFd silent = Accept(server);
  ReadUntil(silent.get(), "\r\n\r\n");
  silent.reset();
  EXPECT_THAT(ReadUntil(other.get(), "}\n"), StartsWith("HTTP/1.1 502 "));
}

TEST_F(HttpDoor, AnAnswerBeforeTheWholeRequestEndsTheConnection) {
  const UniqueFd agent = Proxy();
  Write(agent.get(), "POST http://files.test/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\npart");
  const UniqueFd upstream = Accept(server);
  ReadUntil(upstream.get(), "part");
  Write(upstream.get(), "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig");
  EXPECT_THAT(ReadAll(agent.get()), EndsWith("big"));
}

TEST_F(HttpDoor, CapturedPort80GoesByItsName) {
  // As DNS would have answered.
  const UniqueFd refused = net.Connect("93.184.216.34:80");
  Write(refused.get(), "GET / HTTP/1.1\r\nHost: files.test\r\n\r\n");
  EXPECT_THAT(ReadUntil(refused.get(), "}\n"),
              HasSubstr("the Host field names files.test:80, but the connection goes to 93.184.216.34:80"));
  const UniqueFd metadata = net.Connect("169.254.169.254:80");
  Write(metadata.get(), "GET /latest/meta-data HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n");
  EXPECT_THAT(ReadUntil(metadata.get(), "}\n"), HasSubstr("cloud metadata"));
  // The address that this name has in this instance, asked for or not: the name in Host vouches for it.
  SyntheticNames names(id);
  const auto addresses = names.Assign(*HostName::Parse("files.test"));
  const UniqueFd agent = net.Connect(addresses->v4.ToString() + ":80");
  Write(agent.get(), "GET /x HTTP/1.1\r\nHost: files.test\r\n\r\n");
  const UniqueFd upstream = Accept(server);
  EXPECT_THAT(ReadUntil(upstream.get(), "\r\n\r\n"), StartsWith("GET /x HTTP/1.1\r\nHost: files.test\r\n"));
  Write(upstream.get(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  EXPECT_THAT(ReadUntil(agent.get(), "ok"), StartsWith("HTTP/1.1 200 OK"));
  // Another name in the next request of the same connection.
  Write(agent.get(), "GET /x HTTP/1.1\r\nHost: a.wild.test\r\n\r\n");
  EXPECT_THAT(ReadUntil(agent.get(), "}\n"), HasSubstr("the Host field names a.wild.test:80"));
}

// INV-GW-04, with the time that it takes in one run's terms: all of it happens before the answer to the keeper.
TEST_F(HttpDoor, QuarantineClosesEverythingAtOnceAndRefusesWithTheReason) {
  std::vector<UniqueFd> agents, upstreams;
  for (int i = 0; i < 20; ++i) {
    agents.push_back(Proxy());
    Write(agents.back().get(), "CONNECT files.test:8443 HTTP/1.1\r\nHost: files.test:8443\r\n\r\n");
    upstreams.push_back(Accept(server));
    ReadUntil(agents.back().get(), "\r\n\r\n");
  }
  runtime::Envelope q;
  q.mutable_quarantine()->set_instance(id.value());
  q.mutable_quarantine()->set_on(true);
  bool acked = false;
  keeper->Call(q, {}, std::chrono::seconds(5), [&](Result<runtime::Message> r) { acked = r.ok(); });
  Until([&] { return acked; });
  char c;
  for (const UniqueFd& a : agents) EXPECT_TRUE(recv(a.get(), &c, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET);
  for (const UniqueFd& u : upstreams) EXPECT_TRUE(recv(u.get(), &c, 1, MSG_DONTWAIT) < 0 && errno == ECONNRESET);
  EXPECT_EQ(Records(RecordKind::kEgress, "how", "quarantined").size(), 20u);
  const std::string refused = Ask("CONNECT files.test:8443 HTTP/1.1\r\nHost: files.test:8443\r\n\r\n");
  EXPECT_THAT(refused, HasSubstr("quarantine"));
  q.mutable_quarantine()->set_on(false);
  ASSERT_TRUE(keeper->Send(q).ok());
  const UniqueFd again = Proxy();
  Write(again.get(), "CONNECT files.test:8443 HTTP/1.1\r\nHost: files.test:8443\r\n\r\n");
  EXPECT_THAT(ReadUntil(again.get(), "\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpDoor, ConnectionsAreBounded) {
  std::vector<UniqueFd> agents;
  for (size_t i = 0; i < limits::kMaxConnectionsPerInstance; ++i) agents.push_back(Proxy());
  Until([&] { return gateway->connections() == limits::kMaxConnectionsPerInstance; });
  const UniqueFd over = Proxy();
  EXPECT_THAT(ReadAll(over.get()), StartsWith("HTTP/1.1 429 "));
  EXPECT_EQ(Records(RecordKind::kDecision, "rule", "connections").at(0).FindString("reason"), "limit");
  agents.clear();
  Until([&] { return gateway->connections() == 0; });
  EXPECT_EQ(gateway->metrics().connections_open, 0u);
}

TEST_F(HttpDoor, HeadsAreBounded) {
  EXPECT_THAT(Ask("GET http://files.test/" + std::string(100'000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n"),
              StartsWith("HTTP/1.1 431 "));
}

TEST_F(HttpDoor, TheProcessIsInTheRecordAndNeverInTheWay) {
  owner.emplace();
  auto& o = *owner->mutable_owner();
  o.set_known(true);
  o.set_pid(77);
  o.set_exe("/usr/bin/curl");
  o.set_exe_sha256(std::string(32, 'x'));
  const UniqueFd agent = Proxy();
  Until([&] { return gateway->metrics().owners_found == 1; });
  Write(agent.get(), "CONNECT files.test:8443 HTTP/1.1\r\nHost: files.test:8443\r\n\r\n");
  ReadUntil(agent.get(), "\r\n\r\n");
  const wire::Json* process = records.at(0).body.Find("process");
  EXPECT_EQ(process->FindInteger("pid"), 77);
  EXPECT_EQ(process->FindString("exe"), "/usr/bin/curl");
  EXPECT_EQ(process->FindBool("registered"), false);
  // Without a spawner the call goes on, and says that it does not know.
  spawner.reset();
  const UniqueFd second = Proxy();
  Write(second.get(), "CONNECT files.test:8443 HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(ReadUntil(second.get(), "\r\n\r\n"), StartsWith("HTTP/1.1 200 "));
  const auto decisions = Records(RecordKind::kDecision);
  EXPECT_EQ(decisions.back().FindString("process"), "unknown");
}

TEST_F(HttpDoor, ADrainLetsExchangesEndAndClosesTheIdle) {
  const UniqueFd idle = Proxy();
  const UniqueFd busy = Proxy();
  Write(busy.get(), "GET http://files.test/ HTTP/1.1\r\nHost: x\r\n\r\n");
  const UniqueFd upstream = Accept(server);
  Until([&] { return gateway->connections() == 2; });
  bool drained = false;
  gateway->Drain(std::chrono::seconds(20), [&] { drained = true; });
  EXPECT_EQ(Read(idle.get()), "!");
  EXPECT_FALSE(drained);
  ReadUntil(upstream.get(), "\r\n\r\n");
  Write(upstream.get(), "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
  EXPECT_THAT(ReadUntil(busy.get(), "done"), EndsWith("done"));
  Until([&] { return drained; });
}

}  // namespace
}  // namespace hexr::gateway
