// A courier that lies: what the keeper makes of it.
#include "keeper/courier_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "base/limits/courier.h"
#include "base/limits/keys.h"
#include "base/random.h"
#include "crypto/authority.h"
#include "identity/federation.h"
#include "keeper/metrics.h"
#include "runtime/packet.h"

namespace hexr::keeper {
namespace {

using identity::FetchResponse;
using runtime::Channel;
using runtime::Envelope;
using runtime::Message;
using ::testing::HasSubstr;

const TrustDomain kOurs = *TrustDomain::Parse("example.org");
const TrustDomain kTheirs = *TrustDomain::Parse("other.org");
const TrustDomain kThird = *TrustDomain::Parse("third.org");

class CourierLinkTest : public ::testing::Test {
 protected:
  CourierLinkTest() {
    auto pair = *runtime::MakePacketPair();
    courier_ = std::make_unique<Channel>(
        loop_, std::move(pair.first), "keeper",
        [this](Message m, Channel::Reply reply) {
          asked_ = m.body.fetch();
          if (answer_) return reply.Send(*answer_);
          kept_.push_back(std::move(reply));
        },
        [](const Error&) {});
    link_.Use(std::move(pair.second));
  }
  Envelope& Answer() {
    if (!answer_) answer_.emplace();
    return *answer_;
  }
  Result<FetchResponse> Fetch(identity::FetchRequest request) {
    auto out = std::make_shared<std::optional<Result<FetchResponse>>>();
    link_.Fetch(std::move(request), [out](Result<FetchResponse> r) { out->emplace(std::move(r)); });
    for (int i = 0; i < 500 && !out->has_value(); ++i) loop_.RunFor(std::chrono::milliseconds(10));
    return out->has_value() ? std::move(**out) : Result<FetchResponse>(Internal("no answer"));
  }
  crypto::CertificateAuthority Ca(const TrustDomain& td) {
    return *crypto::CertificateAuthority::CreateRoot(td, crypto::PrivateKey::Generate(crypto::KeyType::kP256),
                                                     clock_.Wall(), std::chrono::hours(24), random_);
  }

