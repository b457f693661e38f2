#include "net/connection.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <optional>

#include "base/clock.h"
#include "base/random.h"
#include "crypto/authority.h"

namespace hexr::net {
namespace {

using namespace std::chrono_literals;

// What one side has heard.
struct Heard {
  std::string data;
  int ends = 0;
  int established = 0;
  int drained = 0;
  int finished = 0;
  std::optional<Error> error;

  Connection::Handlers Handlers() {
    return {.on_data = [this](ByteView bytes) { data.append(AsText(bytes)); },
            .on_end = [this] { ++ends; },
            .on_established = [this] { ++established; },
            .on_drained = [this] { ++drained; },
            .on_finished = [this] { ++finished; },
            .on_error = [this](const Error& e) { error = e; }};
  }
};

class ConnectionTest : public ::testing::Test {
 protected:
  ConnectionTest() {
    int pair[2];
    HEXR_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    ours_ = runtime::UniqueFd(pair[0]);
    theirs_ = runtime::UniqueFd(pair[1]);
  }
  template <class F>
  void Until(F done) {
    for (int i = 0; i < 4000 && !done(); ++i) loop_.RunFor(5ms);
    ASSERT_TRUE(done()) << "did not happen";
  }
  // Takes up to `most` bytes off the other end.
  size_t ReadTheirs(size_t most) {
    std::string buffer(most, '\0');
    const ssize_t n = recv(theirs_.get(), buffer.data(), most, MSG_DONTWAIT);
    if (n > 0) taken_.append(buffer, 0, static_cast<size_t>(n));
    return n > 0 ? static_cast<size_t>(n) : 0;
  }
  void Open(size_t max_unsent = limits::kMaxUnsentBytes) {
    connection_ = std::make_unique<Connection>(loop_, std::move(ours_), heard_.Handlers(), nullptr, max_unsent);
  }
  // The kernel takes nothing more, and something is kept.
  void Stuff() {
    while (connection_->buffered() == 0) connection_->Write(std::string(16 * 1024, 's'));
  }

