#include "gateway/policy_decider.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/egress/egress.h"
#include "gateway/testing/fakes.h"

namespace hexr::gateway {
namespace {

using ::testing::HasSubstr;
using testing::MemorySink;

constexpr char kGrants[] = R"(package hexr.authz
allow if input.role == "main"
deny contains {"code": "late", "message": "not there"} if input.destination.host == "late.example"
)";

// The allow list's answer, or its failure.
class FixedList final : public Decider {
 public:
  bool WantsProcess() const override { return false; }
  void Decide(std::shared_ptr<const Call>, Done done) override {
    if (fails) return done(Internal("broken"));
    done(allows ? Allow("list") : Deny("default_deny", "the list says no"));
  }
  bool allows = true;
  bool fails = false;
};

class PolicyDeciderTest : public ::testing::Test {
 protected:
  std::shared_ptr<const policy::PolicySet> Set(const std::string& rego) {
    auto set = policy::PolicySet::Compile({{"authz.rego", rego}}, R"({"hosts": ["example.org"]})", "r7");
    EXPECT_TRUE(set.ok()) << (set.ok() ? "" : set.error().ToString());
    return *set;
  }
  std::shared_ptr<Call> MakeCall(const std::string& to = "example.org:443") {
    auto who = std::make_shared<InstanceFacts>(
        InstanceFacts{InstanceId::Make(1, "0123456789"), *IdSegment::Parse("acme"), *IdSegment::Parse("crew"),
                      *IdSegment::Parse("main"), *SpiffeId::Parse("spiffe://example.org/agent/acme/crew/main")});
    who->lineage = {*SpiffeId::Parse("spiffe://example.org/agent/acme/crew/boss"), who->spiffe_id};
    who->shares = {InstanceId::Make(2, "0123456789")};
    who->on_behalf_of.emplace(identity::OnBehalfOf{"alice", "https://login.example.org", claims_}, random_);
    return std::make_shared<Call>(Call{.id = "call",
                                       .instance = std::move(who),
                                       .process = std::make_shared<ProcessLookup>(),
                                       .door = Door::kProxyHttp,
                                       .destination = *HostPort::Parse(to),
                                       .action = "GET",
                                       .target = "/private?token=secret",
                                       .service = Service::kEgress});
  }
  Result<Decision> Decide(const std::string& rego, std::shared_ptr<Call> call,
                          policy::Mode mode = policy::Mode::kEnforce) {
    PolicyDecider decider(list_, Set(rego), mode, clock_, random_);
    std::optional<Result<Decision>> out;
    decider.Decide(call, [&](Result<Decision> d) { out.emplace(std::move(d)); });
    EXPECT_TRUE(out);
    return std::move(*out);
  }
  bool Allows(const std::string& condition) {
    const auto d = Decide("package hexr.authz\nallow if " + condition + "\n", MakeCall());
    return d.ok() && d->allowed();
  }