  SystemClock clock_;
  SystemRandom random_;
  runtime::Loop loop_;
  std::optional<Envelope> answer_;
  ::hexr::node::v1::Fetch asked_;
  std::vector<Channel::Reply> kept_;
  std::unique_ptr<Channel> courier_;
  CourierLink link_{loop_, [](Message, Channel::Reply reply) { reply.Ack(); }};
};

TEST_F(CourierLinkTest, CarriesTheWholeQuestion) {
  auto& fetched = *Answer().mutable_fetched();
  fetched.set_status(200);
  fetched.set_body("{}");
  fetched.add_server_chain_der("der");
  const auto r = Fetch({.url = "https://other.org/",
                        .server = identity::SpiffeServer{*SpiffeId::Parse("spiffe://other.org/x"), {ToBytes("ca")}},
                        .named_by_operator = false,
                        .max_bytes = 77,
                        .timeout = std::chrono::milliseconds(1234)});
  ASSERT_TRUE(r.ok()) << r.error().message();
  EXPECT_EQ(r->body, "{}");
  EXPECT_EQ(r->server_chain, std::vector<Bytes>{ToBytes("der")});
  EXPECT_EQ(asked_.server_id(), "spiffe://other.org/x");
  EXPECT_EQ(asked_.server_authorities_der(0), "ca");
  EXPECT_EQ(asked_.max_bytes(), 77u);
  EXPECT_EQ(asked_.timeout_ms(), 1234u);
  EXPECT_FALSE(asked_.named_by_operator());
  EXPECT_FALSE(asked_.allow_http());
}

TEST_F(CourierLinkTest, AnswersOfAnotherFormOrSizeAreRefused) {
  const auto code = [this] { return Fetch({.url = "https://x/", .max_bytes = 10}).error().code(); };
  Answer().mutable_ack();
  EXPECT_EQ(code(), ErrorCode::kInvalidArgument);
  auto& fetched = *Answer().mutable_fetched();
  EXPECT_EQ(code(), ErrorCode::kInvalidArgument) << "no status";
  fetched.set_status(200);
  fetched.set_body("12345678901");
  EXPECT_EQ(code(), ErrorCode::kResourceExhausted);
  fetched.set_body("1");
  for (size_t i = 0; i <= limits::kMaxChainCertificates; ++i) fetched.add_server_chain_der("x");
  EXPECT_EQ(code(), ErrorCode::kResourceExhausted);
}

TEST_F(CourierLinkTest, WhatCannotBeAskedIsAnsweredAtOnce) {
  EXPECT_EQ(Fetch({.url = "http://x/"}).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Fetch({.url = "https://x/", .ca_file = "/nonexistent.pem"}).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(Fetch({.url = "https://x/", .ca_file = "/dev/zero"}).error().code(), ErrorCode::kInvalidArgument);
  size_t refused = 0;
  for (size_t i = 0; i <= limits::kMaxCourierFetches; ++i) {
    link_.Fetch({.url = "https://x/"}, [&](const Result<FetchResponse>& r) {
      refused += !r.ok() && r.error().code() == ErrorCode::kResourceExhausted;
    });
  }
  EXPECT_EQ(refused, 1u);
  courier_.reset();
  EXPECT_EQ(Fetch({.url = "https://x/"}).error().code(), ErrorCode::kResourceExhausted)
      << "until it is known to be gone";
  loop_.RunFor(std::chrono::milliseconds(50));
  EXPECT_EQ(Fetch({.url = "https://x/"}).error().code(), ErrorCode::kUnavailable);
}

// INV-KPR-05: a courier in an attacker's hands answers for a trust domain with whatever chain it has.
TEST_F(CourierLinkTest, ALyingCourierCannotSpeakForAnotherTrustDomain) {
  const auto theirs = Ca(kTheirs), third = Ca(kThird), forged = Ca(kTheirs);
  identity::TrustBundle honest(kTheirs);
  honest.x509_authorities = {theirs.certificate()};
  honest.sequence = 5;
  identity::TrustBundle lie(kTheirs);
  lie.x509_authorities = {forged.certificate()};
  lie.sequence = 6;
  const SpiffeId endpoint = *SpiffeId::Parse("spiffe://other.org/endpoint");
  const auto chain = [this](const crypto::CertificateAuthority& ca, const std::string& id) {
    const auto key = crypto::PrivateKey::Generate(crypto::KeyType::kP256).public_key();
    return ca.IssueSvid({*SpiffeId::Parse(id), key, std::chrono::hours(1)}, clock_.Wall(), random_)->der();
  };
  const std::vector<std::vector<Bytes>> chains = {{},
                                                  {chain(third, "spiffe://third.org/endpoint")},
                                                  {chain(forged, "spiffe://other.org/endpoint")},
                                                  {chain(theirs, "spiffe://other.org/agent/a/b/c")}};
  for (const auto& shown : chains) {
    identity::BundleSet bundles(kOurs, [] {});
    identity::Federation federation(bundles, clock_, link_);
    ASSERT_TRUE(federation.Add({kTheirs, "https://other.org/", endpoint, honest, ""}).ok());
    auto& fetched = *Answer().mutable_fetched();
    fetched.set_status(200);
    fetched.set_body(lie.ToJson());
    fetched.clear_server_chain_der();
    for (const Bytes& der : shown) fetched.add_server_chain_der(der.data(), der.size());
    federation.Tick();
    for (int i = 0; i < 100 && federation.States()[0].last_error.empty(); ++i) {
      loop_.RunFor(std::chrono::milliseconds(10));
    }
    EXPECT_NE(federation.States()[0].last_error, "");
    EXPECT_TRUE(bundles.Find(kTheirs)->SameKeys(honest));
  }
}

// INV-KPR-06.
TEST_F(CourierLinkTest, AGatewayCountsForItsOwnTenantAlone) {
  auto pair = *runtime::MakePacketPair();
  Channel scraper(
      loop_, std::move(pair.first), "scraper", [](Message, Channel::Reply) {}, [](const Error&) {});
  const IdSegment tenant = *IdSegment::Parse("acme");
  Channel keeper(
      loop_, std::move(pair.second), "keeper",
      [&](Message, Channel::Reply reply) {
        MetricsGathering g(std::move(reply));
        g.Add("hexr_instances", "Instances.", false, 1);
        Envelope e;
        const auto family = [&](const char* name, const char* label, const char* value) {
          auto* f = e.mutable_metrics()->add_families();
          f->set_name(name);
          auto* s = f->add_samples();
          if (label == nullptr) return;
          s->add_labels()->set_name(label);
          s->mutable_labels(0)->set_value(value);
        };
        family("hexr_gateway_calls_total", "reason", "limit");
        family("hexr_gateway_calls_total", "tenant", "victim");
        family("hexr_gateway_calls_total", "re\nason", "x");
        family("hexr_instances", nullptr, nullptr);
        family("hexr_gateway_x{tenant=\"victim\"} 1\nx", nullptr, nullptr);
        // Nor can it fill the operator's memory.
        auto* wide = e.mutable_metrics()->add_families();
        wide->set_name("hexr_gateway_wide");
        for (size_t i = 0; i < limits::kMaxMetricSamples + 5; ++i) wide->add_samples()->set_value(1);
        for (char c = 'a'; c <= 'z'; ++c) {
          for (const char* d : {"a", "b", "c"})
            family(("hexr_gateway_z" + std::string(1, c) + d).c_str(), nullptr, nullptr);
        }
        g.AddFromGateway(tenant, Message{std::move(e), {}});
      },
      [](const Error&) {});
  std::optional<Message> answer;
  Envelope ask;
  ask.mutable_collect_metrics();
  scraper.Call(ask, {}, std::chrono::seconds(5), [&](Result<Message> r) { answer = std::move(*r); });
  for (int i = 0; i < 100 && !answer; ++i) loop_.RunFor(std::chrono::milliseconds(10));
  ASSERT_TRUE(answer);
  const auto& m = answer->body.metrics();
  EXPECT_EQ(static_cast<size_t>(m.families_size()), limits::kMaxMetricFamilies - 2 + 1);  // some names came again
  const auto find = [&](const std::string& name) {
    const auto it = std::ranges::find(m.families(), name, &::hexr::node::v1::Metrics::Family::name);
    return it == m.families().end() ? ::hexr::node::v1::Metrics::Family() : *it;
  };
  EXPECT_EQ(find("hexr_instances").samples_size(), 1);
  EXPECT_EQ(static_cast<size_t>(find("hexr_gateway_wide").samples_size()), limits::kMaxMetricSamples);
  const auto calls = find("hexr_gateway_calls_total");
  ASSERT_EQ(calls.samples_size(), 1);
  EXPECT_EQ(calls.samples(0).labels(0).name(), "tenant");
  EXPECT_EQ(calls.samples(0).labels(0).value(), "acme");
  EXPECT_EQ(calls.samples(0).labels(1).value(), "limit");
}

}  // namespace
}  // namespace hexr::keeper
