// What the policy commands do, on small policies: answers, exit conditions, messages.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"
#include "policy/tools/bench.h"
#include "policy/tools/check.h"
#include "policy/tools/eval.h"
#include "policy/tools/explain.h"
#include "policy/tools/test_runner.h"

namespace hexr::policy {
namespace {

using ::testing::HasSubstr;

Documents Of(std::initializer_list<std::pair<const char*, const char*>> files, std::string_view data = "{}") {
  Documents d;
  for (const auto& [name, text] : files) d.sources.push_back({name, text});
  d.data = *rego::ParseJson(*d.arena, data);
  return d;
}

class PolicyTools : public ::testing::Test {
 protected:
  EvalAnswer Ask(const Documents& d, EvalRequest request) { return Eval(d, request, clock_, random_); }
  SystemClock clock_;
  SystemRandom random_;
};

TEST_F(PolicyTools, EvalAnswersAsOpaDoes) {
  EXPECT_EQ(Ask(Of({}), {.query = "x := [1,2][_]; y = x+1; x > 1"}).text, R"({
  "result": [
    {
      "expressions": [
        {
          "value": true,
          "text": "x := [1,2][_]",
          "location": {
            "row": 1,
            "col": 1
          }
        },
        {
          "value": true,
          "text": "y = x+1",
          "location": {
            "row": 1,
            "col": 16
          }
        },
        {
          "value": true,
          "text": "x \u003e 1",
          "location": {
            "row": 1,
            "col": 25
          }
        }
      ],
      "bindings": {
        "x": 2,
        "y": 3
      }
    }
  ]
}
)");
}

TEST_F(PolicyTools, EvalKeepsALoneFalseAndDropsFalseRows) {
  EXPECT_THAT(Ask(Of({}), {.query = "1 > 2"}).text, HasSubstr("\"value\": false"));
  EXPECT_THAT(Ask(Of({}), {.query = "[1, false][_]", .format = EvalRequest::Format::kValues}).text, "[\n  1\n]\n");
  const EvalAnswer undefined = Ask(Of({}), {.query = "data.nothing"});
  EXPECT_EQ(undefined.text, "{}\n");
  EXPECT_TRUE(undefined.undefined);
}

TEST_F(PolicyTools, EvalReadsNamesInAPackageAndImports) {
  const Documents d = Of({{"a.rego", "package a.b\np := 7\nf(x) := x + 1\n"}}, R"({"c": {"d": 3}})");
  EvalRequest r{.query = "f(p) + d", .package = "a.b", .imports = {"data.c.d"}, .format = EvalRequest::Format::kRaw};
  EXPECT_EQ(Ask(d, r).text, "11\n");
  r = {.query = "x := [1, \"a\"][_]", .format = EvalRequest::Format::kPretty};
  EXPECT_EQ(Ask(d, r).text, "┌─────┐\n│  x  │\n├─────┤\n│ 1   │\n│ \"a\" │\n└─────┘\n");
}

TEST_F(PolicyTools, EvalReportsErrorsInOpasForm) {
  const EvalAnswer a = Ask(Of({{"a.rego", "package a\np := x\n"}}), {.query = "data.a.p"});
  EXPECT_TRUE(a.failed);
  EXPECT_THAT(a.text, HasSubstr("\"code\": \"rego_unsafe_var_error\""));
  EXPECT_THAT(a.text, HasSubstr("\"row\": 2,\n        \"col\": 6"));
  EXPECT_THAT(Ask(Of({}), {.query = "1/0", .strict_builtin_errors = true}).text, HasSubstr("divide by zero"));
}

constexpr char kAuthz[] = R"(package authz
default allow := false
allow if {
	input.role == "admin"
	input.level > 3
}
allow if input.owner
deny contains "late" if input.hour > 18
)";

TEST_F(PolicyTools, ExplainSaysWhatStoppedEachRule) {
  const Documents d = Of({{"authz.rego", kAuthz}});
  const EvalAnswer a = Ask(d, {.query = "data.authz",
                               .input_json = R"({"role": "admin", "level": 2, "hour": 20})",
                               .explain = true,
                               .format = EvalRequest::Format::kPretty});
  EXPECT_THAT(a.text, HasSubstr("authz.rego:3: data.authz.allow: stopped at line 5: input.level > 3"));
  EXPECT_THAT(a.text, HasSubstr("authz.rego:7: data.authz.allow: stopped at line 7: input.owner"));
  EXPECT_THAT(a.text, HasSubstr("authz.rego:8: data.authz.deny: gave a value"));
}

