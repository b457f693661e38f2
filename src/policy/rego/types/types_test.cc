// Type errors as OPA 1.18 reports them, text by text, and what must pass.
#include <gtest/gtest.h>

#include "policy/rego/engine.h"

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

TEST(RegoTypes, ArityIsSaidInOpasWords) {
  EXPECT_EQ(Errors("f(a, b) := a\nv := f(1)\n"), "3: rego_type_error: function data.t.f has arity 2, got 1 argument\n");
}

TEST(RegoTypes, WhatIsNotKnownPasses) {
  EXPECT_EQ(Errors("a := input.x + count(input.y)\n"), "");
  EXPECT_EQ(Errors("k if {\n\tsome z in input.foo\n\tz == \"a\"\n\tz != 1\n}\n"), "");
  EXPECT_EQ(
      Errors("x := {\"a\": 1, \"c\": [1, \"z\"]}\np := x[input.k]\nq := x.c[_]\nr := data.other.thing.at[_].all\n"),
      "");
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
