// The courier between a keeper that the test plays and servers on loopback, its own among them.
#include "courier/courier.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>

#include "base/limits/courier.h"
#include "base/limits/messages.h"
#include "base/random.h"
#include "courier/endpoint.h"
#include "courier/fetches.h"
#include "courier/metrics_text.h"
#include "crypto/authority.h"
#include "net/connection.h"
#include "net/http_server.h"
#include "runtime/packet.h"

namespace hexr::courier {
namespace {

using runtime::Channel;
using runtime::Envelope;
using runtime::Message;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const TrustDomain kOurs = *TrustDomain::Parse("example.org");
const TrustDomain kTheirs = *TrustDomain::Parse("other.org");

class CourierTest : public ::testing::Test {
 protected:
  CourierTest() {
    auto pair = *runtime::MakePacketPair();
    std::vector<Listening> listeners;
    for (const char* name : {"bundle", "metrics"}) {
      listeners.push_back({name, *net::BindTcp("127.0.0.1", 0)});
      ports_[name] = *net::LocalPort(listeners.back().socket.get());
    }
    courier_ = std::make_unique<Courier>(
        loop_, clock_, std::move(listeners),
        [this](ByteView, bool named) {
          named_.push_back(named);
          return address_verdict_;
        },
        [this] { ++ready_; });
    keeper_ = std::make_unique<Channel>(
        loop_, std::move(pair.first), "courier",
        [this](Message m, Channel::Reply reply) { FromCourier(std::move(m), std::move(reply)); }, [](const Error&) {});
    courier_->OnPeer("keeper", std::move(pair.second));
  }

