#include "base/limits/http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "base/limits/net.h"
#include "base/random.h"
#include "base/testing/moved_bytes.h"
#include "crypto/authority.h"
#include "net/connection.h"
#include "net/fetch.h"
#include "net/http_server.h"

namespace hexr::net {
namespace {

using namespace std::chrono_literals;

class Http : public ::testing::Test {
 protected:
  void Start(HttpServerOptions options = {}) {
    auto listener = BindTcp("127.0.0.1", 0).value();
    port_ = LocalPort(listener.get()).value();
    const auto handler = [this](HttpRequest request, std::shared_ptr<HttpResponder> responder) {
      last_ = request;
      const std::string& target = request.head.target;
      if (target == "/stream") {
        responder->Begin(200, {{"Content-Type", "text/plain"}});
        for (int i = 0; i < 3; ++i) responder->Write("piece " + std::to_string(i) + "\n");
        responder->End();
      } else if (target == "/later") {
        held_ = std::move(responder);
      } else if (target == "/large") {
        responder->Send(200, {}, std::string(300'000, 'x'));
      } else if (target != "/drop") {
        responder->Send(200, {{"X-Method", request.head.method}},
                        request.head.method + " " + target + " " + request.body);
      }
    };
    server_ = std::make_unique<HttpServer>(loop_, std::move(listener), handler, std::move(options));
  }
  template <class F>
  void RunUntil(F done) {
    for (int i = 0; i < 1000 && !done(); ++i) loop_.RunFor(5ms);
  }
  FetchRequest Request(const std::string& path, const std::string& scheme = "http") const {
    FetchRequest r;
    r.url = scheme + "://localhost.test:" + std::to_string(port_) + path;
    r.allow_http = scheme == "http";
    r.timeout = 5s;
    r.check_address = [](ByteView) { return Ok(); };
    return r;
  }
  Result<FetchResponse> Fetch(FetchRequest request) {
    std::optional<Result<FetchResponse>> out;
    const auto handle = fetcher_.Fetch(std::move(request), [&out](Result<FetchResponse> r) { out = std::move(r); });
    EXPECT_FALSE(out) << "never from inside the call";
    RunUntil([&] { return out.has_value(); });
    if (!out) return Internal("never answered");
    return std::move(*out);
  }
  // Sends `text` raw and returns all that comes back until the server closes.
  std::string Raw(std::string_view text, bool half_close = false) {
    const auto socket = StartConnect(Bytes{127, 0, 0, 1}, port_).value();
    std::string out;
    bool ended = false;
    bool sent = false;
    RunUntil([&] {
      if (!sent) {
        sent = send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
        if (sent && half_close) shutdown(socket.get(), SHUT_WR);
      }
      char buffer[65536];
      ssize_t n = 0;
      while (sent && (n = recv(socket.get(), buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
        out.append(buffer, static_cast<size_t>(n));
      ended = sent && n == 0;
      return ended;
    });
    EXPECT_TRUE(ended) << "the server closes: " << out.substr(0, 200);
    return out;
  }

  runtime::Loop loop_;
  Resolver resolver_{loop_, 5s, [](const std::string&) -> Result<Addresses> { return Addresses{{127, 0, 0, 1}}; }};
  Fetcher fetcher_{loop_, resolver_};
  uint16_t port_ = 0;
  HttpRequest last_;
  std::shared_ptr<HttpResponder> held_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(Http, AnswersRequests) {
  Start();
  const auto get = Fetch(Request("/a?b"));
  ASSERT_TRUE(get.ok()) << get.error().ToString();
  EXPECT_EQ(get->status, 200);
  EXPECT_EQ(get->body, "GET /a?b ");
  EXPECT_EQ(wire::OnlyField(last_.head.fields, "host"), "localhost.test:" + std::to_string(port_));
  FetchRequest post = Request("/p");
  post.method = "POST";
  post.body = std::string(200'000, 'y');
  EXPECT_EQ(Fetch(post)->body, "POST /p " + post.body);
  FetchRequest head = Request("/h");
  head.method = "HEAD";
  EXPECT_EQ(Fetch(head)->body, "");
  EXPECT_EQ(Fetch(Request("/stream"))->body, "piece 0\npiece 1\npiece 2\n");
  EXPECT_EQ(Fetch(Request("/large"))->body.size(), 300'000U);
  EXPECT_EQ(Fetch(Request("/drop"))->status, 500) << "a responder that is dropped still answers";
}

TEST_F(Http, AnswersLater) {
  Start();
  std::optional<Result<FetchResponse>> out;
  auto handle = fetcher_.Fetch(Request("/later"), [&out](Result<FetchResponse> r) { out = std::move(r); });
  RunUntil([&] { return held_ != nullptr; });
  ASSERT_TRUE(held_ && held_->open());
  held_->Send(200, {}, "at last");
  RunUntil([&] { return out.has_value(); });
  EXPECT_EQ(out->value().body, "at last");
  EXPECT_FALSE(held_->open());
  held_->Send(200, {}, "twice");
}

TEST_F(Http, AResponderOutlivesItsServer) {
  Start();
  auto handle = fetcher_.Fetch(Request("/later"), [](Result<FetchResponse>) {});
  RunUntil([&] { return held_ != nullptr; });
  server_.reset();
  EXPECT_FALSE(held_->open());
  held_->Send(200, {}, "nobody");
  handle.reset();
  loop_.RunFor(1ms);
}

TEST_F(Http, KeepsConnectionsAndTakesPipelines) {
  Start();
  const std::string out =
      Raw("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
          "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /4 HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(out, ::testing::HasSubstr("GET /1 "));
  EXPECT_THAT(out, ::testing::HasSubstr("POST /2 hi"));
  EXPECT_THAT(out, ::testing::HasSubstr("GET /3 "));
  EXPECT_THAT(out, ::testing::Not(::testing::HasSubstr("/4"))) << "closed means closed";
  RunUntil([&] { return server_->connections() == 0; });
  EXPECT_EQ(server_->connections(), 0U);
}

// What a client sends at once may be thousands of chunks: each is read where it lies, and what was read is cut off
// once.
TEST_F(Http, ManyChunksAtOnceCostNoMoreForEach) {
  Start();
  std::string request = "POST /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 10'000; ++i) request += "1\r\nz\r\n";
  const size_t before = MovedBytes();
  EXPECT_THAT(Raw(request + "0\r\n\r\n"), ::testing::HasSubstr("POST /p " + std::string(10'000, 'z')));
  const size_t moved = MovedBytes() - before;
  EXPECT_LT(moved, 32 * request.size());
  EXPECT_TRUE(!kCountsMovedBytes || moved >= request.size()) << moved;
}

TEST_F(Http, AnswersAClientThatHasFinishedSending) {
  Start();
  EXPECT_THAT(Raw("GET /large HTTP/1.1\r\nHost: a\r\n\r\n", true), ::testing::SizeIs(::testing::Gt(300'000U)));
}

TEST_F(Http, RefusesWhatItCannotRead) {
  HttpServerOptions options;
  EXPECT_EQ(options.max_body_bytes, limits::kMaxHttpRequestBytes);
  options.max_body_bytes = 100;
  options.request_timeout = 50ms;
  Start(options);
  EXPECT_THAT(Raw("GET / HTTP/1.1\nHost: a\n\n"), ::testing::StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
              ::testing::StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(Raw("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"),
              ::testing::StartsWith("HTTP/1.1 501 "));
  EXPECT_THAT(Raw("GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(limits::kMaxHttp1HeadBytes, 'x')),
              ::testing::StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(Raw("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n"), ::testing::StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(Raw("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + std::string(255, 'x')),
              ::testing::StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(Raw("GET / HTTP/1.1\r\nHost:"), ::testing::StartsWith("HTTP/1.1 408 ")) << "a slow sender";
  EXPECT_EQ(Raw(""), "") << "an idle connection";
}

// A connection to the server from `source`, until it is taken.
runtime::UniqueFd ConnectFrom(uint32_t source, uint16_t port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(source);
  runtime::UniqueFd out(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(bind(out.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(out.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  return out;
}

bool Ended(const runtime::UniqueFd& fd) {
  char byte = 0;
  const ssize_t n = recv(fd.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK);
  return n == 0 || (n < 0 && errno != EAGAIN);
}

TEST_F(Http, ConnectionsAreBounded) {
  HttpServerOptions options;
  EXPECT_EQ(options.max_connections, limits::kMaxHttpConnections);
  options.max_connections = 2;
  Start(options);
  std::vector<runtime::UniqueFd> clients;
  for (size_t i = 0; i < 3; ++i) {
    clients.push_back(ConnectFrom(INADDR_LOOPBACK + static_cast<uint32_t>(i), port_));
    RunUntil([&] { return server_->connections() == std::min<size_t>(2, clients.size()); });
  }
  RunUntil([&] { return Ended(clients[0]); });
  EXPECT_TRUE(Ended(clients[0])) << "the one that has waited longest gives way";
  EXPECT_FALSE(Ended(clients[1]));
  EXPECT_FALSE(Ended(clients[2]));
  EXPECT_EQ(server_->connections(), 2U);
}

TEST_F(Http, WhoIsBeingAnsweredDoesNotGiveWay) {
  HttpServerOptions options;
  options.max_connections = 1;
  Start(options);
  const auto first = ConnectFrom(INADDR_LOOPBACK, port_);
  constexpr std::string_view kAsk = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
  ASSERT_EQ(send(first.get(), kAsk.data(), kAsk.size(), MSG_NOSIGNAL), static_cast<ssize_t>(kAsk.size()));
  RunUntil([&] { return held_ != nullptr; });
  const auto second = ConnectFrom(INADDR_LOOPBACK, port_);
  RunUntil([&] { return Ended(second); });
  EXPECT_TRUE(Ended(second)) << "closed at once";
  held_->Send(200, {}, "answer");
  char byte = 0;
  ssize_t n = 0;
  RunUntil([&] { return (n = recv(first.get(), &byte, 1, MSG_DONTWAIT)) >= 0; });
  EXPECT_EQ(n, 1) << "and the answer comes";
}

// One source with many connections has its share and no more: the others stay.
TEST_F(Http, EachSourceHasItsShare) {
  HttpServerOptions options;
  EXPECT_EQ(options.max_connections_per_source, limits::kMaxHttpConnectionsPerSource);
  options.max_connections = 10;
  options.max_connections_per_source = 2;
  Start(options);
  const auto other = ConnectFrom(INADDR_LOOPBACK + 1, port_);
  std::vector<runtime::UniqueFd> crowd;
  for (size_t i = 0; i < 6; ++i) {
    crowd.push_back(ConnectFrom(INADDR_LOOPBACK, port_));
    RunUntil([&] { return server_->connections() == 1 + std::min<size_t>(2, crowd.size()); });
  }
  RunUntil([&] { return Ended(crowd[3]); });
  EXPECT_TRUE(Ended(crowd[3]));
  EXPECT_FALSE(Ended(crowd[5]));
  EXPECT_FALSE(Ended(other));
  EXPECT_EQ(server_->connections(), 3U);
  const auto source = [](std::string_view text) { return SourceOf(IpAddress::Parse(text).value()); };
  EXPECT_EQ(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::2"));
  EXPECT_NE(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
  EXPECT_NE(source("192.0.2.1"), source("192.0.2.2"));
  EXPECT_EQ(source("192.0.2.1"), source("::ffff:192.0.2.1"));
}

TEST_F(Http, AConnectionHasSoManyRequestsAndSoLong) {
  HttpServerOptions options;
  EXPECT_EQ(options.max_requests, limits::kMaxHttpRequestsPerConnection);
  EXPECT_EQ(options.max_age, limits::kMaxHttpConnectionAge);
  options.max_requests = 2;
  Start(options);
  const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string answers = Raw(get + get + get);
  EXPECT_EQ(answers.find("Connection: close"), answers.rfind("Connection: close"));
  EXPECT_LT(answers.find("GET / "), answers.find("Connection: close"));
  EXPECT_EQ(std::count(answers.begin(), answers.end(), 'X'), 2) << answers;

  options = {};
  options.max_age = 1ms;
  Start(options);
  const auto old = ConnectFrom(INADDR_LOOPBACK, port_);
  RunUntil([&] { return server_->connections() == 1; });
  loop_.RunFor(20ms);
  ASSERT_EQ(send(old.get(), get.data(), get.size(), MSG_NOSIGNAL), static_cast<ssize_t>(get.size()));
  std::string answer;
  RunUntil([&] {
    char buffer[1024];
    const ssize_t n = recv(old.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n > 0) answer.append(buffer, static_cast<size_t>(n));
    return n == 0;
  });
  EXPECT_THAT(answer, ::testing::HasSubstr("Connection: close\r\n"));
}

// A handler that writes on, whether or not anybody reads.
TEST_F(Http, WhatIsKeptForAClientIsBounded) {
  HttpServerOptions options;
  EXPECT_EQ(options.max_unsent_bytes, limits::kMaxHttpUnsentBytes);
  options.max_unsent_bytes = 1024 * 1024;
  Start(options);
  const auto client = StartConnect(Bytes{127, 0, 0, 1}, port_).value();
  RunUntil([&] { return server_->connections() == 1; });
  constexpr std::string_view kAsk = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
  ASSERT_EQ(send(client.get(), kAsk.data(), kAsk.size(), MSG_NOSIGNAL), static_cast<ssize_t>(kAsk.size()));
  RunUntil([&] { return held_ != nullptr; });
  ASSERT_TRUE(held_);
  held_->Begin(200, {});
  for (int i = 0; i < 64 && held_->open(); ++i) {
    held_->Write(std::string(1024 * 1024, 'x'));
    loop_.RunFor(1ms);
  }
  EXPECT_FALSE(held_->open());
  RunUntil([&] { return server_->connections() == 0; });
  EXPECT_EQ(server_->connections(), 0U);
}

TEST_F(Http, FetchChecksEveryAddress) {
  Start();
  std::vector<Bytes> seen;
  FetchRequest request = Request("/");
  request.check_address = [&seen](ByteView a) -> Status {
    seen.emplace_back(a.begin(), a.end());
    return PermissionDenied("private");
  };
  EXPECT_EQ(Fetch(request).error().code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(seen, (std::vector<Bytes>{{127, 0, 0, 1}}));
  EXPECT_EQ(last_.head.target, "") << "nothing was dialled";
  request.check_address = nullptr;
  EXPECT_EQ(Fetch(request).error().code(), ErrorCode::kInvalidArgument);
}

TEST_F(Http, FetchHoldsItsBounds) {
  Start();
  FetchRequest large = Request("/large");
  EXPECT_EQ(large.max_bytes, limits::kMaxFetchBytes);
  large.max_bytes = 299'999;
  EXPECT_EQ(Fetch(large).error().code(), ErrorCode::kResourceExhausted);
  FetchRequest slow = Request("/later");
  slow.timeout = 30ms;
  EXPECT_EQ(Fetch(slow).error().code(), ErrorCode::kDeadlineExceeded);
  FetchRequest plain = Request("/");
  plain.allow_http = false;
  EXPECT_EQ(Fetch(plain).error().code(), ErrorCode::kInvalidArgument);
  for (const char* url : {"", "/path", "ftp://a/", "http://u:p@a/", "http://a b/"}) {
    FetchRequest bad = Request("/");
    bad.url = url;
    EXPECT_EQ(Fetch(bad).error().code(), ErrorCode::kInvalidArgument) << url;
  }
  const uint16_t port = port_;
  server_.reset();
  FetchRequest refused = Request("/");
  refused.url = "http://x.test:" + std::to_string(port) + "/";
  EXPECT_EQ(Fetch(refused).error().code(), ErrorCode::kUnavailable);
}

TEST_F(Http, FetchGoesAwayWithItsHandle) {
  Start();
  bool ran = false;
  auto handle = fetcher_.Fetch(Request("/later"), [&ran](Result<FetchResponse>) { ran = true; });
  RunUntil([&] { return held_ != nullptr; });
  handle.reset();
  held_->Send(200, {}, "late");
  RunUntil([&] { return server_->connections() == 0; });
  EXPECT_FALSE(ran);
}

TEST_F(Http, SpeaksTls) {
  SystemRandom random;
  const WallTime now = SystemClock().Wall();
  const auto ca =
      crypto::CertificateAuthority::CreateRoot(TrustDomain::Parse("example.org").value(),
                                               crypto::PrivateKey::Generate(crypto::KeyType::kP256), now, 24h, random)
          .value();
  auto key = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
  auto leaf =
      ca.IssueSvid({SpiffeId::Parse("spiffe://example.org/web").value(), key.public_key(), 1h, {"localhost.test"}}, now,
                   random)
          .value();
  HttpServerOptions options;
  options.tls = wire::TlsContext::ForServer({.identity = {{leaf}, key},
                                             .alpn = {"http/1.1"},
                                             .client_certificate = wire::TlsClientCertificate::kNone,
                                             .verifier = {}})
                    .value();
  Start(options);
  FetchRequest request = Request("/large", "https");
  EXPECT_EQ(Fetch(request).error().code(), ErrorCode::kUnauthenticated) << "the system does not know this root";
  request.tls = wire::TlsContext::ForClient(
                    {.alpn = {"http/1.1"}, .identity = nullptr, .verifier = {}, .roots_pem = ca.certificate().ToPem()})
                    .value();
  const auto answer = Fetch(request);
  ASSERT_TRUE(answer.ok()) << answer.error().ToString();
  EXPECT_EQ(answer->body.size(), 300'000U);
  request.url = "https://other.test:" + std::to_string(port_) + "/";
  EXPECT_EQ(Fetch(request).error().code(), ErrorCode::kUnauthenticated) << "another name";
}

}  // namespace
}  // namespace hexr::net
