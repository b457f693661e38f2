#include "identity/federation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "crypto/authority.h"
#include "identity/public_documents.h"
#include "identity/testing/fake_fetcher.h"
#include "wire/json.h"

namespace hexr::identity {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const TrustDomain kOwnDomain = *TrustDomain::Parse("example.org");
const TrustDomain kPeerDomain = *TrustDomain::Parse("other.org");
const TrustDomain kThird = *TrustDomain::Parse("third.org");
constexpr const char* kUrl = "https://bundle.other.org/";

class FederationTest : public ::testing::Test {
 protected:
  crypto::CertificateAuthority Ca(const TrustDomain& td) {
    return *crypto::CertificateAuthority::CreateRoot(td, crypto::PrivateKey::Generate(crypto::KeyType::kP256),
                                                     clock_.Wall(), hours(24), random_);
  }
  static TrustBundle BundleOf(const crypto::CertificateAuthority& ca, uint64_t sequence, seconds hint = seconds(60)) {
    TrustBundle bundle(ca.trust_domain());
    bundle.x509_authorities = {ca.certificate()};
    bundle.sequence = sequence;
    bundle.refresh_hint = hint;
    return bundle;
  }
  std::vector<Bytes> ServerChain(const crypto::CertificateAuthority& ca, std::string_view id) {
    const auto leaf = *ca.IssueSvid(
        {*SpiffeId::Parse(id), crypto::PrivateKey::Generate(crypto::KeyType::kP256).public_key(), hours(1)},
        clock_.Wall(), random_);
    return {leaf.der()};
  }
  const FederationState State() { return federation_.States().at(0); }

