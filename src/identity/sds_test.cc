#include "identity/sds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits/identity.h"
#include "base/limits/names.h"
#include "crypto/pem.h"
#include "crypto/svid.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "identity/testing/memory_search.h"
#include "identity/testing/service_fixture.h"

namespace hexr::identity {
namespace {

using std::chrono::minutes;
using testing::Connection;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Outcome;
using testing::Puppet;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
namespace discovery = ::envoy::service::discovery::v3;
namespace tls = ::envoy::extensions::transport_sockets::tls::v3;

constexpr const char* kStream = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets";
constexpr const char* kDelta = "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets";
constexpr const char* kFetch = "/envoy.service.secret.v3.SecretDiscoveryService/FetchSecrets";
constexpr const char* kType = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
using testing::kWriterId;

std::vector<std::string> Names(const discovery::DiscoveryResponse& response) {
  std::vector<std::string> out;
  for (const auto& any : response.resources()) {
    tls::Secret secret;
    EXPECT_TRUE(any.UnpackTo(&secret));
    out.push_back(secret.name());
  }
  return out;
}

tls::Secret SecretIn(const google::protobuf::Any& any) {
  tls::Secret secret;
  EXPECT_EQ(any.type_url(), kType);
  EXPECT_TRUE(any.UnpackTo(&secret));
  return secret;
}

class Sds : public testing::ServiceTest {
 protected:
  Sds() {
    AddSecretDiscovery(*router, *core, resources_, evidence);
    Launch(envoy_);
    c_.between = [this] { loop.RunReady(); };
  }
  static discovery::DiscoveryRequest Ask(std::initializer_list<const char*> names, std::string nonce = "",
                                         std::string version = "") {
    discovery::DiscoveryRequest request;
    request.set_type_url(kType);
    for (const char* n : names) request.add_resource_names(n);
    request.set_response_nonce(std::move(nonce));
    request.set_version_info(std::move(version));
    return request;
  }
  static discovery::DeltaDiscoveryRequest AskDelta(std::initializer_list<const char*> subscribe,
                                                   std::initializer_list<const char*> unsubscribe = {},
                                                   std::string nonce = "") {
    discovery::DeltaDiscoveryRequest request;
    request.set_type_url(kType);
    for (const char* n : subscribe) request.add_resource_names_subscribe(n);
    for (const char* n : unsubscribe) request.add_resource_names_unsubscribe(n);
    request.set_response_nonce(std::move(nonce));
    return request;
  }
  void Federate(std::string_view name, bool with_keys = true) {
    TrustBundle bundle(*TrustDomain::Parse(name));
    if (with_keys) bundle.x509_authorities = core->bundles().own().x509_authorities;
    ASSERT_TRUE(core->bundles().SetFederated(std::move(bundle)).ok());
    Settle();
  }
  void Unfederate(std::string_view name) {
    ASSERT_TRUE(core->bundles().RemoveFederated(*TrustDomain::Parse(name)).ok());
    Settle();
  }
  tls::Secret Fetch(const char* name) {
    return SecretIn(c_.Call(kFetch, Ask({name}), {}).Last<discovery::DiscoveryResponse>().resources(0));
  }

