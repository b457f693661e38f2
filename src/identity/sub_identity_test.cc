#include "identity/sub_identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/limits/identity.h"
#include "crypto/svid.h"
#include "hexr/identity/v1/sub_identity.pb.h"
#include "identity/testing/service_fixture.h"
#include "identity/token.h"

namespace hexr::identity {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;
using testing::Connection;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::Puppet;
using ::testing::SizeIs;
namespace pb = ::hexr::identity::v1;

constexpr const char* kMint = "/hexr.identity.v1.SubIdentity/Mint";
constexpr const char* kRevoke = "/hexr.identity.v1.SubIdentity/Revoke";

class SubIdentityTest : public testing::ServiceTest {
 protected:
  SubIdentityTest() { AddSubIdentityService(*router, *core, subs_, evidence); }
  static pb::MintRequest Mint(std::string_view name, uint32_t ttl = 0) {
    pb::MintRequest request;
    request.set_name(std::string(name));
    request.set_ttl_seconds(ttl);
    return request;
  }
  SubIdentities subs_{*core};
};

TEST_F(SubIdentityTest, AProcessNamesAPartOfItself) {
  Puppet agent;
  const Instance* instance = Launch(agent, "writer", false, true);
  Connection c(*router, clock, agent.pid());
  pb::MintRequest request = Mint("planner");
  request.add_audience("db");
  const auto response = c.Call(kMint, request).Last<pb::MintResponse>();
  EXPECT_EQ(response.spiffe_id(), "spiffe://example.org/agent/acme/crew/writer/sub/planner");
  EXPECT_EQ(response.assurance(), "asserted");
  EXPECT_THAT(response.lineage(), ElementsAre("spiffe://example.org/agent/acme/crew/writer"));
  const auto chain = crypto::Certificate::ParseChain(AsBytes(response.x509_svid()));
  const auto verified = crypto::VerifySvid(*chain, core->bundles().x509(), clock.Wall());
  ASSERT_TRUE(verified.ok());
  EXPECT_EQ(verified->id().ToString(), response.spiffe_id());
  ASSERT_THAT(response.jwt_svid(), SizeIs(1));
  const FindBundle find = [this](const TrustDomain& td) { return core->bundles().Find(td); };
  const auto jwt = VerifyJwtSvid(response.jwt_svid(0), "db", find, clock.Wall());
  ASSERT_TRUE(jwt.ok());
  EXPECT_EQ(jwt->claims().FindString("assurance"), "asserted");
  EXPECT_EQ(jwt->claims().Find("on_behalf_of")->FindString("sub"), "alice");
  ASSERT_THAT(subs_.Of(instance->id()), SizeIs(1));
  EXPECT_EQ(subs_.Of(instance->id())[0].name, "planner");
}

TEST_F(SubIdentityTest, NeedsARoleThatAllowsItAndTheProcessItself) {
  Puppet agent, stranger;
  Launch(agent, "writer", true, false);
  Match("service/db", {Uid()});
  EXPECT_EQ(Connection(*router, clock, agent.pid()).Call(kMint, Mint("x")).code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(Connection(*router, clock, stranger.pid()).Call(kMint, Mint("x")).code(), ErrorCode::kPermissionDenied);
  EXPECT_EQ(Connection(*router, clock, agent.pid()).Call(kMint, Mint("x"), {}).code(), ErrorCode::kInvalidArgument);
}

TEST_F(SubIdentityTest, ANameIsOneSegment) {
  Puppet agent;
  Launch(agent, "writer", false, true);
  Connection c(*router, clock, agent.pid());
  const std::vector<std::string> bad = {"", ".", "..", "a/b", "../editor", "ä", "a b", std::string(129, 'a')};
  for (const std::string& name : bad) {
    EXPECT_EQ(c.Call(kMint, Mint(name)).code(), ErrorCode::kInvalidArgument) << name;
  }
}

TEST_F(SubIdentityTest, EachAudienceCountsAsARequest) {
  Create(ProcessTier::kPidfdInfo, {.per_second = 0, .burst = limits::kMaxAudiences + 10});
  SubIdentities subs(*core);
  AddSubIdentityService(*router, *core, subs, evidence);
  Puppet agent;
  Launch(agent, "writer", false, true);
  Connection c(*router, clock, agent.pid());
  pb::MintRequest request = Mint("planner");
  for (size_t i = 0; i < limits::kMaxAudiences; ++i) request.add_audience("db" + std::to_string(i));
  EXPECT_THAT(c.Call(kMint, request).messages, SizeIs(1));
  EXPECT_EQ(c.Call(kMint, request).code(), ErrorCode::kResourceExhausted);
  EXPECT_THAT(c.Call(kMint, Mint("planner")).messages, SizeIs(1)) << "what is left is enough for this";
}

TEST_F(SubIdentityTest, NeverLivesLongerThanItsProcessMay) {
  Puppet agent;
  Launch(agent, "writer", false, true);
  Connection c(*router, clock, agent.pid());
  const auto end = [&](const pb::MintRequest& request) {
    const auto response = c.Call(kMint, request).Last<pb::MintResponse>();
    const auto leaf = crypto::Certificate::ParseChain(AsBytes(response.x509_svid()))->front();
    return leaf.not_after() - clock.Wall();
  };
  EXPECT_EQ(end(Mint("a", 86'400)), minutes(15));
  EXPECT_EQ(end(Mint("b", 60)), seconds(60));
  EXPECT_EQ(end(Mint("a", 60)), seconds(60)) << "a shorter life is a new certificate";
}

TEST_F(SubIdentityTest, EndsWithItsTimeItsRevocationOrItsProcess) {
  Puppet agent;
  const InstanceId id = Launch(agent, "writer", false, true)->id();
  Connection c(*router, clock, agent.pid());
  const auto mint = [&](std::string_view name) {
    const auto response = c.Call(kMint, Mint(name)).Last<pb::MintResponse>();
    const auto chain = crypto::Certificate::ParseChain(AsBytes(response.x509_svid()));
    const ByteView serial = chain->front().serial();
    return Bytes(serial.begin(), serial.end());
  };
  const Bytes a = mint("a");
  const Bytes b = mint("b");
  pb::RevokeRequest revoke;
  revoke.set_name("a");
  EXPECT_THAT(c.Call(kRevoke, revoke).messages, SizeIs(1));
  EXPECT_EQ(c.Call(kRevoke, revoke).code(), ErrorCode::kNotFound);
  EXPECT_TRUE(core->authority().IsRevoked(a));
  EXPECT_FALSE(core->authority().IsRevoked(b));
  EXPECT_THAT(subs_.Of(id), SizeIs(1));
  core->registry().End(id, "test");
  EXPECT_TRUE(core->authority().IsRevoked(b));
  subs_.Forget(id);
  EXPECT_THAT(subs_.Of(id), IsEmpty());
}

TEST_F(SubIdentityTest, AreBoundedAndExpire) {
  Puppet agent;
  const InstanceId id = Launch(agent, "writer", false, true)->id();
  Connection c(*router, clock, agent.pid());
  for (size_t i = 0; i < limits::kMaxSubIdentities; ++i) {
    ASSERT_THAT(c.Call(kMint, Mint("n" + std::to_string(i), 60)).messages, SizeIs(1));
  }
  EXPECT_EQ(c.Call(kMint, Mint("more")).code(), ErrorCode::kResourceExhausted);
  EXPECT_THAT(c.Call(kMint, Mint("n0", 60)).messages, SizeIs(1)) << "what is alive is no new one";
  clock.Advance(minutes(2));
  EXPECT_THAT(subs_.Of(id), IsEmpty());
  EXPECT_THAT(c.Call(kMint, Mint("more")).messages, SizeIs(1));
  EXPECT_THAT(subs_.Of(id), SizeIs(1));
}

}  // namespace
}  // namespace hexr::identity