  ManualClock clock_{WallTime{hours(500'000)}};
  SystemRandom random_;
  testing::FakeFetcher fetcher_;
  BundleSet bundles_{kOwnDomain, [] {}};
  Federation federation_{bundles_, clock_, fetcher_};
};

TEST_F(FederationTest, WebProfileFetchesByTheRefreshHint) {
  const auto ca = Ca(kPeerDomain);
  ASSERT_TRUE(federation_.Add({kPeerDomain, kUrl, {}, {}, "/etc/ca.pem"}).ok());
  fetcher_.pages[kUrl] = BundleOf(ca, 1, seconds(90)).ToJson();
  federation_.Tick();
  federation_.Tick();
  ASSERT_EQ(fetcher_.count, 1) << "one question at a time";
  EXPECT_FALSE(fetcher_.asked[0].request.server.has_value()) << "the Web PKI decides";
  EXPECT_EQ(fetcher_.asked[0].request.ca_file, "/etc/ca.pem");
  fetcher_.AnswerAll();
  ASSERT_NE(bundles_.Find(kPeerDomain), nullptr);
  EXPECT_EQ(bundles_.Find(kPeerDomain)->x509_authorities[0], ca.certificate());
  clock_.Advance(seconds(89));
  federation_.Tick();
  EXPECT_EQ(fetcher_.count, 1);
  clock_.Advance(seconds(2));
  federation_.Tick();
  EXPECT_EQ(fetcher_.count, 2);
  EXPECT_THAT(State().last_error, IsEmpty());
}

TEST_F(FederationTest, SpiffeProfileBelievesTheConfiguredServerAlone) {
  const auto old_ca = Ca(kPeerDomain);
  const auto new_ca = Ca(kPeerDomain);
  const auto third = Ca(kThird);
  const std::string id = "spiffe://other.org/bundle-server";
  ASSERT_TRUE(federation_.Add({kPeerDomain, kUrl, *SpiffeId::Parse(id), BundleOf(old_ca, 1), ""}).ok());
  ASSERT_NE(bundles_.Find(kPeerDomain), nullptr) << "the bootstrap bundle counts at once";
  federation_.Tick();
  const auto& server = fetcher_.asked[0].request.server;
  ASSERT_TRUE(server.has_value());
  EXPECT_EQ(server->id.ToString(), id);
  EXPECT_EQ(server->authorities, (std::vector<Bytes>{ToBytes(AsText(old_ca.certificate().der()))}));

  // The carrier says which chain it saw; that it accepted one proves nothing.
  fetcher_.pages[kUrl] = BundleOf(new_ca, 2).ToJson();
  const auto answer = [this](std::vector<Bytes> chain) {
    fetcher_.server_chain = std::move(chain);
    fetcher_.AnswerAll();
    clock_.Advance(seconds(301));
    federation_.Tick();
    return State().last_error;
  };
  EXPECT_THAT(answer(ServerChain(old_ca, "spiffe://other.org/somebody")),
              HasSubstr("not spiffe://other.org/bundle-server"));
  EXPECT_THAT(answer(ServerChain(new_ca, id)), HasSubstr("UNAUTHENTICATED"));
  EXPECT_THAT(answer(ServerChain(third, "spiffe://third.org/bundle-server")), HasSubstr("UNAUTHENTICATED"));
  EXPECT_NE(answer({}), "");
  EXPECT_NE(answer({ToBytes("rubbish")}), "");
  EXPECT_EQ(bundles_.Find(kPeerDomain)->sequence, 1U);
  EXPECT_EQ(answer(ServerChain(old_ca, id)), "");
  EXPECT_EQ(bundles_.Find(kPeerDomain)->sequence, 2U);
  // The latest bundle decides, not the first.
  EXPECT_THAT(answer(ServerChain(old_ca, id)), HasSubstr("UNAUTHENTICATED"));
  EXPECT_EQ(answer(ServerChain(new_ca, id)), "");
}

TEST_F(FederationTest, FailuresBackOffAndKeepWhatWasKnown) {
  const auto ca = Ca(kPeerDomain);
  ASSERT_TRUE(federation_.Add({kPeerDomain, kUrl, {}, {}, ""}).ok());
  fetcher_.pages[kUrl] = BundleOf(ca, 5).ToJson();
  federation_.Tick();
  fetcher_.AnswerAll();
  const auto round = [this](const std::string& body) {
    fetcher_.pages[kUrl] = body;
    clock_.Advance(hours(1));
    federation_.Tick();
    fetcher_.AnswerAll();
    EXPECT_EQ(bundles_.Find(kPeerDomain)->sequence, 5U);
    return State().last_error;
  };
  EXPECT_THAT(round("rubbish"), HasSubstr("INVALID_ARGUMENT"));
  EXPECT_THAT(round(BundleOf(Ca(kPeerDomain), 4).ToJson()), HasSubstr("older"));
  clock_.Advance(hours(1));
  federation_.Tick();
  fetcher_.FailOne(Unavailable("connection refused"));
  EXPECT_THAT(State().last_error, HasSubstr("connection refused"));
  fetcher_.pages.clear();
  clock_.Advance(hours(1));
  federation_.Tick();
  fetcher_.AnswerAll();
  EXPECT_THAT(State().last_error, HasSubstr("404"));
  const int before = fetcher_.count;
  federation_.Tick();
  clock_.Advance(seconds(1));
  federation_.Tick();
  EXPECT_EQ(fetcher_.count, before);
  clock_.Advance(seconds(60));
  federation_.Tick();
  EXPECT_EQ(fetcher_.count, before + 1) << "never later than the refresh hint";
}

TEST_F(FederationTest, AnEmptyBundleWithdrawsTrust) {
  ASSERT_TRUE(federation_.Add({kPeerDomain, kUrl, {}, {}, ""}).ok());
  fetcher_.pages[kUrl] = BundleOf(Ca(kPeerDomain), 1).ToJson();
  federation_.Tick();
  fetcher_.AnswerAll();
  clock_.Advance(seconds(61));
  fetcher_.pages[kUrl] = R"({"keys":[],"spiffe_sequence":2})";
  federation_.Tick();
  fetcher_.AnswerAll();
  EXPECT_THAT(bundles_.Find(kPeerDomain)->x509_authorities, IsEmpty());
}

TEST_F(FederationTest, RefusesWhatCouldNotWork) {
  EXPECT_FALSE(federation_.Add({kOwnDomain, kUrl, {}, {}, ""}).ok());
  for (const char* url : {"", "http://x.org/", "https://", "https:///x", "https://user@x.org/", "https://x.org/#f",
                          "https://x.org/ y", "ftp://x.org", "https://x.org\\@y.org/", "https://x.org/\n"}) {
    EXPECT_FALSE(federation_.Add({kPeerDomain, url, {}, {}, ""}).ok()) << url;
  }
  const auto id = *SpiffeId::Parse("spiffe://other.org/bundle-server");
  EXPECT_THAT(federation_.Add({kPeerDomain, kUrl, id, {}, ""}).error().message(), HasSubstr("bootstrap"));
  EXPECT_FALSE(federation_.Add({kPeerDomain, kUrl, id, TrustBundle(kPeerDomain), ""}).ok());
  EXPECT_FALSE(federation_.Add({kPeerDomain, kUrl, {}, BundleOf(Ca(kThird), 1), ""}).ok());
  ASSERT_TRUE(federation_.Add({kPeerDomain, kUrl, id, BundleOf(Ca(kPeerDomain), 1), ""}).ok());
  EXPECT_EQ(federation_.Add({kPeerDomain, kUrl, {}, {}, ""}).error().code(), ErrorCode::kAlreadyExists);
}

TEST_F(FederationTest, AnAnswerAfterTheEndIsNobodys) {
  auto federation = std::make_unique<Federation>(bundles_, clock_, fetcher_);
  ASSERT_TRUE(federation->Add({kPeerDomain, kUrl, {}, {}, ""}).ok());
  federation->Tick();
  federation.reset();
  fetcher_.pages[kUrl] = BundleOf(Ca(kPeerDomain), 1).ToJson();
  fetcher_.AnswerAll();
  EXPECT_EQ(bundles_.Find(kPeerDomain), nullptr);
}

TEST_F(FederationTest, WhatWePublishIsWhatOthersRead) {
  TrustBundle own = BundleOf(Ca(kOwnDomain), 7);
  own.jwt_keys = {{crypto::PrivateKey::Generate(crypto::KeyType::kP256).public_key(), "k", "jwt-svid"}};
  ASSERT_TRUE(bundles_.SetOwn(own).ok());
  const PublicDocument bundle = BundleDocument(bundles_);
  EXPECT_EQ(bundle.path, "/");
  EXPECT_EQ(bundle.content_type, "application/json");
  EXPECT_TRUE(TrustBundle::Parse(kOwnDomain, bundle.body)->SameKeys(own));
  EXPECT_EQ(bundle.max_age, seconds(60));

  const auto documents = DiscoveryDocuments(bundles_, "https://oidc.example.org");
  ASSERT_EQ(documents.size(), 2u);
  EXPECT_EQ(documents[0].path, "/.well-known/openid-configuration");
  const auto discovery = wire::ParseJson(documents[0].body);
  ASSERT_TRUE(discovery.ok());
  EXPECT_EQ(discovery->FindString("issuer"), "https://oidc.example.org");
  EXPECT_EQ(discovery->FindString("jwks_uri"), "https://oidc.example.org/keys");
  EXPECT_EQ(documents[1].path, "/keys");
  EXPECT_THAT(documents[1].body, HasSubstr("\"kid\":\"k\""));
  EXPECT_THAT(documents[0].body, HasSubstr("\"id_token_signing_alg_values_supported\":[\"ES256\"]"));
  own.jwt_keys.push_back({crypto::PrivateKey::Generate(crypto::KeyType::kRsa).public_key(), "r", "jwt-svid"});
  ASSERT_TRUE(bundles_.SetOwn(own).ok());
  EXPECT_THAT(DiscoveryDocuments(bundles_, "https://oidc.example.org")[0].body,
              HasSubstr("\"id_token_signing_alg_values_supported\":[\"ES256\",\"RS256\"]"));

  const auto below = DiscoveryDocuments(bundles_, "https://example.org:8443/nodes/a/");
  EXPECT_EQ(below[0].path, "/nodes/a/.well-known/openid-configuration");
  EXPECT_EQ(below[1].path, "/nodes/a/keys");
  EXPECT_THAT(below[0].body, HasSubstr("https://example.org:8443/nodes/a/keys"));
}

}  // namespace
}  // namespace hexr::identity