TEST_F(PolicyTools, TestsRunWithSubTestsAndCoverage) {
  const Documents d = Of({{"a.rego", "package a\np if input.x\nq if {\n\tinput.y\n\tinput.z\n}\n"},
                          {"a_test.rego",
                           "package a\n"
                           "test_p if p with input as {\"x\": true}\n"
                           "test_q if { print(\"hi\"); q with input as {} }\n"
                           "todo_test_r if false\n"
                           "test_s[name] if { some name, v in {\"one\": 1, \"two\": 2}; v == 1 }\n"}});
  auto report = RunTests(d, {.coverage = true}, clock_, random_);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  ASSERT_EQ(report->results.size(), 4u);
  EXPECT_EQ(report->passed(), 1u);
  EXPECT_EQ(report->skipped(), 1u);
  EXPECT_EQ(report->results[1].output, "hi\n");
  ASSERT_EQ(report->results[3].subs.size(), 2u);
  EXPECT_TRUE(report->results[3].subs[0].pass);
  EXPECT_FALSE(report->results[3].subs[1].pass);
  EXPECT_FALSE(report->results[3].pass);
  EXPECT_EQ(report->coverage.files["a.rego"].covered, (std::set<uint32_t>{2, 4}));
  EXPECT_EQ(report->coverage.files["a.rego"].not_covered, (std::set<uint32_t>{3, 5}));
  EXPECT_THAT(TestText(*report, true), HasSubstr("data.a.test_s: FAIL"));
  EXPECT_THAT(TestText(*report, true), HasSubstr("PASS: 1/4\nFAIL: 2/4\nSKIPPED: 1/4\n"));
  auto one = RunTests(d, {.run = "test_p$"}, clock_, random_);
  EXPECT_EQ(one->results.size(), 1u);
  EXPECT_FALSE(RunTests(d, {.run = "("}, clock_, random_).ok());
}

TEST_F(PolicyTools, CheckSaysWhereAndWhatToWrite) {
  const Documents d = Of({{"a.rego", "package a\n\nallow { input.x }\n"}, {"b.rego", "package b\np := y\n"}});
  CheckReport r = Check(d, {});
  ASSERT_FALSE(r.errors.empty());
  const std::string text = DiagnosticText(d, r.errors[0]);
  EXPECT_THAT(text, HasSubstr("a.rego:3:1: rego_parse_error: `if` keyword is required before rule body\n"));
  EXPECT_THAT(text, HasSubstr("  allow { input.x }\n  ^\n"));
  EXPECT_THAT(text, HasSubstr("help: write `if` between the head and the body"));
}

TEST_F(PolicyTools, StrictWarnsOfWideningAndCompositeNegation) {
  const Documents d = Of({{"a.rego",
                           "package a\n"
                           "allow if {\n\tinput.role == \"ops\"\n\tinput.mfa\n}\n"
                           "allow if input.role == \"ops\"\n"
                           "deny contains \"x\" if not count(input.roles) == 0\n"
                           "ok if not input.roles\n"}});
  CheckReport r = Check(d, {.strict = true});
  EXPECT_TRUE(r.errors.empty());
  ASSERT_EQ(r.warnings.size(), 2u);
  EXPECT_THAT(r.warnings[0].message, HasSubstr("`not` over a composite expression"));
  EXPECT_EQ(r.warnings[0].at.row, 7u);
  EXPECT_THAT(r.warnings[1].message, HasSubstr("widens the one at a.rego:2"));
  EXPECT_THAT(r.warnings[1].message, HasSubstr("input.mfa"));
  EXPECT_TRUE(Check(d, {}).warnings.empty());
}

TEST_F(PolicyTools, StrictFindsWhatIsNeverUsedAsOpaDoes) {
  const Documents d = Of({{"a.rego",
                           "package a\n"
                           "import data.b as c\n"
                           "p if { x := 1; input.y }\n"
                           "f(a, b) := a\n"
                           "q if { [a, b] := [1, 2]; a == 1 }\n"}});
  std::string all;
  for (const auto& e : Check(d, {.strict = true}).errors) all += std::to_string(e.at.row) + ": " + e.message + "\n";
  EXPECT_EQ(all,
            "3: assigned var x unused\n"
            "4: unused argument b. (hint: use _ (wildcard variable) instead)\n"
            "5: assigned var b unused\n"
            "2: import data.b as c unused\n");
  EXPECT_TRUE(Check(d, {}).errors.empty());
  const Documents declared = Of({{"a.rego", "package a\np if { some i; input.y }\n"}});
  ASSERT_EQ(Check(declared, {}).errors.size(), 1u);
  EXPECT_EQ(Check(declared, {}).errors[0].message, "declared var i unused");
}

TEST_F(PolicyTools, BenchCounts) {
  const Documents d = Of({{"authz.rego", kAuthz}});
  auto none = [] { return uint64_t{0}; };
  auto f = Bench(d, R"({"owner": true})", "data.authz.allow", std::chrono::milliseconds(5), rego::Version::kV1, none,
                 clock_, random_);
  ASSERT_TRUE(f.ok()) << f.error().ToString();
  EXPECT_GT(f->evals, 100u);
  EXPECT_GT(f->ns_p50, 0);
  EXPECT_LE(f->ns_p50, f->ns_p99);
  EXPECT_FALSE(Bench(d, "{", "data.authz.allow", {}, rego::Version::kV1, none, clock_, random_).ok());
}

TEST_F(PolicyTools, DocumentsMergeAndRefuseConflicts) {
  Documents d;
  rego::Arena& a = *d.arena;
  ASSERT_TRUE(d.Merge({"a", "b"}, *rego::ParseJson(a, R"({"c": 1})")).ok());
  ASSERT_TRUE(d.Merge({}, *rego::ParseJson(a, R"({"a": {"x": 2}})")).ok());
  EXPECT_EQ(rego::ToJson(d.data), R"({"a":{"b":{"c":1},"x":2}})");
  EXPECT_FALSE(d.Merge({"a", "b", "c"}, *rego::ParseJson(a, "2")).ok());
  EXPECT_FALSE(d.Merge({}, *rego::ParseJson(a, "[1]")).ok());
}

}  // namespace
}  // namespace hexr::policy
