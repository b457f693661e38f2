#include "identity/workload_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>

#include <deque>

#include "base/bytes.h"
#include "base/limits/identity.h"
#include "crypto/svid.h"
#include "identity/claims.h"
#include "identity/testing/service_fixture.h"
#include "spiffe/workload.pb.h"

namespace hexr::identity {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::Connection;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kJwt;
using testing::kWriterId;
using testing::kX509;
using ::testing::Not;
using testing::Outcome;
using testing::Puppet;
using ::testing::SizeIs;

constexpr const char* kX509Bundles = "/SpiffeWorkloadAPI/FetchX509Bundles";
constexpr const char* kJwtBundles = "/SpiffeWorkloadAPI/FetchJWTBundles";
constexpr const char* kValidate = "/SpiffeWorkloadAPI/ValidateJWTSVID";
constexpr const char* kWit = "/SpiffeWorkloadAPI/FetchWITSVID";
constexpr const char* kWitBundles = "/SpiffeWorkloadAPI/FetchWITBundles";

class WorkloadApi : public testing::ServiceTest {
 protected:
  WorkloadApi() { Build(); }
  void Build(ProcessTier tier = ProcessTier::kPidfdInfo, RateLimiter::Options rate = {1e6, 1e6}) {
    Create(tier, rate);
    AddWorkloadApi(*router, *core, evidence);
  }
  Result<GatewaySvid> ForGateway(const InstanceId& id, ByteView spki) {
    std::optional<Result<GatewaySvid>> out;
    core->IssueForGateway(id, spki, [&out](Result<GatewaySvid> r) { out = std::move(r); });
    return std::move(out).value();
  }
  static JWTSVIDRequest JwtFor(std::initializer_list<const char*> audience, std::string_view id = "") {
    JWTSVIDRequest request;
    for (const char* a : audience) request.add_audience(a);
    request.set_spiffe_id(std::string(id));
    return request;
  }
  static ValidateJWTSVIDRequest Validate(std::string_view audience, std::string_view svid) {
    ValidateJWTSVIDRequest request;
    request.set_audience(std::string(audience));
    request.set_svid(std::string(svid));
    return request;
  }
};

TEST_F(WorkloadApi, AnInstanceGetsItsSvidWithTheFirstMessage) {
  Puppet agent;
  Launch(agent);
  Connection c(*router, clock, agent.pid());
  Outcome o;
  c.Open(kX509, X509SVIDRequest(), o);
  ASSERT_THAT(o.messages, SizeIs(1));
  EXPECT_FALSE(o.end.has_value());
  const auto response = o.Last<X509SVIDResponse>();
  ASSERT_THAT(response.svids(), SizeIs(1));
  const X509SVID& svid = response.svids(0);
  EXPECT_EQ(svid.spiffe_id(), kWriterId);
  const auto chain = crypto::Certificate::ParseChain(AsBytes(svid.x509_svid()));
  ASSERT_TRUE(chain.ok());
  crypto::X509BundleSet bundles;
  bundles.Set(*crypto::X509Bundle::Create(domain, *crypto::Certificate::ParseChain(AsBytes(svid.bundle()))));
  const auto verified = crypto::VerifySvid(*chain, bundles, clock.Wall());
  ASSERT_TRUE(verified.ok()) << verified.error().ToString();
  EXPECT_EQ(verified->id().ToString(), kWriterId);
  const auto key = crypto::PrivateKey::FromPkcs8(crypto::Secret::Copy(AsBytes(svid.x509_svid_key())));
  ASSERT_TRUE(key.ok());
  EXPECT_EQ(key->public_key(), *chain->front().public_key());
}

// Every tier of evidence leads to the same instance.
TEST_F(WorkloadApi, WorksInEveryTier) {
  for (const ProcessTier tier : {ProcessTier::kPidfdInfo, ProcessTier::kPidfd, ProcessTier::kProcfs}) {
    Build(tier);
    Puppet agent, stranger;
    Launch(agent);
    EXPECT_THAT(Connection(*router, clock, agent.pid()).Call(kJwt, JwtFor({"db"})).messages, SizeIs(1))
        << ProcessTierName(tier);
    EXPECT_EQ(Connection(*router, clock, stranger.pid()).Call(kJwt, JwtFor({"db"})).code(),
              ErrorCode::kPermissionDenied);
  }
}

TEST_F(WorkloadApi, TheSecurityHeaderIsAskedForOnce) {
  Puppet agent;
  Launch(agent);
  Connection c(*router, clock, agent.pid());
  const std::vector<std::vector<wire::HttpField>> bad = {
      {},
      {{"workload.spiffe.io", "TRUE"}},
      {{"workload.spiffe.io", ""}},
      {{"workload.spiffe.io", "true"}, {"workload.spiffe.io", "true"}}};
  for (const auto& metadata : bad) {
    EXPECT_EQ(c.Call(kX509, X509SVIDRequest(), metadata).code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(c.Call(kX509Bundles, X509BundlesRequest(), metadata).code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(c.Call(kJwt, JwtFor({"db"}), metadata).code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(c.Call(kJwtBundles, JWTBundlesRequest(), metadata).code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(c.Call(kValidate, Validate("a", "b"), metadata).code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(c.Call(kWit, WITSVIDRequest(), metadata).code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(c.Call(kWitBundles, WITBundlesRequest(), metadata).code(), ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(c.Call("/SpiffeWorkloadAPI/FetchNothing", X509SVIDRequest()).code(), ErrorCode::kUnimplemented);
}

TEST_F(WorkloadApi, WithoutAnIdentityNothingIsShown) {
  Puppet stranger;
  Connection c(*router, clock, stranger.pid());
  EXPECT_EQ(c.Call(kX509, X509SVIDRequest()).code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(c.Call(kX509Bundles, X509BundlesRequest()).code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(c.Call(kJwt, JwtFor({"db"})).code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(c.Call(kJwtBundles, JWTBundlesRequest()).code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(c.Call(kValidate, Validate("a", "b")).code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(c.Call(kWit, WITSVIDRequest()).code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(c.Call(kWitBundles, WITBundlesRequest()).code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(core->subscribers(), 0U);
  EXPECT_EQ(core->svids().processes(), 0U);
}

// A child that writes on the socket it inherited is the child, and has nothing of its parent's.
TEST_F(WorkloadApi, AChildGetsNothingUnlessTheRoleSaysSo) {
  for (const bool inherit : {false, true}) {
    Puppet agent([](int go, int ready) {
      const pid_t child = ::fork();
      if (child == 0) {
        ::pause();
        ::_exit(0);
      }
      if (::write(ready, &child, sizeof child) != sizeof child) ::_exit(1);
      char c;
      while (::read(go, &c, 1) == 1) {
      }
      ::kill(child, SIGKILL);
    });
    pid_t child = 0;
    ASSERT_EQ(::read(agent.ready(), &child, sizeof child), static_cast<ssize_t>(sizeof child));
    Match("service/host", {Uid()});  // what matches every process of this user must not match an agent's child
    Launch(agent, "writer", inherit);
    const Outcome of_child = Connection(*router, clock, child).Call(kJwt, JwtFor({"db"}));
    if (inherit) {
      ASSERT_THAT(of_child.messages, SizeIs(1));
      EXPECT_EQ(of_child.Last<JWTSVIDResponse>().svids(0).spiffe_id(), kWriterId);
      // An identity in common is no key in common.
      Connection a(*router, clock, agent.pid()), b(*router, clock, child);
      Outcome mine, theirs;
      a.Open(kX509, X509SVIDRequest(), mine);
      b.Open(kX509, X509SVIDRequest(), theirs);
      EXPECT_NE(mine.Last<X509SVIDResponse>().svids(0).x509_svid_key(),
                theirs.Last<X509SVIDResponse>().svids(0).x509_svid_key());
    } else {
      EXPECT_EQ(of_child.code(), ErrorCode::kPermissionDenied);
      EXPECT_THAT(of_child.end->error().message(), HasSubstr("children"));
    }
    ::kill(child, SIGKILL);
  }
}

TEST_F(WorkloadApi, AStreamEndsWithItsProcess) {
  auto agent = std::make_unique<Puppet>();
  const InstanceId id = Launch(*agent)->id();
  Connection c(*router, clock, agent->pid());
  Outcome svid, bundles;
  c.Open(kX509, X509SVIDRequest(), svid);
  c.Open(kX509Bundles, X509BundlesRequest(), bundles);
  const auto chain = crypto::Certificate::ParseChain(AsBytes(svid.Last<X509SVIDResponse>().svids(0).x509_svid()));
  agent->KillOnly();
  ASSERT_TRUE(Await([this] { return core->registry().size() == 0; }));
  c.Pump();
  EXPECT_EQ(svid.code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(bundles.code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(core->subscribers(), 0U);
  EXPECT_EQ(core->svids().processes(), 0U);
  EXPECT_TRUE(core->authority().IsRevoked(chain->front().serial()));
  EXPECT_EQ(core->registry().Find(id), nullptr);
}

TEST_F(WorkloadApi, QuarantineEndsStreamsAndRefusesRequests) {
  Puppet agent;
  const InstanceId id = Launch(agent)->id();
  Connection c(*router, clock, agent.pid());
  Outcome o;
  c.Open(kX509, X509SVIDRequest(), o);
  ASSERT_TRUE(core->registry().SetQuarantined(id, true).ok());
  c.Pump();
  EXPECT_EQ(o.code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(c.Call(kX509, X509SVIDRequest()).code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(ForGateway(id, {}).error().code(), ErrorCode::kPermissionDenied);
  ASSERT_TRUE(core->registry().SetQuarantined(id, false).ok());
  EXPECT_THAT(c.Call(kJwt, JwtFor({"db"})).messages, SizeIs(1));
}

TEST_F(WorkloadApi, ExecWithholdsAndANewImageStartsAfresh) {
  Puppet agent;
  const InstanceId id = Launch(agent)->id();
  Connection c(*router, clock, agent.pid());
  Outcome o;
  c.Open(kX509, X509SVIDRequest(), o);
  ASSERT_TRUE(core->registry().ExecStarting(id).ok());
  Outcome held;
  c.Open(kJwt, JwtFor({"db"}), held);
  EXPECT_THAT(held.messages, IsEmpty());
  ASSERT_TRUE(core->registry().ExecFailed(id).ok());
  c.Pump();
  EXPECT_THAT(held.messages, SizeIs(1));
  EXPECT_FALSE(o.end.has_value()) << "the same image goes on as before";
  EXPECT_THAT(o.messages, SizeIs(1));

  const auto chain = crypto::Certificate::ParseChain(AsBytes(o.Last<X509SVIDResponse>().svids(0).x509_svid()));
  ASSERT_TRUE(core->registry().ExecStarting(id).ok());
  ASSERT_TRUE(core->registry().ExecDone(id, {"/usr/bin/python3", {}, "", {}}).ok());
  c.Pump();
  EXPECT_TRUE(core->authority().IsRevoked(chain->front().serial())) << "what the old image held is void";
  EXPECT_EQ(o.code(), ErrorCode::kPermissionDenied);
  EXPECT_THAT(c.Call(kJwt, JwtFor({"db"})).messages, SizeIs(1));

  ASSERT_TRUE(core->registry().ExecStarting(id).ok());
  EXPECT_FALSE(core->registry().ExecDone(id, {"/usr/bin/nc", {}, "", {}}).ok());
  EXPECT_EQ(c.Call(kJwt, JwtFor({"db"})).code(), ErrorCode::kPermissionDenied);
}

TEST_F(WorkloadApi, StreamsAreToldOfNewSvidsAndBundles) {
  Puppet agent;
  Launch(agent);
  Connection c(*router, clock, agent.pid());
  Outcome svid, x509, jwt, wit;
  c.Open(kX509, X509SVIDRequest(), svid);
  c.Open(kX509Bundles, X509BundlesRequest(), x509);
  c.Open(kJwtBundles, JWTBundlesRequest(), jwt);
  c.Open(kWitBundles, WITBundlesRequest(), wit);
  core->Tick();
  c.Pump();
  EXPECT_THAT(svid.messages, SizeIs(1)) << "nothing new, nothing sent";
  const std::string first = svid.Last<X509SVIDResponse>().svids(0).x509_svid_key();

  clock.Advance(minutes(9));
  core->Tick();
  c.Pump();
  ASSERT_THAT(svid.messages, SizeIs(2));
  EXPECT_NE(svid.Last<X509SVIDResponse>().svids(0).x509_svid_key(), first);
  EXPECT_THAT(x509.messages, SizeIs(1));

  TrustBundle federated(*TrustDomain::Parse("other.org"));
  federated.x509_authorities = core->bundles().own().x509_authorities;
  ASSERT_TRUE(core->bundles().SetFederated(federated).ok());
  Settle();
  c.Pump();
  ASSERT_THAT(svid.messages, SizeIs(3));
  EXPECT_EQ(svid.Last<X509SVIDResponse>().federated_bundles().count("spiffe://other.org"), 1U);
  EXPECT_THAT(x509.Last<X509BundlesResponse>().bundles(), SizeIs(2));
  EXPECT_EQ(jwt.Last<JWTBundlesResponse>().bundles().at("spiffe://other.org"), R"({"keys":[]})");
  ASSERT_TRUE(core->bundles().RemoveFederated(*TrustDomain::Parse("other.org")).ok());
  Settle();
  c.Pump();
  EXPECT_THAT(svid.Last<X509SVIDResponse>().federated_bundles(), IsEmpty());
  EXPECT_THAT(x509.Last<X509BundlesResponse>().bundles(), SizeIs(1));

  const size_t before = x509.messages.size();
  ASSERT_TRUE(core->authority().Prepare(SigningUse::kX509).ok());
  Settle();
  c.Pump();
  EXPECT_EQ(x509.messages.size(), before + 1);
}

TEST_F(WorkloadApi, ATaintedAuthorityIsReplacedAtOnce) {
  Puppet agent;
  Launch(agent);
  Connection c(*router, clock, agent.pid());
  Outcome o;
  c.Open(kX509, X509SVIDRequest(), o);
  Authority& authority = core->authority();
  const std::string old = authority.Slots(SigningUse::kX509)[0].id;
  ASSERT_TRUE(authority.Prepare(SigningUse::kX509).ok());
  ASSERT_TRUE(authority.Activate(SigningUse::kX509).ok());
  ASSERT_TRUE(authority.Taint(SigningUse::kX509, old).ok());
  ASSERT_TRUE(authority.Revoke(SigningUse::kX509, old).ok());
  Settle();
  c.Pump();
  const auto response = o.Last<X509SVIDResponse>();
  crypto::X509BundleSet bundles;
  bundles.Set(
      *crypto::X509Bundle::Create(domain, *crypto::Certificate::ParseChain(AsBytes(response.svids(0).bundle()))));
  EXPECT_TRUE(crypto::VerifySvid(*crypto::Certificate::ParseChain(AsBytes(response.svids(0).x509_svid())), bundles,
                                 clock.Wall())
                  .ok());
}

TEST_F(WorkloadApi, RevocationsReachTheOthersOnOneList) {
  Puppet agent;
  Launch(agent);
  Connection c(*router, clock, agent.pid());
  Outcome o;
  c.Open(kX509, X509SVIDRequest(), o);
  EXPECT_THAT(o.Last<X509SVIDResponse>().crl(), IsEmpty());
  for (int i = 0; i < 3; ++i) {
    Puppet other;
    Launch(other, "editor");
    Outcome theirs;
    Connection(*router, clock, other.pid()).Open(kX509, X509SVIDRequest(), theirs);
    core->registry().End(core->registry().All().back()->id(), "test");
  }
  clock.Advance(seconds(2));
  core->Tick();
  c.Pump();
  ASSERT_THAT(o.messages, SizeIs(2)) << "three ends, one message";
  EXPECT_THAT(o.Last<X509SVIDResponse>().crl(), SizeIs(1));
}

TEST_F(WorkloadApi, MatchedProcessesGetEveryIdentityThatFits) {
  Puppet service;
  Match("service/db", {Uid()}, "internal");
  Match("service/audit", {Uid()}, "external");
  Match("service/other", {"unix:uid:4000000000"});
  Connection c(*router, clock, service.pid());
  Outcome o;
  c.Open(kX509, X509SVIDRequest(), o);
  const auto response = o.Last<X509SVIDResponse>();
  ASSERT_THAT(response.svids(), SizeIs(2));
  EXPECT_EQ(response.svids(0).spiffe_id(), "spiffe://example.org/service/db");
  EXPECT_EQ(response.svids(0).hint(), "internal");
  EXPECT_EQ(response.svids(1).hint(), "external");
  EXPECT_NE(response.svids(0).x509_svid_key(), response.svids(1).x509_svid_key());

  const auto jwt = c.Call(kJwt, JwtFor({"db"}, "spiffe://example.org/service/audit")).Last<JWTSVIDResponse>();
  ASSERT_THAT(jwt.svids(), SizeIs(1));
  EXPECT_EQ(jwt.svids(0).hint(), "external");

  // Withdrawn: absence is the message.
  ASSERT_TRUE(core->RemoveEntry("service/audit").ok());
  Settle();
  c.Pump();
  EXPECT_THAT(o.Last<X509SVIDResponse>().svids(), SizeIs(1));
  ASSERT_TRUE(core->RemoveEntry("service/db").ok());
  Settle();
  c.Pump();
  EXPECT_EQ(o.code(), ErrorCode::kPermissionDenied);
}

TEST_F(WorkloadApi, AMatchedProcessIsRevokedWhenItEnds) {
  Puppet service;
  Match("service/db", {Uid()});
  Connection c(*router, clock, service.pid());
  Outcome o;
  c.Open(kX509, X509SVIDRequest(), o);
  const auto chain = crypto::Certificate::ParseChain(AsBytes(o.Last<X509SVIDResponse>().svids(0).x509_svid()));
  service.KillOnly();
  ASSERT_TRUE(Await([this] { return core->svids().processes() == 0; }));
  c.Pump();
  EXPECT_EQ(o.code(), ErrorCode::kPermissionDenied);
  EXPECT_TRUE(core->authority().IsRevoked(chain->front().serial()));
}

// exec keeps pid, start time and pidfd: the image is looked at again before anything more is sent.
TEST_F(WorkloadApi, AMatchedProcessLosesItsIdentityWithItsImage) {
  Puppet service([](int go, int ready) {
    char c;
    if (::write(ready, "r", 1) != 1 || ::read(go, &c, 1) != 1) ::_exit(1);
    ::fcntl(ready, F_SETFD, FD_CLOEXEC);
    ::dup2(go, 0);
    ::execl("/bin/cat", "cat", nullptr);
    ::_exit(1);
  });
  ASSERT_TRUE(service.AwaitReady());
  Match("service/db", {Uid(), "unix:path:" + reader->Read(testing::EvidenceOf(service.pid()))->exe});
  Connection c(*router, clock, service.pid());
  Outcome o;
  c.Open(kX509, X509SVIDRequest(), o);
  ASSERT_THAT(o.messages, SizeIs(1));
  ASSERT_TRUE(service.Go());
  char byte;
  ASSERT_EQ(::read(service.ready(), &byte, 1), 0);
  core->Tick();
  c.Pump();
  EXPECT_EQ(o.code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(c.Call(kX509, X509SVIDRequest()).code(), ErrorCode::kPermissionDenied);
}

TEST_F(WorkloadApi, JwtSvidsNameTheUserAndKeepTheSubject) {
  Puppet agent;
  Launch(agent);
  Connection c(*router, clock, agent.pid());
  const auto response = c.Call(kJwt, JwtFor({"db", "mail"})).Last<JWTSVIDResponse>();
  ASSERT_THAT(response.svids(), SizeIs(1));
  const auto jwt = VerifyJwtSvid(
      response.svids(0).svid(), "mail", [this](const TrustDomain& td) { return core->bundles().Find(td); },
      clock.Wall());
  ASSERT_TRUE(jwt.ok());
  EXPECT_EQ(jwt->claims().FindString("sub"), kWriterId);
  EXPECT_EQ(jwt->claims().Find("on_behalf_of")->FindString("sub"), "alice");
  EXPECT_EQ(jwt->claims().Find("act"), nullptr) << "RFC 8693: a token that was exchanged has it, and none was";
  EXPECT_TRUE(jwt->claims().FindString("jti").has_value());

  EXPECT_EQ(c.Call(kJwt, JwtFor({})).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(c.Call(kJwt, JwtFor({""})).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(c.Call(kJwt, JwtFor({"db"}, "not an id")).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(c.Call(kJwt, JwtFor({"db"}, "spiffe://example.org/agent/acme/crew/editor")).code(),
            ErrorCode::kPermissionDenied);
  EXPECT_EQ(c.Call(kJwt, JwtFor({"db"}, kWriterId)).messages.size(), 1U);
}

TEST_F(WorkloadApi, ValidatesTokens) {
  Puppet agent;
  Launch(agent);
  Connection c(*router, clock, agent.pid());
  const std::string token = c.Call(kJwt, JwtFor({"db"})).Last<JWTSVIDResponse>().svids(0).svid();
  const auto good = c.Call(kValidate, Validate("db", token));
  const auto response = good.Last<ValidateJWTSVIDResponse>();
  EXPECT_EQ(response.spiffe_id(), kWriterId);
  EXPECT_EQ(response.claims().fields().at("aud").list_value().values(0).string_value(), "db");
  EXPECT_EQ(response.claims().fields().at("on_behalf_of").struct_value().fields().at("sub").string_value(), "alice");
  EXPECT_EQ(c.Call(kValidate, Validate("", token)).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(c.Call(kValidate, Validate("db", "")).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(c.Call(kValidate, Validate("mail", token)).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(c.Call(kValidate, Validate("db", token + "x")).code(), ErrorCode::kInvalidArgument);
  clock.Advance(minutes(6));
  EXPECT_EQ(c.Call(kValidate, Validate("db", token)).code(), ErrorCode::kInvalidArgument);
}

TEST_F(WorkloadApi, OnlyStandardClaimsOfForeignTokensPass) {
  Puppet agent;
  Launch(agent);
  const TrustDomain other = *TrustDomain::Parse("other.org");
  const crypto::PrivateKey key = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
  TrustBundle theirs(other);
  theirs.jwt_keys = {{key.public_key(), "k", "jwt-svid"}};
  ASSERT_TRUE(core->bundles().SetFederated(theirs).ok());
  const auto token = SignJwtSvid({*SpiffeId::Parse("spiffe://other.org/x"),
                                  {"db"},
                                  clock.Wall(),
                                  clock.Wall() + minutes(1),
                                  "j",
                                  "",
                                  Assurance::kAttested,
                                  OnBehalfOf{"root", "i", "{}"}},
                                 "k", key);
  const auto response =
      Connection(*router, clock, agent.pid()).Call(kValidate, Validate("db", *token)).Last<ValidateJWTSVIDResponse>();
  EXPECT_EQ(response.spiffe_id(), "spiffe://other.org/x");
  EXPECT_EQ(response.claims().fields().count("on_behalf_of"), 0U);
  EXPECT_EQ(response.claims().fields().count("assurance"), 0U);
  EXPECT_EQ(response.claims().fields().count("jti"), 1U);
}

TEST_F(WorkloadApi, WitSvidsComeWithTheirOwnKey) {
  Puppet agent;
  Launch(agent);
  Connection c(*router, clock, agent.pid());
  Outcome o, bundles;
  c.Open(kWit, WITSVIDRequest(), o);
  c.Open(kWitBundles, WITBundlesRequest(), bundles);
  const auto response = o.Last<WITSVIDResponse>();
  ASSERT_THAT(response.svids(), SizeIs(1));
  const FindBundle find = [this](const TrustDomain& td) { return core->bundles().Find(td); };
  const auto wit = VerifyWitSvid(response.svids(0).wit_svid(), find, clock.Wall());
  ASSERT_TRUE(wit.ok()) << wit.error().ToString();
  EXPECT_EQ(wit->id().ToString(), kWriterId);
  EXPECT_THAT(response.svids(0).wit_svid_key(), HasSubstr(Base64UrlEncode(wit->holder().parts().first)));
  EXPECT_THAT(bundles.Last<WITBundlesResponse>().bundles().at("spiffe://example.org"), HasSubstr("kid"));
  clock.Advance(minutes(9));
  core->Tick();
  c.Pump();
  EXPECT_THAT(o.messages, SizeIs(2));
  WITSVIDRequest request;
  request.set_spiffe_id("nonsense");
  EXPECT_EQ(c.Call(kWit, request).code(), ErrorCode::kInvalidArgument);
  request.set_spiffe_id("spiffe://example.org/other");
  EXPECT_EQ(c.Call(kWit, request).code(), ErrorCode::kPermissionDenied);
}

TEST_F(WorkloadApi, ACallerThatAsksTooOftenWaitsAlone) {
  Build(ProcessTier::kPidfdInfo, {10, 5});
  Puppet loud, quiet;
  Launch(loud);
  Launch(quiet, "editor");
  Connection c(*router, clock, loud.pid());
  for (int i = 0; i < 5; ++i) EXPECT_THAT(c.Call(kJwt, JwtFor({"db"})).messages, SizeIs(1));
  EXPECT_EQ(c.Call(kJwt, JwtFor({"db"})).code(), ErrorCode::kResourceExhausted);
  EXPECT_THAT(Connection(*router, clock, quiet.pid()).Call(kJwt, JwtFor({"db"})).messages, SizeIs(1));
  clock.Advance(seconds(1));
  EXPECT_THAT(c.Call(kJwt, JwtFor({"db"})).messages, SizeIs(1));
}

// children: inherit, and children without end.
TEST_F(WorkloadApi, StreamsOfAnInstanceAreBoundedOverItsProcesses) {
  constexpr size_t kChildren = limits::kMaxStreamsPerInstance / limits::kMaxStreamsPerProcess + 1;
  Puppet agent(Puppet::Parent<kChildren>);
  pid_t children[kChildren];
  ASSERT_EQ(::read(agent.ready(), children, sizeof children), static_cast<ssize_t>(sizeof children));
  Puppet other;
  Launch(agent, "writer", true);
  Launch(other, "editor");
  std::vector<std::unique_ptr<Connection>> connections;
  std::deque<Outcome> outcomes;
  size_t served = 0;
  for (const pid_t child : children) {
    auto& c = connections.emplace_back(std::make_unique<Connection>(*router, clock, child));
    for (size_t i = 0; i < limits::kMaxStreamsPerProcess; ++i) {
      c->Open(kX509Bundles, X509BundlesRequest(), outcomes.emplace_back());
      served += !outcomes.back().end;
    }
  }
  EXPECT_EQ(served, limits::kMaxStreamsPerInstance);
  EXPECT_EQ(outcomes.back().code(), ErrorCode::kResourceExhausted);
  Outcome theirs;
  Connection o(*router, clock, other.pid());
  o.Open(kX509Bundles, X509BundlesRequest(), theirs);
  EXPECT_THAT(theirs.messages, SizeIs(1));
}

TEST_F(WorkloadApi, StreamsOfOneProcessAreBounded) {
  Puppet agent;
  Launch(agent);
  Connection c(*router, clock, agent.pid());
  std::vector<Outcome> outcomes(limits::kMaxStreamsPerProcess + 1);
  std::vector<int32_t> calls;
  for (Outcome& o : outcomes) calls.push_back(c.Open(kX509Bundles, X509BundlesRequest(), o));
  EXPECT_EQ(outcomes.back().code(), ErrorCode::kResourceExhausted);
  c.Cancel(calls.front());
  EXPECT_EQ(core->subscribers(), limits::kMaxStreamsPerProcess - 1);
  Outcome again;
  c.Open(kX509Bundles, X509BundlesRequest(), again);
  EXPECT_THAT(again.messages, SizeIs(1));
}

TEST_F(WorkloadApi, GarbageIsRefused) {
  Puppet agent;
  Launch(agent);
  Connection c(*router, clock, agent.pid());
  struct Raw {
    std::string SerializeAsString() const { return "\xff\xff\xff"; }
  };
  EXPECT_EQ(c.Call(kJwt, Raw()).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(c.Call(kValidate, Raw()).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(c.Call(kWit, Raw()).code(), ErrorCode::kInvalidArgument);
}

TEST_F(WorkloadApi, ManyStreamsAreToldInTurnsSoThatNobodyWaitsForAllOfThem) {
  Puppet agent;
  Launch(agent);
  Connection c(*router, clock, agent.pid());
  std::vector<Outcome> streams(50);
  for (Outcome& o : streams) c.Open(kX509Bundles, X509BundlesRequest(), o);
  const auto told = [&] {
    c.Pump();
    return std::count_if(streams.begin(), streams.end(), [](const Outcome& o) { return o.messages.size() == 2; });
  };
  TrustBundle federated(*TrustDomain::Parse("other.org"));
  federated.x509_authorities = core->bundles().own().x509_authorities;
  ASSERT_TRUE(core->bundles().SetFederated(federated).ok());
  core->Tick();
  EXPECT_GT(told(), 0);
  EXPECT_LT(told(), 50);
  Settle();
  EXPECT_EQ(told(), 50);
}

struct Counted final : Subscriber {
  explicit Counted(Core& c) : core(c) {}
  ~Counted() override { core.Unsubscribe(*this); }
  void Refresh() override { ++refreshed; }
  Core& core;
  int refreshed = 0;
};

TEST_F(WorkloadApi, AStreamIsLookedAtWhenItsTimeHasComeAndNotBefore) {
  Puppet agent;
  const Instance* instance = Launch(agent);
  const std::string process = instance->id().value();
  Counted one(*core);
  ASSERT_TRUE(core->Subscribe(one, process, instance->id()).ok());
  const auto renew = [&] { ASSERT_TRUE(core->svids().X509(process, instance->identity, minutes(15)).ok()); };
  const auto tick = [&] {
    one.refreshed = 0;
    core->Tick();
    Settle();
    return one.refreshed;
  };
  renew();
  for (int i = 0; i < 60; ++i) {
    clock.Advance(seconds(1));
    EXPECT_EQ(tick(), 0);
  }
  clock.Advance(minutes(8));
  EXPECT_EQ(tick(), 1) << "half of its life is over";
  clock.Advance(seconds(1));
  EXPECT_EQ(tick(), 1) << "nothing was made anew: again";
  renew();
  clock.Advance(seconds(1));
  EXPECT_EQ(tick(), 0);
  clock.StepWall(-minutes(30));
  EXPECT_EQ(tick(), 1) << "a stepped clock makes every life another one";
  clock.Advance(seconds(1));
  EXPECT_EQ(tick(), 0);
}

// Nothing tells of an exec or of another uid: everybody is looked at again within five seconds, a part in each.
TEST_F(WorkloadApi, MatchedProcessesAreLookedAtInTurns) {
  std::vector<std::unique_ptr<Counted>> many;
  for (int i = 0; i < 200; ++i) {
    many.push_back(std::make_unique<Counted>(*core));
    ASSERT_TRUE(core->Subscribe(*many.back(), "process:" + std::to_string(i), std::nullopt).ok());
  }
  const auto total = [&] {
    int n = 0;
    for (const auto& m : many) n += m->refreshed;
    return n;
  };
  core->Tick();
  Settle();
  EXPECT_GT(total(), 0);
  EXPECT_LT(total(), 50);
  for (int i = 0; i < 4; ++i) {
    core->Tick();
    Settle();
  }
  for (const auto& m : many) EXPECT_GE(m->refreshed, 1);
  EXPECT_LT(total(), 250);
}

TEST_F(WorkloadApi, RevocationsOfAKillDoNotWait) {
  Puppet agent;
  Launch(agent);
  Connection c(*router, clock, agent.pid());
  Outcome o;
  c.Open(kX509, X509SVIDRequest(), o);
  for (int i = 0; i < 3; ++i) {
    Puppet other;
    const InstanceId id = Launch(other, "editor")->id();
    Outcome theirs;
    Connection(*router, clock, other.pid()).Open(kX509, X509SVIDRequest(), theirs);
    core->registry().End(id, "test");
    core->PushCrls();
  }
  EXPECT_THAT(o.messages, SizeIs(1));
  Settle();
  c.Pump();
  ASSERT_THAT(o.messages, SizeIs(2)) << "three ends, one message";
  const auto last = o.Last<X509SVIDResponse>();
  EXPECT_THAT(last.crl(), SizeIs(1));
  EXPECT_EQ(last.svids(0).bundle(), AsText(core->bundles().own().X509Der()));
}

TEST_F(WorkloadApi, TheGatewayGetsACertificateForItsOwnKey) {
  Puppet agent;
  const InstanceId id = Launch(agent)->id();
  const crypto::PrivateKey key = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
  const auto svid = ForGateway(id, key.public_key().spki());
  ASSERT_TRUE(svid.ok());
  const auto leaf = crypto::Certificate::Parse(svid->chain_der.front());
  EXPECT_EQ(leaf->uris(), std::vector<std::string>{kWriterId});
  EXPECT_EQ(*leaf->public_key(), key.public_key());
  core->registry().End(id, "test");
  EXPECT_TRUE(core->authority().IsRevoked(leaf->serial()));
  EXPECT_EQ(ForGateway(id, key.public_key().spki()).error().code(), ErrorCode::kNotFound);
}

TEST(RateLimiter, RemembersSoManyCallers) {
  ManualClock clock{WallTime{}};
  RateLimiter limiter(clock, {1, 1}, limits::kMaxRateLimitedCallers);
  for (size_t i = 0; i < limits::kMaxRateLimitedCallers + 10; ++i) EXPECT_TRUE(limiter.Admit(std::to_string(i)));
  EXPECT_EQ(limiter.size(), limits::kMaxRateLimitedCallers);
}

TEST(RateLimiter, ForgetsTheOldestCallerFirst) {
  ManualClock clock{WallTime{}};
  RateLimiter limiter(clock, {1, 1}, 2);
  EXPECT_TRUE(limiter.Admit("a"));
  EXPECT_TRUE(limiter.Admit("b"));
  EXPECT_FALSE(limiter.Admit("a"));
  EXPECT_TRUE(limiter.Admit("c"));  // b is forgotten
  EXPECT_FALSE(limiter.Admit("a"));
  EXPECT_EQ(limiter.size(), 2U);
  clock.Advance(std::chrono::hours(1));
  EXPECT_TRUE(limiter.Admit("a"));
  EXPECT_FALSE(limiter.Admit("a")) << "an hour of rest is worth one burst";
}

}  // namespace
}  // namespace hexr::identity
