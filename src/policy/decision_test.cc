#include "policy/decision.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace hexr::policy {
namespace {

constexpr char kPolicy[] = R"(package hexr.authz

default allow := false

allow if {
	input.role == "researcher"
	input.tool.name in data.tools[input.tool.server]
}

deny contains {"code": "path", "message": "only reports may be read"} if not startswith(input.tool.args.path, "/reports/")

deny contains "untrusted text was read" if {
	"untrusted" in input.labels
	input.service == "egress"
}

obligations["max_ttl"] := "15m" if input.assurance == "attested"
)";

Call ToolCall(std::string_view args) {
  Call c;
  c.spiffe_id = "spiffe://example.org/agent/default/crew/researcher";
  c.tenant = "default";
  c.agent = "crew";
  c.role = "researcher";
  c.service = "mcp";
  c.action = "tools/call";
  c.assurance = "attested";
  c.tool = Call::Tool{"files", "read", args, {}, {}};
  return c;
}

class AuthorizerTest : public testing::Test {
 protected:
  Decision Decide(const std::string& policy, const Call& call,
                  std::string_view data = R"({"tools": {"files": ["read"]}})") {
    auto set = PolicySet::Compile({{"p.rego", policy}}, data, "r1");
    EXPECT_TRUE(set.ok()) << (set.ok() ? "" : set.error().ToString());
    Authorizer a(*set, clock_, random_);
    return a.Decide(call);
  }
  ManualClock clock_{WallTime{}};
  SeededRandom random_{1};
};

TEST_F(AuthorizerTest, AllowsWhatARuleGrants) {
  Decision d = Decide(kPolicy, ToolCall(R"({"path": "/reports/q3"})"));
  EXPECT_TRUE(d.allow);
  EXPECT_TRUE(d.deny.empty());
  EXPECT_EQ(d.obligations_json, R"({"max_ttl":"15m"})");
}

TEST_F(AuthorizerTest, DenyWinsOverAllow) {
  Decision d = Decide(kPolicy, ToolCall(R"({"path": "/etc/shadow"})"));
  EXPECT_FALSE(d.allow);
  ASSERT_EQ(d.deny.size(), 1u);
  EXPECT_EQ(d.deny[0].code, "path");
  EXPECT_EQ(d.deny[0].message, "only reports may be read");
}

TEST_F(AuthorizerTest, UndefinedIsADenyWithAReason) {
  Call c = ToolCall(R"({"path": "/reports/q3"})");
  c.role = "writer";
  Decision d = Decide(kPolicy, c);
  EXPECT_FALSE(d.allow);
  ASSERT_EQ(d.deny.size(), 1u);
  EXPECT_EQ(d.deny[0].code, "not_allowed");
  EXPECT_FALSE(Decide("package other\nallow := true\n", c).allow);
}

TEST_F(AuthorizerTest, OnlyTrueAllows) {
  for (const char* value : {"\"true\"", "1", "{\"a\"}", "null", "false"}) {
    EXPECT_FALSE(Decide(std::string("package hexr.authz\nallow := ") + value + "\n", ToolCall("{}")).allow) << value;
  }
}

TEST_F(AuthorizerTest, ConflictsAndErrorsDeny) {
  for (const char* policy :
       {"package hexr.authz\nallow := x if some x in [true, false]\n", "package hexr.authz\nallow if 1 / 0 == 1\n",
        "package hexr.authz\nallow := true\ndeny := 3\n", "package hexr.authz\nallow := true\nobligations := 3\n",
        "package hexr.authz\nallow := true\ndeny contains x if x := to_number(\"x\")\n"}) {
    Decision d = Decide(policy, ToolCall("{}"));
    EXPECT_FALSE(d.allow) << policy;
    EXPECT_TRUE(d.failed) << policy;
    EXPECT_EQ(d.deny.at(0).code, "policy_error") << policy;
  }
}

TEST_F(AuthorizerTest, InputThatIsNotJsonDenies) {
  EXPECT_FALSE(Decide("package hexr.authz\nallow := true\n", ToolCall("{broken")).allow);
}

TEST_F(AuthorizerTest, WhatDoesNotApplyIsAbsent) {
  Call c = ToolCall("{}");
  EXPECT_TRUE(Decide("package hexr.authz\nallow if { not input.peer; not input.model; not input.budget; not "
                     "input.session; not input.destination }\n",
                     c)
                  .allow);
  c.process = Call::Process{};
  EXPECT_TRUE(Decide("package hexr.authz\nallow if input.process == \"unknown\"\n", c).allow);
}

TEST(PolicySetTest, KnowsWhatIsRead) {
  auto set = PolicySet::Compile({{"p.rego", kPolicy}}, "{}", "r1");
  ASSERT_TRUE(set.ok());
  const auto& read = (*set)->read_set();
  EXPECT_NE(std::find(read.begin(), read.end(), "input.tool.args.path"), read.end());
  EXPECT_EQ(std::find(read.begin(), read.end(), "input.peer"), read.end());
}

TEST(PolicySetTest, LoadsAFolderAsOpaDoes) {
  auto folder = std::filesystem::path(testing::TempDir()) / "policy_set_test";
  std::filesystem::create_directories(folder / "a" / "b");
  std::ofstream(folder / "p.rego") << "package hexr.authz\nallow if data.a.b.x == 1\nallow if data.y == 2\n";
  std::ofstream(folder / "a" / "b" / "data.json") << R"({"x": 1})";
  std::ofstream(folder / "data.yaml") << "y: 3\n";
  auto set = PolicySet::LoadFolder(folder);
  ASSERT_TRUE(set.ok()) << set.error().ToString();
  ManualClock clock{WallTime{}};
  SeededRandom random(1);
  EXPECT_TRUE(Authorizer(*set, clock, random).Decide(Call{}).allow);
  std::ofstream(folder / "bad.rego") << "package x\np := {\n";
  auto broken = PolicySet::LoadFolder(folder);
  ASSERT_FALSE(broken.ok());
  EXPECT_NE(broken.error().message().find("bad.rego:"), std::string::npos);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace hexr::policy