  ManualClock clock_{WallTime{std::chrono::seconds(1'772'443'800)}};
  SeededRandom random_{1};
  FixedList list_;
  std::string claims_ = R"({"groups":["staff"]})";
};

TEST_F(PolicyDeciderTest, BothHaveToAllow) {
  EXPECT_TRUE(Decide(kGrants, MakeCall())->allowed());
  EXPECT_EQ(Decide(kGrants, MakeCall())->rule(), "authz.rego:2");
  const auto by_policy = Decide(kGrants, MakeCall("late.example:80"));
  ASSERT_TRUE(by_policy.ok());
  EXPECT_FALSE(by_policy->allowed());
  EXPECT_EQ(by_policy->rule(), "policy");
  EXPECT_THAT(by_policy->message(), HasSubstr("late: not there"));
  list_.allows = false;
  EXPECT_EQ(Decide(kGrants, MakeCall())->rule(), "default_deny");
  EXPECT_EQ(Decide(kGrants, MakeCall(), policy::Mode::kAudit)->rule(), "default_deny") << "audit opens no list";
}

// INTERFACES' input, field by field: what a rule cannot see it cannot decide by.
TEST_F(PolicyDeciderTest, SeesTheCallAsDocumented) {
  for (
      const char* condition : {
          R"(input.spiffe_id == "spiffe://example.org/agent/acme/crew/main")",
          R"(input.tenant == "acme")",
          R"(input.agent == "crew")",
          R"(input.role == "main")",
          R"(count(input.instance) == 26)",
          R"(input.assurance == "attested")",
          R"(input.lineage[0] == "spiffe://example.org/agent/acme/crew/boss")",
          R"(count(input.shares) == 1)",
          R"(input.on_behalf_of.sub == "alice")",
          R"(input.on_behalf_of.issuer == "https://login.example.org")",
          R"("staff" in input.on_behalf_of.claims.groups)",
          R"(input.service == "egress")",
          R"(input.action == "GET")",
          R"(input.resource == "example.org:443")",
          R"(input.destination == {"host": "example.org", "port": 443, "scheme": "http", "method": "GET", "path": "/private"})",
          R"(input.time == "2026-03-02T09:30:00Z")",
          R"(input.timestamp == 1772443800)",
          R"(input.process == "unknown")",
          R"(not input.tool)",
          R"(not input.labels)",
          R"(input.destination.host in data.hosts)",
      }) {
    EXPECT_TRUE(Allows(condition)) << condition;
  }
  auto call = MakeCall();
  call->process->Finish(Process{.pid = 77, .exe = "/usr/bin/curl", .digest = {}, .registered = true});
  EXPECT_TRUE(Decide(R"(package hexr.authz
allow if {
	input.process.exe == "/usr/bin/curl"
	input.process.pid == 77
	input.process.registered
	startswith(input.process.digest, "sha256:00")
})",
                     call)
                  ->allowed());
  call = MakeCall("example.org:443");
  call->door = Door::kDns;
  call->service = Service::kDns;
  call->destination.port = 0;
  EXPECT_TRUE(
      Decide("package hexr.authz\nallow if {\n\tinput.service == \"dns\"\n\tinput.resource == \"example.org\"\n}", call)
          ->allowed());
}

TEST_F(PolicyDeciderTest, WaitsForTheProcessOnlyWhereARuleReadsIt) {
  const auto wants = [this](const std::string& condition) {
    return PolicyDecider(list_, Set("package hexr.authz\nallow if " + condition), policy::Mode::kEnforce, clock_,
                         random_)
        .WantsProcess();
  };
  EXPECT_FALSE(wants("input.role == \"main\""));
  EXPECT_TRUE(wants("input.process.registered"));
  EXPECT_TRUE(wants("input.process == \"unknown\""));
  EXPECT_TRUE(wants("is_object(input)"));
}

// INV-GW-01: every way in which the policy cannot answer is a deny, with the reason.
struct Broken {
  const char* name;
  const char* rego;
  const char* reason;
};
class BrokenPolicy : public PolicyDeciderTest, public ::testing::WithParamInterface<Broken> {};

TEST_P(BrokenPolicy, IsADeny) {
  const auto d = Decide(GetParam().rego, MakeCall());
  if (d.ok()) {
    EXPECT_FALSE(d->allowed());
    EXPECT_THAT(d->message(), HasSubstr(GetParam().reason));
  } else {
    EXPECT_THAT(d.error().message(), HasSubstr(GetParam().reason));
  }
}

INSTANTIATE_TEST_SUITE_P(
    EachWay, BrokenPolicy,
    ::testing::Values(
        Broken{"nothing", "package hexr.authz\n", "no policy defines"},
        Broken{"undefined", "package hexr.authz\nallow if false\n", "no rule of hexr.authz.allow"},
        Broken{"a_string", "package hexr.authz\nallow := \"yes\"\n", "no rule of hexr.authz.allow"},
        Broken{"an_error", "package hexr.authz\nallow if to_number(input.role) == 1\n", "policy_error"},
        Broken{"a_conflict", "package hexr.authz\nallow := true if input.role\nallow := false if input.tenant\n",
               "policy_error"},
        Broken{"deny_is_no_set", "package hexr.authz\nallow := true\ndeny := 7\n", "policy_error"},
        Broken{"an_obligation", "package hexr.authz\nallow := true\nobligations := {\"redact\": [\"pii\"]}\n",
               "'redact' is asked for"},
        Broken{"obligations_are_no_object", "package hexr.authz\nallow := true\nobligations := 7\n", "policy_error"}),
    [](const auto& info) { return info.param.name; });

TEST_F(PolicyDeciderTest, ABrokenListOrInputIsADeny) {
  claims_ = "{broken";
  EXPECT_THAT(Decide(kGrants, MakeCall()).error().message(), HasSubstr("not JSON"));
  claims_ = "{}";
  list_.fails = true;
  EXPECT_EQ(Decide(kGrants, MakeCall()).error().code(), ErrorCode::kInternal);
}

TEST_F(PolicyDeciderTest, AuditAllowsAndSaysSo) {
  const auto d = Decide(kGrants, MakeCall("late.example:80"), policy::Mode::kAudit);
  ASSERT_TRUE(d.ok() && d->allowed());
  ASSERT_NE(d->by_rego(), nullptr);
  EXPECT_TRUE(d->by_rego()->would_deny);
  EXPECT_THAT(d->by_rego()->reasons, HasSubstr("not there"));
}

// The record names the policy and the rules; the policy's words, which may quote what was asked, are a digest.
TEST_F(PolicyDeciderTest, TheRecordSaysWhichPolicyDecidedAndQuotesNothing) {
  std::vector<MemorySink::Entry> records;
  bool fail = false;
  MemorySink sink(records, fail);
  Recorder recorder(sink, clock_, random_);
  auto call = MakeCall();
  call->decision = *Decide(R"(package hexr.authz
allow := true
deny contains sprintf("not %s", [input.destination.path]) if true
)",
                           call, policy::Mode::kAudit);
  recorder.Decided(*call, [](const Status& s) { EXPECT_TRUE(s.ok()); });
  ASSERT_EQ(records.size(), 1u);
  const wire::Json* said = records[0].body.Find("policy");
  ASSERT_NE(said, nullptr);
  EXPECT_EQ(said->FindString("engine"), "hexr");
  EXPECT_EQ(said->FindString("revision"), "r7");
  EXPECT_EQ(said->FindBool("would_deny"), true);
  EXPECT_THAT(wire::ToJson(*said->Find("rules")), HasSubstr("authz.rego:"));
  EXPECT_EQ(said->Find("deny")->FindString("sha256").value_or("").size(), 64u);
  EXPECT_THAT(wire::ToJson(records[0].body), ::testing::Not(HasSubstr("private")));
  recorder.PolicyInForce(*SpiffeId::Parse("spiffe://example.org"), *IdSegment::Parse("acme"), *Set(kGrants),
                         policy::Mode::kEnforce, [](const Status& s) { EXPECT_TRUE(s.ok()); });
  EXPECT_EQ(records[1].kind, ledger::RecordKind::kPolicyChange);
  EXPECT_EQ(records[1].body.FindString("mode"), "enforce");
  EXPECT_THAT(wire::ToJson(*records[1].body.Find("read_set")), HasSubstr("input.destination.host"));
}

}  // namespace
}  // namespace hexr::gateway
