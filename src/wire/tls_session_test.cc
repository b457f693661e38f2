#include "wire/tls_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/limits/keys.h"
#include "base/limits/tls_dns.h"
#include "base/random.h"
#include "crypto/authority.h"
#include "wire/client_hello.h"

namespace hexr::wire {
namespace {

using namespace std::chrono_literals;

class Tls : public ::testing::Test {
 protected:
  TlsIdentity Identity(const char* path, std::vector<std::string> dns_names = {}) {
    auto key = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
    auto leaf = ca.IssueSvid({SpiffeId::Parse(std::string("spiffe://example.org") + path).value(), key.public_key(), 1h,
                              std::move(dns_names)},
                             clock.Wall(), random);
    EXPECT_TRUE(leaf.ok()) << leaf.error().ToString();
    return {{std::move(leaf).value()}, std::move(key)};
  }
  // Checks that the chain is the authority's and remembers whose it is.
  TlsVerifier Verifier(std::vector<std::string>* seen) {
    return [this, seen](const TlsPeerChain& chain) -> Status {
      ASSIGN_OR_RETURN(const auto leaf, crypto::Certificate::Parse(chain.der.at(0)));
      if (!leaf.IsSignedBy(ca.key().public_key())) return PermissionDenied("not one of ours");
      seen->push_back(leaf.uris().at(0));
      return Ok();
    };
  }
  TlsContext::Server ServerOptions() {
    return {.identity = Identity("/server", {"server.test"}),
            .alpn = {},
            .client_certificate = TlsClientCertificate::kNone,
            .verifier = {}};
  }

  // Moves bytes both ways until nothing moves; the first error of either side.
  static Status Pump(TlsSession& a, TlsSession& b, size_t piece = 100'000) {
    Status first;
    for (bool moved = true; moved;) {
      moved = false;
      for (auto [from, to] : {std::pair(&a, &b), std::pair(&b, &a)}) {
        std::string bytes;
        from->TakeOutput(bytes);
        for (size_t at = 0; at < bytes.size(); at += piece) {
          moved = true;
          Status s = to->Feed(AsBytes(std::string_view(bytes).substr(at, piece)));
          if (!s.ok() && first.ok()) first = s;
        }
      }
    }
    return first;
  }