  SdsResources resources_{*core};
  Puppet envoy_;
  Connection c_{*router, clock, envoy_.pid()};
};

TEST_F(Sds, CertificatesAndBundlesByName) {
  for (const char* name : {"default", kWriterId}) {
    const tls::Secret secret = Fetch(name);
    EXPECT_EQ(secret.name(), name);
    const auto chain = crypto::Certificate::ParsePemChain(secret.tls_certificate().certificate_chain().inline_bytes());
    ASSERT_TRUE(chain.ok());
    EXPECT_TRUE(crypto::VerifySvid(*chain, core->bundles().x509(), clock.Wall()).ok());
    const auto der = crypto::PemDecode(secret.tls_certificate().private_key().inline_bytes(), "PRIVATE KEY");
    const auto key = crypto::PrivateKey::FromPkcs8(crypto::Secret::Copy(der->front()));
    EXPECT_EQ(key->public_key(), *chain->front().public_key());
  }
  Federate("other.org");
  const auto validator = [this](const char* name) {
    tls::SPIFFECertValidatorConfig config;
    const tls::Secret secret = Fetch(name);
    EXPECT_EQ(secret.validation_context().custom_validator_config().name(), "envoy.tls.cert_validator.spiffe");
    EXPECT_TRUE(secret.validation_context().custom_validator_config().typed_config().UnpackTo(&config));
    std::vector<std::string> domains;
    for (const auto& td : config.trust_domains()) domains.push_back(td.name());
    return domains;
  };
  EXPECT_THAT(validator("ROOTCA"), ElementsAre("example.org"));
  EXPECT_THAT(validator("spiffe://example.org"), ElementsAre("example.org"));
  EXPECT_THAT(validator("spiffe://other.org"), ElementsAre("other.org"));
  EXPECT_THAT(validator("ALL"), UnorderedElementsAre("example.org", "other.org"));
}

TEST_F(Sds, WithoutTheSpiffeValidatorBundlesArePlainAndNeverMerged) {
  for (const bool as_text : {false, true}) {
    discovery::DiscoveryRequest request = Ask({"ROOTCA"});
    auto& value = (*request.mutable_node()->mutable_metadata()->mutable_fields())["disable_spiffe_cert_validation"];
    if (as_text)
      value.set_string_value("true");
    else
      value.set_bool_value(true);
    const auto secret = SecretIn(c_.Call(kFetch, request, {}).Last<discovery::DiscoveryResponse>().resources(0));
    EXPECT_THAT(secret.validation_context().trusted_ca().inline_bytes(), HasSubstr("BEGIN CERTIFICATE"));
    EXPECT_FALSE(secret.validation_context().has_custom_validator_config());
    request.set_resource_names(0, "ALL");
    EXPECT_EQ(c_.Call(kFetch, request, {}).code(), ErrorCode::kFailedPrecondition);
  }
}

TEST_F(Sds, FetchReportsEachNameOnItsOwn) {
  const auto response =
      c_.Call(kFetch, Ask({"default", "nonsense", "spiffe://example.org/other", "spiffe://unknown.org"}), {})
          .Last<discovery::DiscoveryResponse>();
  EXPECT_THAT(Names(response), ElementsAre("default"));
  ASSERT_THAT(response.resource_errors(), SizeIs(3));
  EXPECT_EQ(response.resource_errors(0).error_detail().code(), static_cast<int>(ErrorCode::kNotFound));
  EXPECT_EQ(response.resource_errors(1).error_detail().code(), static_cast<int>(ErrorCode::kPermissionDenied));
  EXPECT_EQ(response.resource_errors(2).resource_name().name(), "spiffe://unknown.org");
  EXPECT_EQ(c_.Call(kFetch, Ask({"nonsense"}), {}).code(), ErrorCode::kNotFound);
}

TEST_F(Sds, NobodyWithoutAnIdentity) {
  Puppet stranger;
  Connection c(*router, clock, stranger.pid());
  for (const char* method : {kStream, kDelta, kFetch})
    EXPECT_EQ(c.Call(method, Ask({"ROOTCA"}), {}).code(), ErrorCode::kPermissionDenied);
}

TEST_F(Sds, AnotherTypeIsRefused) {
  discovery::DiscoveryRequest request = Ask({"default"});
  request.set_type_url("type.googleapis.com/envoy.config.cluster.v3.Cluster");
  EXPECT_EQ(c_.Call(kStream, request, {}).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(c_.Call(kFetch, request, {}).code(), ErrorCode::kInvalidArgument);
  discovery::DeltaDiscoveryRequest delta = AskDelta({"default"});
  delta.set_type_url(request.type_url());
  EXPECT_EQ(c_.Call(kDelta, delta, {}).code(), ErrorCode::kInvalidArgument);
}

TEST_F(Sds, WorldSendsOnlyNews) {
  Outcome o;
  const int32_t call = c_.Start(kStream, o, {});
  c_.Send(call, Ask({"default"}));
  ASSERT_THAT(o.messages, SizeIs(1));
  const auto first = o.Last<discovery::DiscoveryResponse>();
  c_.Send(call, Ask({"default"}, first.nonce(), first.version_info()));  // ACK
  core->Tick();
  c_.Pump();
  EXPECT_THAT(o.messages, SizeIs(1));
  clock.Advance(minutes(9));
  core->Tick();
  c_.Pump();
  ASSERT_THAT(o.messages, SizeIs(2));
  const auto second = o.Last<discovery::DiscoveryResponse>();
  EXPECT_NE(second.version_info(), first.version_info());
  EXPECT_NE(second.nonce(), first.nonce());

  // A refusal says so by error_detail alone, and is not answered with the same again.
  auto nack = Ask({"default"}, second.nonce(), first.version_info());
  nack.mutable_error_detail()->set_message("cannot load");
  c_.Send(call, nack);
  core->Tick();
  c_.Pump();
  EXPECT_THAT(o.messages, SizeIs(2));
  EXPECT_FALSE(o.end.has_value());
}

TEST_F(Sds, WorldIgnoresStaleNoncesAndFollowsTheNames) {
  Outcome o;
  const int32_t call = c_.Start(kStream, o, {});
  c_.Send(call, Ask({"default"}));
  const std::string first = o.Last<discovery::DiscoveryResponse>().nonce();
  c_.Send(call, Ask({"default", "ROOTCA"}, first));
  ASSERT_THAT(o.messages, SizeIs(2)) << "a new name is answered";
  EXPECT_THAT(Names(o.Last<discovery::DiscoveryResponse>()), UnorderedElementsAre("default", "ROOTCA"));
  c_.Send(call, Ask({"ALL"}, first));  // answers a response that is no longer the last
  EXPECT_THAT(o.messages, SizeIs(2));
  c_.Send(call, Ask({"ROOTCA"}, o.Last<discovery::DiscoveryResponse>().nonce()));  // the list shrinks
  const size_t before = o.messages.size();
  clock.Advance(minutes(9));
  core->Tick();
  c_.Pump();
  EXPECT_EQ(o.messages.size(), before) << "a certificate that nobody asks for is no news";
}

TEST_F(Sds, OneUnknownNameDoesNotEndTheStream) {
  Outcome o;
  const int32_t call = c_.Start(kStream, o, {});
  c_.Send(call, Ask({"default", "spiffe://later.org"}));
  auto response = o.Last<discovery::DiscoveryResponse>();
  EXPECT_THAT(Names(response), ElementsAre("default"));
  EXPECT_EQ(response.resource_errors(0).resource_name().name(), "spiffe://later.org");
  Federate("later.org");
  c_.Pump();
  response = o.Last<discovery::DiscoveryResponse>();
  EXPECT_THAT(Names(response), UnorderedElementsAre("default", "spiffe://later.org"));
  EXPECT_THAT(response.resource_errors(), IsEmpty());

  Outcome alone;
  const int32_t second = c_.Start(kStream, alone, {});
  c_.Send(second, Ask({"spiffe://never.org"}));
  EXPECT_THAT(alone.messages, IsEmpty());
  EXPECT_FALSE(alone.end.has_value());
}

TEST_F(Sds, WorldTakesABundleBackByTrustingNobody) {
  Federate("other.org");
  Outcome o;
  const int32_t call = c_.Start(kStream, o, {});
  c_.Send(call, Ask({"spiffe://other.org"}));
  const auto pem = [&o] {
    tls::SPIFFECertValidatorConfig config;
    const auto secret = SecretIn(o.Last<discovery::DiscoveryResponse>().resources(0));
    EXPECT_TRUE(secret.validation_context().custom_validator_config().typed_config().UnpackTo(&config));
    return config.trust_domains(0).trust_bundle().inline_bytes();
  };
  const std::string trusted = pem();
  Unfederate("other.org");
  c_.Pump();
  ASSERT_THAT(o.messages, SizeIs(2));
  EXPECT_NE(pem(), trusted);
  EXPECT_TRUE(crypto::Certificate::ParsePemChain(pem()).ok()) << "something that Envoy can load";
  Federate("other.org", false);  // no keys: trusted as little
  c_.Pump();
  EXPECT_NE(pem(), trusted);
  core->Tick();
  const size_t before = o.messages.size();
  c_.Pump();
  EXPECT_EQ(o.messages.size(), before);
}

TEST_F(Sds, DeltaSendsDifferencesAndRemovals) {
  Federate("other.org");
  Outcome o;
  const int32_t call = c_.Start(kDelta, o, {});
  c_.Send(call, AskDelta({"default", "spiffe://other.org", "spiffe://never.org"}));
  auto response = o.Last<discovery::DeltaDiscoveryResponse>();
  ASSERT_THAT(response.resources(), SizeIs(2));
  EXPECT_EQ(response.resources(0).name(), SecretIn(response.resources(0).resource()).name());
  EXPECT_THAT(response.removed_resources(), ElementsAre("spiffe://never.org"));
  EXPECT_EQ(response.resource_errors(0).error_detail().code(), static_cast<int>(ErrorCode::kNotFound));
  c_.Send(call, AskDelta({}, {}, response.nonce()));  // ACK
  EXPECT_THAT(o.messages, SizeIs(1));

  clock.Advance(minutes(9));
  core->Tick();
  c_.Pump();
  response = o.Last<discovery::DeltaDiscoveryResponse>();
  ASSERT_THAT(response.resources(), SizeIs(1)) << "the certificate alone is new";
  EXPECT_EQ(response.resources(0).name(), "default");

  Unfederate("other.org");
  c_.Pump();
  response = o.Last<discovery::DeltaDiscoveryResponse>();
  EXPECT_THAT(response.resources(), IsEmpty());
  EXPECT_THAT(response.removed_resources(), ElementsAre("spiffe://other.org"));

  const size_t before = o.messages.size();
  c_.Send(call, AskDelta({"default"}, {}, response.nonce()));
  EXPECT_EQ(o.messages.size(), before + 1) << "asked for again is answered again";
  c_.Send(call, AskDelta({}, {"default"}));
  clock.Advance(minutes(9));
  core->Tick();
  c_.Pump();
  EXPECT_EQ(o.messages.size(), before + 1);
}

TEST_F(Sds, DeltaGoesOnAfterAReconnect) {
  Outcome o;
  const int32_t call = c_.Start(kDelta, o, {});
  c_.Send(call, AskDelta({"default", "ROOTCA"}));
  const auto response = o.Last<discovery::DeltaDiscoveryResponse>();
  std::map<std::string, std::string> versions;
  for (const auto& r : response.resources()) versions[r.name()] = r.version();
  c_.Cancel(call);

  discovery::DeltaDiscoveryRequest again = AskDelta({"default", "ROOTCA"});
  (*again.mutable_initial_resource_versions())["default"] = "another";
  (*again.mutable_initial_resource_versions())["ROOTCA"] = versions["ROOTCA"];
  Outcome second;
  const int32_t reconnected = c_.Start(kDelta, second, {});
  c_.Send(reconnected, again);
  const auto news = second.Last<discovery::DeltaDiscoveryResponse>();
  ASSERT_THAT(news.resources(), SizeIs(1));
  EXPECT_EQ(news.resources(0).name(), "default");
}

TEST_F(Sds, ManyMessagesInOneTurnAreLookedAtOnce) {
  Outcome o;
  const int32_t call = c_.Start(kDelta, o, {});
  c_.between = nullptr;  // the loop does not turn
  c_.Send(call, AskDelta({"default"}));
  c_.Send(call, AskDelta({"ROOTCA"}));
  c_.Send(call, AskDelta({"ALL"}));
  EXPECT_THAT(o.messages, IsEmpty());
  Settle();
  c_.Pump();
  ASSERT_THAT(o.messages, SizeIs(1));
  EXPECT_THAT(o.Last<discovery::DeltaDiscoveryResponse>().resources(), SizeIs(3));
}

// A stream is opened for one token of the rate: what is written on it counts as well, but for answers to what we send.
TEST_F(Sds, MessagesOnAnOpenStreamAreMetered) {
  Create(ProcessTier::kPidfdInfo, {.per_second = 0, .burst = 5});
  SdsResources resources(*core);
  AddSecretDiscovery(*router, *core, resources, evidence);
  Launch(envoy_);
  Connection c(*router, clock, envoy_.pid());
  c.between = [this] { loop.RunReady(); };
  Outcome o;
  const int32_t call = c.Start(kStream, o, {});
  c.Send(call, Ask({"default"}));
  for (int i = 0; i < 20; ++i) {
    clock.Advance(minutes(9));
    core->Tick();
    c.Pump();
    const auto response = o.Last<discovery::DiscoveryResponse>();
    c.Send(call, Ask({"default"}, response.nonce(), response.version_info()));
  }
  EXPECT_FALSE(o.end.has_value()) << "an answer to each response is free";
  for (int i = 0; i < 20; ++i) c.Send(call, Ask({i % 2 == 0 ? "ROOTCA" : "ALL"}, "stale"));
  EXPECT_EQ(o.code(), ErrorCode::kResourceExhausted);
}

TEST_F(Sds, AHalfClosedStreamHasItsAnswer) {
  c_.between = nullptr;
  Outcome o;
  const int32_t call = c_.Open(kStream, Ask({"default"}), o);
  (void)call;
  EXPECT_THAT(o.messages, SizeIs(1));
  EXPECT_TRUE(o.end.has_value());
}

TEST_F(Sds, StreamsEndWithTheIdentity) {
  Outcome world, delta;
  const int32_t a = c_.Start(kStream, world, {});
  const int32_t b = c_.Start(kDelta, delta, {});
  c_.Send(a, Ask({"default"}));
  c_.Send(b, AskDelta({"default"}));
  core->registry().End(core->registry().All()[0]->id(), "test");
  c_.Pump();
  EXPECT_EQ(world.code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(delta.code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(core->subscribers(), 0U);
}

TEST_F(Sds, NoPrivateKeyIsLeftInFreedMemory) {
  const auto caller = core->Authenticate(*evidence.EvidenceOf(static_cast<wire::WriterTag>(envoy_.pid())));
  ASSERT_TRUE(caller.ok());
  Bytes hidden;
  {
    const auto made = resources_.Make(*caller, "default", SdsResources::Validation::kSpiffe);
    ASSERT_TRUE(made.ok());
    // The middle: the beginning is the same in every key, and free() overwrites the first bytes.
    const std::string& pem = made->secret.tls_certificate().private_key().inline_bytes();
    for (size_t i = 100; i < 140; ++i) hidden.push_back(static_cast<uint8_t>(pem[i]) ^ testing::kMask);
    EXPECT_GT(testing::CountInMemory(hidden), 0U) << "the search finds what is there";
  }
  EXPECT_EQ(testing::CountInMemory(hidden), 0U);
  ASSERT_TRUE(resources_.Version(*caller, "default", SdsResources::Validation::kSpiffe).ok());
  { SdsResource moved = std::move(*resources_.Make(*caller, "default", SdsResources::Validation::kSpiffe)); }
  EXPECT_EQ(testing::CountInMemory(hidden), 0U);
}

TEST_F(Sds, NamesAreBounded) {
  discovery::DiscoveryRequest many = Ask({});
  discovery::DeltaDiscoveryRequest delta = AskDelta({});
  for (size_t i = 0; i <= limits::kMaxSdsNames; ++i) {
    many.add_resource_names("n" + std::to_string(i));
    delta.add_resource_names_subscribe("n" + std::to_string(i));
  }
  EXPECT_EQ(c_.Call(kStream, many, {}).code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(c_.Call(kFetch, many, {}).code(), ErrorCode::kResourceExhausted);
  EXPECT_EQ(c_.Call(kDelta, delta, {}).code(), ErrorCode::kResourceExhausted);
  const std::string longer(limits::kMaxSpiffeIdBytes + 1, 'n');
  EXPECT_EQ(c_.Call(kStream, Ask({longer.c_str()}), {}).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(c_.Call(kDelta, AskDelta({longer.c_str()}), {}).code(), ErrorCode::kInvalidArgument);
  struct Raw {
    std::string SerializeAsString() const { return "\xff\xff\xff"; }
  };
  for (const char* method : {kStream, kDelta, kFetch})
    EXPECT_EQ(c_.Call(method, Raw(), {}).code(), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace hexr::identity
