// Type errors as OPA 1.18 reports them, text by text, and what must pass.
#include <gtest/gtest.h>

#include "base/limits/rego.h"
#include "policy/rego/engine.h"
#include "policy/rego/value/json.h"

namespace hexr::rego {
namespace {

std::string Errors(const std::string& rules) {
  std::vector<Diagnostic> errors;
  Policy::Compile({{"t.rego", "package t\n" + rules}}, {}, errors);
  std::string out;
  for (const Diagnostic& d : errors)
    out += std::to_string(d.at.row) + ": " + d.code + ": " + d.message + d.details + "\n";
  return out;
}

TEST(RegoTypes, ReportsWhatCanNeverHold) {
  EXPECT_EQ(Errors("a := 1 + \"a\"\n"),
            "2: rego_type_error: plus: invalid argument(s)\n\thave: (number, string, ?\?\?)\n"
            "\twant: (x: number, y: number, z: number)\n");
  EXPECT_EQ(Errors("b if count(1) > 2\n"),
            "2: rego_type_error: count: invalid argument(s)\n\thave: (number, ?\?\?)\n"
            "\twant: (collection: any<string, array[any], object[any: any], set[any]>, n: number)\n");
  EXPECT_EQ(Errors("c if \"x\" == 1\n"), "2: rego_type_error: match error\n\tleft  : string\n\tright : number\n");
  EXPECT_EQ(Errors("c if {\n\tx := 1\n\tx == \"s\"\n}\n"),
            "4: rego_type_error: match error\n\tleft  : number\n\tright : string\n");
  EXPECT_EQ(Errors("f(x) := x + 1\ng := f(\"a\")\n"),
            "3: rego_type_error: data.t.f: invalid argument(s)\n\thave: (string, ?\?\?)\n\twant: (number, number)\n");
  EXPECT_EQ(Errors("i := sum([1, \"a\"])\n"),
            "2: rego_type_error: sum: invalid argument(s)\n\thave: (array<number, string>, ?\?\?)\n"
            "\twant: (collection: any<array[number], set[number]>, n: number)\n");
}

TEST(RegoTypes, ReportsRefsToNothing) {
  EXPECT_EQ(Errors("d := {\"k\": 1}\ne := d.z\n"),
            "3: rego_type_error: undefined ref: data.t.d.z\n\tdata.t.d.z\n\t         ^\n\t         have: \"z\"\n"
            "\t         want (one of): [\"k\"]\n");
  EXPECT_EQ(Errors("d := {\"k\": 1}\nj if data.t.d.k.l\n"),
            "3: rego_type_error: undefined ref: data.t.d.k.l\n\tdata.t.d.k.l\n\t^^^^^^^^^^\n\thave: number\n");
  EXPECT_EQ(Errors("f(x) := x + 1\nh := f.foo\n"),
            "3: rego_type_error: function data.t.f.foo used as reference, not called\n\tdata.t.f.foo\n\t^^^^^^^^\n"
            "\thave: (number) => number\n");
}

std::string ErrorsWith(const std::string& schema, const std::string& rules) {
  Arena arena;
  std::vector<Diagnostic> errors;
  Policy::Compile({{"t.rego", "package t\n" + rules}}, {.input_schema = *ParseJson(arena, schema)}, errors);
  std::string out;
  for (const Diagnostic& d : errors) out += d.message + d.details + "\n";
  return out;
}

TEST(RegoTypes, SchemasSayWhatInputIs) {
  const std::string schema = R"({"definitions": {"node": {"properties": {"name": {"type": "string"},
      "children": {"type": "array", "items": {"$ref": "#/definitions/node"}}}}},
    "properties": {"a": {"type": "integer"}, "b": {"type": "object"}, "n": {"$ref": "#/definitions/node"},
      "open": {"properties": {"x": {"type": "boolean"}}, "additionalProperties": true},
      "map": {"type": "object", "additionalProperties": {"type": "number"}},
      "either": {"anyOf": [{"type": "string"}, {"properties": {"y": {"type": "null"}}}]},
      "maybe": {"type": ["string", "null"]},
      "both": {"allOf": [{"properties": {"p": {"type": "string"}}}, {"properties": {"q": {"type": "string"}}}]},
      "tuple": {"type": "array", "items": [{"type": "string"}, {"type": "number"}], "additionalItems": false}}})";
  for (const char* fine :
       {"p if input.a == 1", "p if input.b.any.thing", "p if input.n.children[0].children[_].name == \"x\"",
        "p if input.open.more", "p if input.map.k > 1", "p if input.either == \"x\"", "p if input.either.y",
        "p if input.maybe == null", "p if input.both.p == input.both.q", "p if input.tuple[1] == 2",
        "p if { some k, v in input\nk == \"a\"\nv }", "p if q with input as 7\nq if input.a"})
    EXPECT_EQ(ErrorsWith(schema, std::string(fine) + "\n"), "") << fine;
  EXPECT_EQ(ErrorsWith(schema, "p if input.c\n"),
            "undefined ref: input.c\n\tinput.c\n\t      ^\n\t      have: \"c\"\n"
            "\t      want (one of): [\"a\" \"b\" \"both\" \"either\" \"map\" \"maybe\" \"n\" \"open\" \"tuple\"]\n");
  for (const char* wrong : {"p if input.a == \"x\"", "p if input.a.b", "p if input.n.nam", "p if input.n.children.x",
                            "p if input.map.k == \"x\"", "p if input.either == 1", "p if input.maybe == 1",
                            "p if input.both.r", "p if startswith(input.a, \"x\")", "p if input.tuple[1] == \"x\""})
    EXPECT_NE(ErrorsWith(schema, std::string(wrong) + "\n"), "") << wrong;
}