  SystemClock clock;
  SystemRandom random;
  crypto::CertificateAuthority ca =
      crypto::CertificateAuthority::CreateRoot(TrustDomain::Parse("example.org").value(),
                                               crypto::PrivateKey::Generate(crypto::KeyType::kP256),
                                               SystemClock().Wall(), 24h, random)
          .value();
};

// What a peer may make us keep before it has proved anything.
TEST_F(Tls, AChainThatIsTooLargeEndsTheHandshake) {
  auto options = ServerOptions();
  const std::string label(60, 'a');
  const std::vector<std::string> long_names(limits::kMaxCertificateNames - 1,
                                            label + "." + label + "." + label + ".server.test");
  TlsIdentity identity = Identity("/server", long_names);
  const size_t certificates = limits::kMaxTlsChainBytes / identity.chain[0].der().size() + 1;
  ASSERT_LT(certificates, limits::kMaxChainCertificates) << "the bound on their number is another one";
  identity.chain.resize(certificates, identity.chain[0]);
  options.identity = std::move(identity);
  auto server = TlsSession::Accept(TlsContext::ForServer(std::move(options)).value()).value();
  bool asked = false;
  const auto verifier = [&](const TlsPeerChain&) {
    asked = true;
    return Ok();
  };
  auto client =
      TlsSession::Connect(TlsContext::ForClient({.alpn = {}, .identity = nullptr, .verifier = verifier}).value(),
                          "server.test")
          .value();
  EXPECT_FALSE(Pump(*client, *server).ok());
  EXPECT_FALSE(client->established());
  EXPECT_FALSE(asked);
}

TEST_F(Tls, ProvesBothSidesAndCarriesBytes) {
  std::vector<std::string> seen_by_server;
  std::vector<std::string> seen_by_client;
  auto options = ServerOptions();
  options.alpn = {"h2", "http/1.1"};
  options.client_certificate = TlsClientCertificate::kRequire;
  options.verifier = Verifier(&seen_by_server);
  auto server = TlsSession::Accept(TlsContext::ForServer(std::move(options)).value()).value();
  auto client =
      TlsSession::Connect(TlsContext::ForClient({.alpn = {"http/1.1", "h2"},
                                                 .identity = std::make_shared<const TlsIdentity>(Identity("/client")),
                                                 .verifier = Verifier(&seen_by_client),
                                                 .roots_pem = {}})
                              .value(),
                          "server.test")
          .value();
  EXPECT_FALSE(client->Write(AsBytes("early")).ok());
  ASSERT_TRUE(Pump(*client, *server, 7).ok());
  ASSERT_TRUE(client->established() && server->established());
  EXPECT_EQ(server->version(), "TLSv1.3");
  EXPECT_EQ(client->alpn(), "h2") << "the server's preference";
  EXPECT_EQ(server->server_name(), "server.test");
  EXPECT_EQ(seen_by_server, std::vector<std::string>{"spiffe://example.org/client"});
  EXPECT_EQ(seen_by_client, std::vector<std::string>{"spiffe://example.org/server"});
  EXPECT_EQ(server->peer_chain().der.size(), 1U);

  const std::string large(1'000'000, 'x');
  ASSERT_TRUE(client->Write(AsBytes(large)).ok());
  EXPECT_GT(client->PendingOutput(), large.size());
  ASSERT_TRUE(Pump(*client, *server).ok());
  std::string got;
  EXPECT_EQ(server->Read(got, 1000).value(), 1000U) << "no more than asked for";
  EXPECT_EQ(server->Read(got, SIZE_MAX).value(), large.size() - 1000);
  EXPECT_EQ(got, large);

  EXPECT_FALSE(server->peer_closed());
  client->Close();
  EXPECT_FALSE(client->Write(AsBytes("late")).ok());
  ASSERT_TRUE(Pump(*client, *server).ok());
  EXPECT_EQ(server->Read(got, 10).value(), 0U);
  EXPECT_TRUE(server->peer_closed());
}

TEST_F(Tls, FollowsTheVerifier) {
  std::vector<std::string> ignored;
  auto options = ServerOptions();
  options.client_certificate = TlsClientCertificate::kRequire;
  options.verifier = [](const TlsPeerChain&) -> Status { return PermissionDenied("client is not welcome"); };
  const auto context = TlsContext::ForServer(std::move(options)).value();
  const auto connect = [&](std::shared_ptr<const TlsIdentity> identity, TlsVerifier verifier) {
    auto server = TlsSession::Accept(context).value();
    auto client =
        TlsSession::Connect(
            TlsContext::ForClient(
                {.alpn = {}, .identity = std::move(identity), .verifier = std::move(verifier), .roots_pem = {}})
                .value(),
            "")
            .value();
    const Status status = Pump(*client, *server);
    EXPECT_FALSE(server->established());
    std::string out;
    EXPECT_FALSE(server->Read(out, 10).ok());
    return status;
  };
  const auto mine = std::make_shared<const TlsIdentity>(Identity("/client"));
  const Status refused = connect(mine, Verifier(&ignored));
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnauthenticated);
  EXPECT_THAT(refused.error().message(), ::testing::HasSubstr("client is not welcome"));
  EXPECT_FALSE(connect(nullptr, Verifier(&ignored)).ok()) << "required, and not shown";
  const Status not_server =
      connect(mine, [](const TlsPeerChain&) -> Status { return PermissionDenied("wrong server"); });
  EXPECT_THAT(not_server.error().message(), ::testing::HasSubstr("wrong server"));
}

TEST_F(Tls, ARequestedCertificateMayBeMissing) {
  std::vector<std::string> seen;
  auto options = ServerOptions();
  options.client_certificate = TlsClientCertificate::kRequest;
  options.verifier = Verifier(&seen);
  auto server = TlsSession::Accept(TlsContext::ForServer(std::move(options)).value()).value();
  auto client =
      TlsSession::Connect(
          TlsContext::ForClient({.alpn = {}, .identity = nullptr, .verifier = Verifier(&seen), .roots_pem = {}})
              .value(),
          "")
          .value();
  ASSERT_TRUE(Pump(*client, *server).ok());
  EXPECT_TRUE(server->peer_chain().der.empty());
}

TEST_F(Tls, ChecksNamesByTheRulesOfTheWeb) {
  const auto context = TlsContext::ForServer(ServerOptions()).value();
  const auto attempt = [&](const std::string& roots, std::string_view name) {
    auto server = TlsSession::Accept(context).value();
    auto client =
        TlsSession::Connect(
            TlsContext::ForClient({.alpn = {}, .identity = nullptr, .verifier = {}, .roots_pem = roots}).value(), name)
            .value();
    return Pump(*client, *server);
  };
  const std::string roots = ca.certificate().ToPem();
  EXPECT_TRUE(attempt(roots, "server.test").ok());
  EXPECT_EQ(attempt(roots, "other.test").error().code(), ErrorCode::kUnauthenticated);
  EXPECT_FALSE(attempt(roots, "127.0.0.1").ok());
  EXPECT_FALSE(attempt("", "server.test").ok()) << "the system does not know this root";
  const auto other = crypto::CertificateAuthority::CreateRoot(TrustDomain::Parse("example.org").value(),
                                                              crypto::PrivateKey::Generate(crypto::KeyType::kP256),
                                                              clock.Wall(), 1h, random)
                         .value();
  EXPECT_FALSE(attempt(other.certificate().ToPem(), "server.test").ok());
  EXPECT_FALSE(TlsSession::Connect(TlsContext::ForClient({}).value(), "").ok()) << "nothing to check against";
}

TEST_F(Tls, RefusesProtocolsThatItDoesNotSpeak) {
  std::vector<std::string> seen;
  auto options = ServerOptions();
  options.alpn = {"h2"};
  const auto context = TlsContext::ForServer(std::move(options)).value();
  const auto attempt = [&](std::vector<std::string> alpn) {
    auto server = TlsSession::Accept(context).value();
    auto client = TlsSession::Connect(
                      TlsContext::ForClient(
                          {.alpn = std::move(alpn), .identity = nullptr, .verifier = Verifier(&seen), .roots_pem = {}})
                          .value(),
                      "")
                      .value();
    return Pump(*client, *server).ok();
  };
  EXPECT_TRUE(attempt({"h2"}));
  EXPECT_TRUE(attempt({}));
  EXPECT_FALSE(attempt({"http/1.1"}));
}

TEST_F(Tls, NeverResumes) {
  std::vector<std::string> seen;
  const auto server_context = TlsContext::ForServer(ServerOptions()).value();
  const auto client_context =
      TlsContext::ForClient({.alpn = {}, .identity = nullptr, .verifier = Verifier(&seen), .roots_pem = {}}).value();
  for (int i = 0; i < 3; ++i) {
    auto server = TlsSession::Accept(server_context).value();
    auto client = TlsSession::Connect(client_context, "server.test").value();
    ASSERT_TRUE(Pump(*client, *server).ok());
  }
  EXPECT_EQ(seen.size(), 3U) << "every connection is verified";
}

TEST_F(Tls, RefusesGarbageAndOldVersions) {
  const auto context = TlsContext::ForServer(ServerOptions()).value();
  auto server = TlsSession::Accept(context).value();
  const Status status = server->Feed(AsBytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_EQ(status.error().code(), ErrorCode::kUnavailable);
  EXPECT_FALSE(server->Feed(AsBytes("x")).ok()) << "it stays ended";
  // A TLS 1.1 hello: version 0302 and no supported_versions.
  std::string body = "\x03\x02" + std::string(32, 'r') + std::string(1, '\0') + std::string("\0\2\xC0\x13\1\0", 6);
  std::string hello("\x16\x03\x01\0", 4);
  hello += static_cast<char>(body.size() + 4);
  hello += std::string("\1\0\0", 3) + static_cast<char>(body.size()) + body;
  ASSERT_TRUE(ClientHelloReader().Read(AsBytes(hello)).value().has_value());
  auto old = TlsSession::Accept(context).value();
  EXPECT_FALSE(old->Feed(AsBytes(hello)).ok());
  EXPECT_GT(old->PendingOutput(), 0U) << "the alert";
}

TEST_F(Tls, SendsAHelloThatCanBePeeked) {
  std::vector<std::string> seen;
  auto client =
      TlsSession::Connect(
          TlsContext::ForClient({.alpn = {"h2"}, .identity = nullptr, .verifier = Verifier(&seen), .roots_pem = {}})
              .value(),
          "a.test")
          .value();
  std::string out;
  client->TakeOutput(out);
  const auto hello = ClientHelloReader().Read(AsBytes(out)).value().value();
  EXPECT_EQ(hello.server_name, "a.test");
  EXPECT_EQ(hello.alpn, std::vector<std::string>{"h2"});
}

TEST_F(Tls, RefusesContextsThatMakeNoSense) {
  auto options = ServerOptions();
  options.client_certificate = TlsClientCertificate::kRequire;
  EXPECT_FALSE(TlsContext::ForServer(std::move(options)).ok()) << "asking without looking";
  auto mixed = ServerOptions();
  mixed.identity.key = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
  EXPECT_FALSE(TlsContext::ForServer(std::move(mixed)).ok()) << "another certificate's key";
  EXPECT_FALSE(TlsContext::ForClient({.alpn = {""}, .identity = nullptr, .verifier = {}, .roots_pem = {}}).ok());
  EXPECT_FALSE(TlsContext::ForClient({.alpn = {}, .identity = nullptr, .verifier = {}, .roots_pem = "nonsense"}).ok());
}

}  // namespace
}  // namespace hexr::wire