  // The keeper of these tests.
  void FromCourier(Message m, Channel::Reply reply) {
    Envelope e;
    if (m.body.has_collect_metrics()) {
      ++scrapes_;
      if (hold_scrapes_) return held_.push_back(std::move(reply));
      auto* family = e.mutable_metrics()->add_families();
      family->set_name("hexr_test");
      family->set_help("Test.");
      family->add_samples()->set_value(7);
      return reply.Send(std::move(e));
    }
    ASSERT_TRUE(m.body.has_issue_endpoint_svid());
    const auto key = *crypto::PublicKey::FromSpki(AsBytes(m.body.issue_endpoint_svid().spki_der()));
    const auto leaf = *ca_.IssueSvid({endpoint_id_, key, std::chrono::hours(1)}, clock_.Wall(), random_);
    e.mutable_svid()->add_chain_der(leaf.der().data(), leaf.der().size());
    reply.Send(std::move(e));
  }
  void RunUntil(const std::function<bool()>& done) {
    for (int i = 0; i < 1500 && !done(); ++i) loop_.RunFor(milliseconds(10));
    ASSERT_TRUE(done());
  }
  Result<Message> Call(Envelope e) {
    auto out = std::make_shared<std::optional<Result<Message>>>();
    keeper_->Call(std::move(e), {}, seconds(20), [out](Result<Message> r) { out->emplace(std::move(r)); });
    RunUntil([&] { return out->has_value(); });
    return std::move(**out);
  }
  Status Publish() {
    Envelope e;
    auto& listener = *e.mutable_publish()->add_listeners();
    listener.set_listener("bundle");
    listener.set_own_svid(true);
    auto& document = *listener.add_documents();
    document.set_path("/");
    document.set_content_type("application/json");
    document.set_body("{\"keys\":[]}");
    document.set_max_age_s(300);
    const auto r = Call(std::move(e));
    return r.ok() ? Ok() : Status(r.error());
  }
  std::string Url(const std::string& listener, const std::string& path) const {
    return (listener == "bundle" ? "https" : "http") + ("://127.0.0.1:" + std::to_string(ports_.at(listener))) + path;
  }
  // A question for `url`, by default to a server of ours that shows an SVID.
  Envelope Question(const std::string& url) {
    Envelope e;
    auto& f = *e.mutable_fetch();
    f.set_url(url);
    f.set_max_bytes(100'000);
    f.set_timeout_ms(10'000);
    f.set_named_by_operator(true);
    f.set_allow_http(true);
    if (url.starts_with("https")) {
      f.set_server_id(endpoint_id_.ToString());
      f.add_server_authorities_der(ca_.certificate().der().data(), ca_.certificate().der().size());
    }
    return e;
  }
  Result<Message> Fetch(const std::string& url) { return Call(Question(url)); }

  ManualClock clock_{SystemClock().Wall()};
  SystemRandom random_;
  runtime::Loop loop_;
  crypto::CertificateAuthority ca_ = *crypto::CertificateAuthority::CreateRoot(
      kOurs, crypto::PrivateKey::Generate(crypto::KeyType::kP256), clock_.Wall(), std::chrono::hours(24), random_);
  SpiffeId endpoint_id_ = *SpiffeId::Parse("spiffe://example.org/service/endpoint");
  std::map<std::string, uint16_t> ports_;
  Status address_verdict_ = Ok();
  std::vector<bool> named_;
  int ready_ = 0, scrapes_ = 0;
  bool hold_scrapes_ = false;
  std::vector<Channel::Reply> held_;
  std::unique_ptr<Courier> courier_;
  std::unique_ptr<Channel> keeper_;
};

TEST_F(CourierTest, ShowsWhatIsPublishedUnderAnSvidOfItsOwn) {
  EXPECT_EQ(ready_, 0);
  ASSERT_TRUE(Publish().ok());
  EXPECT_EQ(ready_, 1);
  const auto r = Fetch(Url("bundle", "/"));
  ASSERT_TRUE(r.ok()) << r.error().message();
  EXPECT_EQ(r->body.fetched().status(), 200);
  EXPECT_EQ(r->body.fetched().body(), "{\"keys\":[]}");
  ASSERT_EQ(r->body.fetched().server_chain_der_size(), 1);
  EXPECT_EQ(crypto::Certificate::Parse(AsBytes(r->body.fetched().server_chain_der(0)))->uris().at(0),
            endpoint_id_.ToString());
  for (const char* path : {"/other", "//", "/?x", "/../"}) {
    EXPECT_EQ(Fetch(Url("bundle", path))->body.fetched().status(), 404) << path;
  }
  Envelope post = Question(Url("bundle", "/"));
  post.mutable_fetch()->set_body("x");
  EXPECT_EQ(Call(std::move(post))->body.fetched().status(), 405);
  post = Envelope();
  *post.mutable_fetch() = Question(Url("bundle", "/")).fetch();
  post.mutable_fetch()->set_body(std::string(limits::kMaxEndpointRequestBytes + 1, 'x'));
  EXPECT_EQ(Call(std::move(post))->body.fetched().status(), 413);
  EXPECT_THAT(named_, ::testing::Each(true));
}

TEST_F(CourierTest, AServerOfAnotherNameOrDomainIsNotBelieved) {
  ASSERT_TRUE(Publish().ok());
  Envelope other = Question(Url("bundle", "/"));
  other.mutable_fetch()->set_server_id("spiffe://example.org/service/somebody-else");
  EXPECT_EQ(Call(std::move(other)).error().code(), ErrorCode::kUnauthenticated);

  const auto theirs = *crypto::CertificateAuthority::CreateRoot(
      kOurs, crypto::PrivateKey::Generate(crypto::KeyType::kP256), clock_.Wall(), std::chrono::hours(24), random_);
  Envelope forged = Question(Url("bundle", "/"));
  forged.mutable_fetch()->clear_server_authorities_der();
  forged.mutable_fetch()->add_server_authorities_der(theirs.certificate().der().data(),
                                                     theirs.certificate().der().size());
  EXPECT_EQ(Call(std::move(forged)).error().code(), ErrorCode::kUnauthenticated);

  Envelope nobody = Question(Url("bundle", "/"));
  nobody.mutable_fetch()->clear_server_authorities_der();
  EXPECT_FALSE(Call(std::move(nobody)).ok());

  // An SVID is no certificate of the web.
  Envelope web = Question(Url("bundle", "/"));
  web.mutable_fetch()->clear_server_id();
  EXPECT_EQ(Call(std::move(web)).error().code(), ErrorCode::kUnauthenticated);
}

TEST_F(CourierTest, AddressesAreCheckedAndWhoNamedThemIsTold) {
  address_verdict_ = PermissionDenied("not there");
  Envelope e = Question("https://127.0.0.1:1/");
  e.mutable_fetch()->set_named_by_operator(false);
  EXPECT_EQ(Call(std::move(e)).error().code(), ErrorCode::kPermissionDenied);
  EXPECT_THAT(named_, ElementsAre(false));
  Envelope plain = Question("http://127.0.0.1:1/");
  plain.mutable_fetch()->set_allow_http(false);
  EXPECT_EQ(Call(std::move(plain)).error().code(), ErrorCode::kInvalidArgument);
}

// A server of the network, as bad as the test wants it.
class HostileServer {
 public:
  HostileServer(runtime::Loop& loop, net::HttpHandler handler) {
    runtime::UniqueFd socket = *net::BindTcp("127.0.0.1", 0);
    url_ = "http://127.0.0.1:" + std::to_string(*net::LocalPort(socket.get()));
    server_ = std::make_unique<net::HttpServer>(loop, std::move(socket), std::move(handler));
  }
  const std::string& url() const { return url_; }

 private:
  std::string url_;
  std::unique_ptr<net::HttpServer> server_;
};

TEST_F(CourierTest, ARedirectIsAnAnswerAndNobodyFollowsIt) {
  int inside = 0;
  HostileServer secret(loop_, [&](net::HttpRequest, std::shared_ptr<net::HttpResponder> r) {
    ++inside;
    r->Send(200, {}, "metadata");
  });
  HostileServer redirecting(loop_, [&](net::HttpRequest, std::shared_ptr<net::HttpResponder> r) {
    r->Send(302, {{"Location", secret.url() + "/latest"}}, "");
  });
  const auto answer = Fetch(redirecting.url() + "/");
  ASSERT_TRUE(answer.ok()) << answer.error().message();
  EXPECT_EQ(answer->body.fetched().status(), 302);
  EXPECT_EQ(inside, 0);
}

TEST_F(CourierTest, LargeAndSlowAnswersEnd) {
  std::vector<std::shared_ptr<net::HttpResponder>> kept;
  HostileServer server(loop_, [&](net::HttpRequest request, std::shared_ptr<net::HttpResponder> r) {
    if (request.head.target == "/large") return r->Send(200, {}, std::string(2'000'000, 'x'));
    r->Begin(200, {});
    if (request.head.target == "/endless") r->Write(std::string(200'000, 'x'));
    kept.push_back(std::move(r));  // and never an end
  });
  EXPECT_EQ(Fetch(server.url() + "/large").error().code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(Fetch(server.url() + "/endless").error().code(), ErrorCode::kResourceExhausted);
  Envelope slow = Question(server.url() + "/slow");
  slow.mutable_fetch()->set_timeout_ms(50);
  EXPECT_EQ(Call(std::move(slow)).error().code(), ErrorCode::kDeadlineExceeded);

  // Nor can many of them at once hold more than their share.
  size_t failed = 0, exhausted = 0;
  for (size_t i = 0; i <= limits::kMaxCourierFetches; ++i) {
    Envelope e = Question(server.url() + "/slow");
    e.mutable_fetch()->set_timeout_ms(1000);
    keeper_->Call(std::move(e), {}, seconds(20), [&](Result<Message> r) {
      ++failed;
      exhausted += !r.ok() && r.error().code() == ErrorCode::kResourceExhausted;
    });
  }
  RunUntil([&] { return failed == limits::kMaxCourierFetches + 1; });
  EXPECT_EQ(exhausted, 1u);
}

TEST_F(CourierTest, HoldsClientsAndQuestionsToItsBounds) {
  const net::HttpServerOptions options = EndpointBounds();
  EXPECT_EQ(options.request_timeout, limits::kEndpointRequestTimeout);
  EXPECT_EQ(options.max_connections, limits::kMaxCourierConnections);
  EXPECT_EQ(options.max_connections_per_source, limits::kMaxCourierConnectionsPerSource);
  EXPECT_EQ(options.max_body_bytes, limits::kMaxEndpointRequestBytes);
  ::hexr::node::v1::Fetch greedy;
  greedy.set_url("https://a.test/");
  greedy.set_timeout_ms(UINT32_MAX);
  greedy.set_max_bytes(UINT64_MAX);
  const auto request = PrepareFetch(
      greedy, clock_, [](ByteView, bool) { return Ok(); }, nullptr);
  ASSERT_TRUE(request.ok()) << request.error().message();
  EXPECT_EQ(request->timeout, limits::kMaxFetchTime);
  EXPECT_EQ(request->max_bytes, limits::kMaxFetchBytes);
}

// Whoever opens connections and says nothing on them keeps nobody out.
TEST_F(CourierTest, ACrowdOfIdleConnectionsKeepsNobodyOut) {
  std::vector<runtime::UniqueFd> idle;
  for (size_t i = 0; i <= limits::kMaxCourierConnections; ++i) {
    idle.push_back(*net::StartConnect(Bytes{127, 0, 0, 1}, ports_["metrics"]));
    loop_.RunFor(milliseconds(1));
  }
  EXPECT_TRUE(Fetch(Url("metrics", "/metrics")).ok());
}

TEST_F(CourierTest, MetricsAreGatheredOnceForManyScrapes) {
  const auto first = Fetch(Url("metrics", "/metrics"));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->body.fetched().body(), "# HELP hexr_test Test.\n# TYPE hexr_test gauge\nhexr_test 7\n");
  EXPECT_EQ(Fetch(Url("metrics", "/metrics"))->body.fetched().body(), first->body.fetched().body());
  EXPECT_EQ(scrapes_, 1);
  clock_.Advance(limits::kMetricsFreshness);
  EXPECT_TRUE(Fetch(Url("metrics", "/metrics")).ok());
  EXPECT_EQ(scrapes_, 2);
  EXPECT_EQ(Fetch(Url("metrics", "/"))->body.fetched().status(), 404);
}

// Whoever scrapes while the keeper is asked waits for the same answer: it is asked once.
TEST_F(CourierTest, ScrapesThatComeMeanwhileAreOneQuestion) {
  hold_scrapes_ = true;
  size_t answered = 0;
  for (int i = 0; i < 3; ++i) {
    keeper_->Call(Question(Url("metrics", "/metrics")), {}, seconds(20), [&](const Result<Message>& r) {
      ASSERT_TRUE(r.ok());
      EXPECT_EQ(r->body.fetched().status(), 200u);
      ++answered;
    });
  }
  RunUntil([&] { return !held_.empty(); });
  for (int i = 0; i < 20; ++i) loop_.RunFor(milliseconds(10));
  EXPECT_EQ(scrapes_, 1);
  EXPECT_EQ(answered, 0u);
  hold_scrapes_ = false;
  Envelope e;
  e.mutable_metrics();
  for (Channel::Reply& reply : held_) reply.Send(e);
  RunUntil([&] { return answered == 3; });
}

// A keeper that is there and says nothing: nobody waits for it longer than a question may take.
TEST_F(CourierTest, AKeeperThatDoesNotAnswerIsNotWaitedForForEver) {
  hold_scrapes_ = true;
  const SystemClock clock;
  const MonoTime asked = clock.Mono();
  const auto answer = Fetch(Url("metrics", "/metrics"));
  ASSERT_TRUE(answer.ok()) << answer.error().message();
  EXPECT_EQ(answer->body.fetched().status(), 503u);
  EXPECT_EQ(answer->body.fetched().body(), "the node does not answer\n");
  EXPECT_GE(clock.Mono() - asked, limits::kNodeCallDeadline);
}

TEST_F(CourierTest, ACertificateWithAnotherKeyIsRefusedAndTheOldOneStays) {
  ASSERT_TRUE(Publish().ok());
  ASSERT_TRUE(Fetch(Url("bundle", "/")).ok());
  Envelope e;
  auto& listener = *e.mutable_publish()->add_listeners();
  listener.set_listener("bundle");
  listener.set_certificate_pem(ca_.certificate().ToPem());
  listener.set_key_pem("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n");
  EXPECT_THAT(Call(e).error().message(), HasSubstr("pkcs8"));
  listener.clear_documents();
  const auto r = Fetch(Url("bundle", "/"));
  ASSERT_TRUE(r.ok()) << r.error().message();
  EXPECT_EQ(r->body.fetched().status(), 404) << "what is not published any more is gone";
  e.mutable_publish()->mutable_listeners(0)->set_listener("nowhere");
  EXPECT_EQ(Call(e).error().code(), ErrorCode::kNotFound);
}

TEST(MetricsText, EscapesWhatOthersNamed) {
  ::hexr::node::v1::Metrics m;
  auto* family = m.add_families();
  family->set_name("hexr_x");
  family->set_help("a\\b\nc");
  family->set_counter(true);
  auto* sample = family->add_samples();
  sample->set_value(1.5);
  auto* label = sample->add_labels();
  label->set_name("l");
  label->set_value("a\"b\\c\nd");
  EXPECT_EQ(ToPrometheusText(m),
            "# HELP hexr_x a\\\\b\\nc\n# TYPE hexr_x counter\nhexr_x{l=\"a\\\"b\\\\c\\nd\"} 1.5\n");
}

}  // namespace
}  // namespace hexr::courier