TEST(RegoTypes, SchemasThatSayNothingAreRefused) {
  EXPECT_EQ(ErrorsWith(R"({"$ref": "#/nowhere"})", "p if input.x\n"), "schema: nothing is at $ref \"#/nowhere\"\n");
  EXPECT_NE(ErrorsWith(R"({"allOf": [{"type": "string"}, {"type": "number"}]})", "p if input.x\n"), "");
  std::string deep;
  for (size_t i = 0; i < limits::kMaxRegoTypeDepth + 50; ++i) deep += R"({"properties": {"x": )";
  deep += "{}" + std::string(2 * (limits::kMaxRegoTypeDepth + 50), '}');
  std::string ref = "p if input";
  for (size_t i = 0; i < limits::kMaxRegoTypeDepth; ++i) ref += ".x";
  EXPECT_EQ(ErrorsWith(deep, ref + ".whatever\n"), "");
}

TEST(RegoTypes, ArityIsSaidInOpasWords) {
  EXPECT_EQ(Errors("f(a, b) := a\nv := f(1)\n"), "3: rego_type_error: function data.t.f has arity 2, got 1 argument\n");
}

TEST(RegoTypes, WhatIsNotKnownPasses) {
  EXPECT_EQ(Errors("a := input.x + count(input.y)\n"), "");
  EXPECT_EQ(Errors("k if {\n\tsome z in input.foo\n\tz == \"a\"\n\tz != 1\n}\n"), "");
  EXPECT_EQ(
      Errors("x := {\"a\": 1, \"c\": [1, \"z\"]}\np := x[input.k]\nq := x.c[_]\nr := data.other.thing.at[_].all\n"),
      "");
  EXPECT_EQ(Errors("p if strings.any_prefix_match(data.a, {{false: true | data.b}, data.c})\n"), "");
  EXPECT_EQ(Errors("f(1) := \"one\"\nf(\"two\") := 2\ng := f(input.x)\nh := f(1)\n"), "");
  EXPECT_EQ(Errors("s contains x if some x in [1, \"a\", null]\nt if \"b\" in s\nu if s[1]\n"), "");
}

TEST(RegoTypes, LongChainsOfRulesAreChecked) {
  std::string chain = "p0 := 1\n";
  for (int i = 1; i < 3000; ++i) chain += "p" + std::to_string(i) + " := p" + std::to_string(i - 1) + "\n";
  EXPECT_EQ(Errors(chain), "");
  EXPECT_NE(Errors("q := upper(p50)\n" + chain.substr(0, 2000)), "");
}

TEST(RegoTypes, QueriesAreChecked) {
  std::vector<Diagnostic> errors;
  auto policy = Policy::Compile({{"t.rego", "package t\nn := 1\n"}}, {}, errors);
  ASSERT_NE(policy, nullptr);
  EXPECT_LT(policy->AddQuery("upper(data.t.n)", errors), 0);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].code, "rego_type_error");
}

}  // namespace
}  // namespace hexr::rego