  runtime::Loop loop_;
  runtime::UniqueFd ours_, theirs_;
  Heard heard_;
  std::string taken_;
  std::unique_ptr<Connection> connection_;
};

TEST_F(ConnectionTest, CarriesBytesBothWaysAndCountsThem) {
  Open();
  connection_->Write("to them");
  EXPECT_EQ(connection_->bytes_written(), 7U) << "sent at once";
  ReadTheirs(100);
  EXPECT_EQ(taken_, "to them");
  ASSERT_EQ(send(theirs_.get(), "to us", 5, 0), 5);
  EXPECT_EQ(heard_.data, "") << "never from inside a call";
  Until([&] { return heard_.data == "to us"; });
  EXPECT_EQ(connection_->bytes_read(), 5U);
  theirs_.reset();
  Until([&] { return heard_.ends == 1; });
  loop_.RunReady();
  EXPECT_EQ(heard_.ends, 1);
  EXPECT_FALSE(heard_.error);
}

TEST_F(ConnectionTest, PausesReading) {
  Open();
  connection_->PauseReading(true);
  ASSERT_EQ(send(theirs_.get(), "x", 1, 0), 1);
  for (int i = 0; i < 3; ++i) loop_.RunFor(1ms);
  EXPECT_EQ(heard_.data, "");
  connection_->PauseReading(false);
  Until([&] { return heard_.data == "x"; });
}

TEST_F(ConnectionTest, SaysOnceThatItIsNoLongerCongested) {
  Open();
  while (!connection_->congested()) connection_->Write(std::string(16 * 1024, 's'));
  EXPECT_EQ(heard_.drained, 0);
  Until([&] {
    ReadTheirs(64 * 1024);
    return heard_.drained > 0;
  });
  EXPECT_FALSE(connection_->congested());
  Until([&] {
    ReadTheirs(64 * 1024);
    return connection_->buffered() == 0;
  });
  EXPECT_EQ(heard_.drained, 1);
}

TEST_F(ConnectionTest, BreaksWhenThePeerDoesNotReadAndItsOwnerDoesNotStop) {
  Open();
  Stuff();
  const size_t kept = connection_->buffered();
  connection_->Write(std::string(limits::kMaxUnsentBytes - kept, 'k'));
  EXPECT_EQ(connection_->buffered(), limits::kMaxUnsentBytes);
  connection_->Write("k");
  EXPECT_FALSE(heard_.error) << "never from inside a call";
  Until([&] { return heard_.error.has_value(); });
  EXPECT_EQ(heard_.error->code(), ErrorCode::kResourceExhausted);
}

TEST_F(ConnectionTest, TheBoundIsItsOwners) {
  Open(1024);
  Stuff();
  Until([&] { return heard_.error.has_value(); });
  EXPECT_EQ(heard_.error->code(), ErrorCode::kResourceExhausted);
}

// INV-NET-04: a peer that reads slowly but always, so that the buffer never runs empty.
TEST_F(ConnectionTest, ASlowPeerCostsNoMoreMemoryThanItsBound) {
  const int small = 16 * 1024;  // the kernel takes less at a time than is kept
  ASSERT_EQ(setsockopt(ours_.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
  Open();
  Stuff();
  size_t most = 0;
  while (connection_->bytes_written() < 8 * 1024 * 1024) {
    while (!connection_->congested()) connection_->Write(std::string(32 * 1024, 'w'));
    ReadTheirs(32 * 1024);
    loop_.RunReady();
    ASSERT_GT(connection_->buffered(), 0U);
    most = std::max(most, connection_->memory());
  }
  EXPECT_LE(most, 2 * limits::kMaxUnsentBytes);
}

// INV-NET-04: thousands of quiet connections cost next to nothing, whatever each has sent before.
TEST_F(ConnectionTest, WhatIsAllSentIsNotKept) {
  Open();
  Stuff();
  connection_->Write(std::string(limits::kMaxUnsentBytes / 2, 'w'));
  EXPECT_GT(connection_->memory(), limits::kMaxUnsentBytes / 2);
  Until([&] {
    ReadTheirs(64 * 1024);
    return connection_->buffered() == 0;
  });
  EXPECT_LE(connection_->memory(), 4096U);
}

TEST_F(ConnectionTest, FinishesOnceAllIsSent) {
  Open();
  Stuff();
  const size_t kept = connection_->buffered();
  connection_->Finish();
  connection_->Write("after the end");
  EXPECT_EQ(connection_->buffered(), kept) << "nothing is written after Finish";
  for (int i = 0; i < 3; ++i) loop_.RunFor(1ms);
  EXPECT_EQ(heard_.finished, 0);
  Until([&] {
    ReadTheirs(64 * 1024);
    return heard_.finished == 1;
  });
  EXPECT_EQ(taken_.find_first_not_of('s'), std::string::npos);
  ASSERT_EQ(send(theirs_.get(), "still", 5, 0), 5) << "a half close";
  Until([&] { return heard_.data == "still"; });
}

TEST_F(ConnectionTest, FinishesWithNothingLeftToo) {
  Open();
  connection_->Finish();
  EXPECT_EQ(heard_.finished, 0) << "never from inside a call";
  char byte = 0;
  EXPECT_EQ(recv(theirs_.get(), &byte, 1, MSG_DONTWAIT), 0) << "but closed at once";
  Until([&] { return heard_.finished == 1; });
  connection_->Finish();
  loop_.RunReady();
  EXPECT_EQ(heard_.finished, 1);
}

TEST_F(ConnectionTest, GivesItsSocketAway) {
  Open();
  Stuff();
  const std::string unsent = connection_->TakeUnsent();
  EXPECT_GT(unsent.size(), 0U);
  EXPECT_EQ(connection_->buffered(), 0U);
  connection_->Finish();  // what was on its way does not come after this
  const runtime::UniqueFd socket = connection_->Release();
  EXPECT_TRUE(socket);
  connection_->Write("nobody");
  connection_->PauseReading(true);
  loop_.RunReady();
  EXPECT_EQ(heard_.finished, 0);
  EXPECT_FALSE(connection_->Release());
}

TEST_F(ConnectionTest, SaysThatTheOtherSideBroke) {
  Open();
  theirs_.reset();
  connection_->Write("x");  // EPIPE, at once
  EXPECT_FALSE(heard_.error) << "never from inside a call";
  Until([&] { return heard_.error.has_value(); });
  EXPECT_EQ(heard_.ends, 0) << "nothing more is read";
}

TEST_F(ConnectionTest, MayBeDestroyedByEveryHandler) {
  const auto drop = [this] { connection_.reset(); };
  for (int which = 0; which < 5; ++which) {
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    theirs_ = runtime::UniqueFd(pair[1]);
    Connection::Handlers h = heard_.Handlers();
    if (which == 0) h.on_data = [&](ByteView) { drop(); };
    if (which == 1) h.on_end = drop;
    if (which == 2) h.on_drained = drop;
    if (which == 3) h.on_finished = drop;
    if (which == 4) h.on_error = [&](const Error&) { drop(); };
    connection_ = std::make_unique<Connection>(loop_, runtime::UniqueFd(pair[0]), std::move(h));
    switch (which) {
      case 0: EXPECT_EQ(send(theirs_.get(), "x", 1, 0), 1); break;
      case 1: theirs_.reset(); break;
      case 2:
        while (!connection_->congested()) connection_->Write(std::string(16 * 1024, 's'));
        break;
      case 3: connection_->Finish(); break;
      default: theirs_.reset(); connection_->Write("x");
    }
    Until([&] {
      if (theirs_) ReadTheirs(64 * 1024);
      return connection_ == nullptr;
    });
  }
}

// Both ends on this loop, under TLS.
class TlsConnectionTest : public ConnectionTest {
 protected:
  TlsConnectionTest() {
    SystemRandom random;
    const WallTime now = SystemClock().Wall();
    const auto ca =
        crypto::CertificateAuthority::CreateRoot(TrustDomain::Parse("example.org").value(),
                                                 crypto::PrivateKey::Generate(crypto::KeyType::kP256), now, 24h, random)
            .value();
    auto key = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
    auto leaf = ca.IssueSvid({SpiffeId::Parse("spiffe://example.org/web").value(), key.public_key(), 1h, {"a.test"}},
                             now, random)
                    .value();
    server_tls_ = wire::TlsContext::ForServer({.identity = {{leaf}, key},
                                               .alpn = {},
                                               .client_certificate = wire::TlsClientCertificate::kNone,
                                               .verifier = {}})
                      .value();
    client_tls_ = wire::TlsContext::ForClient(
                      {.alpn = {}, .identity = nullptr, .verifier = {}, .roots_pem = ca.certificate().ToPem()})
                      .value();
  }
  void OpenClient(std::string_view name = "a.test") {
    connection_ = std::make_unique<Connection>(loop_, std::move(ours_), heard_.Handlers(),
                                               wire::TlsSession::Connect(client_tls_, name).value());
  }
  void OpenServer() {
    server_ = std::make_unique<Connection>(loop_, std::move(theirs_), server_heard_.Handlers(),
                                           wire::TlsSession::Accept(server_tls_).value());
  }

  std::shared_ptr<const wire::TlsContext> server_tls_, client_tls_;
  Heard server_heard_;
  std::unique_ptr<Connection> server_;
};

TEST_F(TlsConnectionTest, CarriesWhatWasWrittenBeforeTheHandshakeAndFinishes) {
  OpenClient();
  connection_->Write("early");
  connection_->Finish();
  OpenServer();
  Until([&] { return server_heard_.ends == 1; });
  EXPECT_EQ(server_heard_.data, "early");
  EXPECT_EQ(server_heard_.established, 1);
  const std::string answer(100'000, 'a');
  server_->Write(answer);
  server_->Finish();
  Until([&] { return heard_.ends == 1 && server_heard_.finished == 1; });
  EXPECT_EQ(heard_.data, answer);
  EXPECT_EQ(heard_.finished, 1);
  EXPECT_FALSE(heard_.error || server_heard_.error);
}

TEST_F(TlsConnectionTest, PushesBack) {
  OpenClient();
  OpenServer();
  Until([&] { return heard_.established + server_heard_.established == 2; });
  server_->PauseReading(true);
  while (!connection_->congested()) connection_->Write(std::string(16 * 1024, 's'));
  EXPECT_EQ(heard_.drained, 0);
  server_->PauseReading(false);
  Until([&] { return heard_.drained == 1 && connection_->buffered() == 0; });
  EXPECT_FALSE(heard_.error);
}

TEST_F(TlsConnectionTest, BoundsWhatIsWrittenBeforeTheHandshake) {
  OpenClient();
  connection_->Write(std::string(limits::kMaxUnsentBytes, 'e'));
  EXPECT_FALSE(heard_.error);
  connection_->Write(std::string(limits::kMaxUnsentBytes, 'e'));
  Until([&] { return heard_.error.has_value(); });
  EXPECT_EQ(heard_.error->code(), ErrorCode::kResourceExhausted);
}

// What a peer's handshake makes us say is kept for it like anything else: here it reads none of it.
TEST_F(TlsConnectionTest, BoundsTheAnswersToAHandshakeThatNobodyReads) {
  const std::string stuff(16 * 1024, 's');
  while (send(theirs_.get(), stuff.data(), stuff.size(), MSG_NOSIGNAL) > 0) {
  }
  std::string hello;
  wire::TlsSession::Connect(client_tls_, "a.test").value()->TakeOutput(hello);
  server_ = std::make_unique<Connection>(loop_, std::move(theirs_), server_heard_.Handlers(),
                                         wire::TlsSession::Accept(server_tls_).value(), /*max_unsent=*/64);
  ASSERT_EQ(send(ours_.get(), hello.data(), hello.size(), MSG_NOSIGNAL), static_cast<ssize_t>(hello.size()));
  Until([&] { return server_heard_.error.has_value(); });
  EXPECT_EQ(server_heard_.error->code(), ErrorCode::kResourceExhausted);
}

TEST_F(TlsConnectionTest, WhatWasCongestedBeforeTheHandshakeDrainsAfterIt) {
  OpenClient();
  connection_->Write(std::string(100 * 1024, 'e'));
  ASSERT_TRUE(connection_->congested());
  OpenServer();
  Until([&] { return heard_.drained == 1; });
}

TEST_F(TlsConnectionTest, AnEndWithoutCloseNotifyIsAnError) {
  OpenClient();
  OpenServer();
  Until([&] { return heard_.established + server_heard_.established == 2; });
  connection_->Write("half a mess");
  Until([&] { return !server_heard_.data.empty(); });
  connection_->Close();
  Until([&] { return server_heard_.error.has_value(); });
  EXPECT_EQ(server_heard_.ends, 0);
}

TEST_F(TlsConnectionTest, TellsBothSidesThatTheNameIsWrong) {
  OpenClient("b.test");
  OpenServer();
  Until([&] { return heard_.error && server_heard_.error; });
  EXPECT_EQ(heard_.error->code(), ErrorCode::kUnauthenticated);
  EXPECT_EQ(server_heard_.error->message().find("cut off"), std::string::npos) << "the alert arrived";
}

}  // namespace
}  // namespace hexr::net
