// The layout of `opa fmt` 1.18, case by case: what it gave for these texts.
#include "policy/rego/format/format.h"

#include <gtest/gtest.h>

namespace hexr::rego {
namespace {

std::string Formatted(std::string_view text, FormatOptions options = {}) {
  auto r = FormatSource("a.rego", text, options);
  return r.ok() ? *r : r.error().ToString();
}

TEST(RegoFormat, IsStableOnItsOwnOutput) {
  for (std::string_view text : {"package a\n\nallow if {\n\tx := 1 # one\n\n\t# two\n\tx > 0\n}\n",
                                "package a\n\nimport data.b\n\np contains x if some x in [1, 2]\n"}) {
    EXPECT_EQ(Formatted(text), text);
  }
}

TEST(RegoFormat, LaysOutAsOpaDoes) {
  EXPECT_EQ(Formatted("package a\nimport data.z\nimport data.b as c\nallow   if   {input.x==1;input.y}\n"),
            "package a\n\nimport data.b as c\nimport data.z\n\nallow if {\n\tinput.x == 1\n\tinput.y\n}\n");
  EXPECT_EQ(Formatted("package a\nu := {\"a\":1,\n\"b\":[1,\n2]}\n"),
            "package a\n\nu := {\n\t\"a\": 1,\n\t\"b\": [\n\t\t1,\n\t\t2,\n\t],\n}\n");
  EXPECT_EQ(Formatted("package a\nv := (1+2)*3\nr if true\n"), "package a\n\nv := (1 + 2) * 3\nr := true\n");
}

TEST(RegoFormat, WritesV1FromV0) {
  EXPECT_EQ(Formatted("package a\np[x] { x = 1 }\nq = 2 { input.y }\n", {Version::kV0, Version::kV1, true}),
            "package a\n\nimport rego.v1\n\np contains x if x = 1\nq := 2 if input.y\n");
  EXPECT_EQ(Formatted("package a\np[x] { x = 1 }\n", {Version::kV0, Version::kV0}),
            "package a\n\np[x] {\n\tx = 1\n}\n");
}

TEST(RegoFormat, KeepsWhatItCannotLayOut) {
  const std::string text = "package a\n\np := concat(\"\", [\n\t\"a\", # first\n\t\"b\",\n])\n";
  EXPECT_EQ(Formatted(text), text);
}

TEST(RegoFormat, SaysWhatDoesNotParse) {
  EXPECT_NE(Formatted("package a\np if {").find("rego_parse_error"), std::string::npos);
}

}  // namespace
}  // namespace hexr::rego
