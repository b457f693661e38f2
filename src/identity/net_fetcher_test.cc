// Federation over real TLS on the loop: the endpoint of one trust domain, the client of another.
#include "identity/net_fetcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "crypto/authority.h"
#include "identity/federation.h"
#include "identity/public_documents.h"
#include "net/http_server.h"

namespace hexr::identity {
namespace {

using ::testing::HasSubstr;

const TrustDomain kOurs = *TrustDomain::Parse("example.org");
const TrustDomain kTheirs = *TrustDomain::Parse("other.org");

class NetFetcherTest : public ::testing::Test {
 protected:
  NetFetcherTest() {
    their_bundle_.x509_authorities = {ca_.certificate()};
    EXPECT_TRUE(theirs_.SetOwn(their_bundle_).ok());
    const SpiffeId id = BundleEndpointId(kTheirs);
    const crypto::PrivateKey key = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
    const auto leaf = *ca_.IssueSvid({id, key.public_key(), std::chrono::hours(1)}, clock_.Wall(), random_);
    net::HttpServerOptions options;
    options.tls = *wire::TlsContext::ForServer({{{leaf}, key}, {"http/1.1"}, wire::TlsClientCertificate::kNone, {}});
    runtime::UniqueFd socket = *net::BindTcp("127.0.0.1", 0);
    url_ = "https://127.0.0.1:" + std::to_string(*net::LocalPort(socket.get())) + "/";
    const auto handler = [this](net::HttpRequest request, std::shared_ptr<net::HttpResponder> responder) {
      const PublicDocument document = PublicDocuments(theirs_, "").Answer(request.head.method, request.head.target);
      responder->Send(document.status, {{"content-type", document.content_type}}, document.body);
    };
    server_ = std::make_unique<net::HttpServer>(loop_, std::move(socket), handler, options);
  }
  // Asks once and waits for the end of it.
  FederationState Ask(const SpiffeId& endpoint) {
    Federation federation(ours_, clock_, fetcher_);
    EXPECT_TRUE(federation.Add({kTheirs, url_, endpoint, their_bundle_, ""}).ok());
    federation.Tick();
    for (int i = 0; i < 1000 && fetcher_.running() > 0; ++i) loop_.RunFor(std::chrono::milliseconds(10));
    EXPECT_EQ(fetcher_.running(), 0U);
    return federation.States().at(0);
  }

  SystemClock clock_;
  SystemRandom random_;
  runtime::Loop loop_;
  crypto::CertificateAuthority ca_ = *crypto::CertificateAuthority::CreateRoot(
      kTheirs, crypto::PrivateKey::Generate(crypto::KeyType::kP256), clock_.Wall(), std::chrono::hours(24), random_);
  TrustBundle their_bundle_{kTheirs};
  BundleSet theirs_{kTheirs, [] {}}, ours_{kOurs, [] {}};
  std::string url_;
  std::unique_ptr<net::HttpServer> server_;
  net::Resolver resolver_{loop_};
  net::Fetcher net_{loop_, resolver_};
  Status check_ = Ok();
  NetFetcher fetcher_{net_, [this](ByteView) { return check_; }};
};

TEST_F(NetFetcherTest, TheConfiguredServerIsBelieved) {
  const FederationState state = Ask(BundleEndpointId(kTheirs));
  EXPECT_EQ(state.last_error, "");
  EXPECT_TRUE(state.last_success.has_value());
}

TEST_F(NetFetcherTest, AServerOfAnotherNameIsNot) {
  const FederationState state = Ask(*SpiffeId::Parse("spiffe://other.org/somebody-else"));
  EXPECT_THAT(state.last_error, HasSubstr("UNAUTHENTICATED"));
  EXPECT_FALSE(state.last_success.has_value());
}

TEST_F(NetFetcherTest, TheWebsRulesRefuseAnSvid) {
  Federation federation(ours_, clock_, fetcher_);
  ASSERT_TRUE(federation.Add({kTheirs, url_, {}, {}, ""}).ok());
  federation.Tick();
  for (int i = 0; i < 1000 && fetcher_.running() > 0; ++i) loop_.RunFor(std::chrono::milliseconds(10));
  EXPECT_FALSE(federation.States().at(0).last_success.has_value());
}

TEST_F(NetFetcherTest, AddressesAreChecked) {
  check_ = PermissionDenied("not there");
  EXPECT_THAT(Ask(BundleEndpointId(kTheirs)).last_error, HasSubstr("PERMISSION_DENIED"));
}

TEST_F(NetFetcherTest, WhatCannotBeAskedIsAnswered) {
  std::vector<ErrorCode> codes;
  const auto note = [&codes](Result<FetchResponse> r) { codes.push_back(r.error().code()); };
  fetcher_.Fetch({.url = "http://127.0.0.1/", .verify_server = {}}, note);
  fetcher_.Fetch({.url = url_, .verify_server = {}, .ca_file = "/nonexistent.pem"}, note);
  EXPECT_THAT(codes, ::testing::ElementsAre(ErrorCode::kInvalidArgument, ErrorCode::kNotFound));
}

}  // namespace
}  // namespace hexr::identity
