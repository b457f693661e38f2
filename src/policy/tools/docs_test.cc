// Every snippet of docs/policy runs: Rego compiles strictly, is formatted, and its tests pass; JSON parses; commands
// exist. So do the policies that ship.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "policy/rego/format/format.h"
#include "policy/rego/value/json.h"
#include "policy/tools/check.h"
#include "policy/tools/test_runner.h"

namespace hexr::policy {
namespace {

struct Snippet {
  std::string where, language, text;
};

std::vector<Snippet> Snippets() {
  std::vector<Snippet> out;
  for (const auto& page : std::filesystem::directory_iterator(HEXR_SOURCE_DIR "/docs/policy")) {
    std::ifstream in(page.path());
    bool open = false;
    int row = 0;
    for (std::string line; std::getline(in, line);) {
      ++row;
      if (line.starts_with("```")) {
        if (!open) out.push_back({page.path().filename().string() + ":" + std::to_string(row), line.substr(3), ""});
        open = !open;
      } else if (open) {
        out.back().text += line + "\n";
      }
    }
  }
  return out;
}

// At least so many percent of the lines are reached.
void RunAll(const Documents& documents, const std::string& where, double coverage) {
  const CheckReport checked = Check(documents, {.strict = true});
  for (const auto& d : checked.errors) ADD_FAILURE() << where << ": " << DiagnosticText(documents, d);
  for (const auto& d : checked.warnings) ADD_FAILURE() << where << ": " << DiagnosticText(documents, d);
  SystemClock clock;
  SystemRandom random;
  auto report = RunTests(documents, {.coverage = true}, clock, random);
  ASSERT_TRUE(report.ok()) << where << ": " << report.error().message();
  EXPECT_EQ(report->failed(), 0u) << where << "\n" << TestText(*report, false);
  EXPECT_GT(report->passed(), 0u) << where;
  EXPECT_GE(report->coverage.percent(), coverage) << where << CoverageJson(report->coverage);
}

TEST(PolicyDocs, EverySnippetRuns) {
  size_t policies = 0;
  for (const Snippet& s : Snippets()) {
    if (s.language == "rego") {
      Documents d;
      d.data = rego::Value();
      d.sources.push_back({s.where, s.text});
      RunAll(d, s.where, 70);
      auto formatted = rego::FormatSource(s.where, s.text, {});
      ASSERT_TRUE(formatted.ok());
      EXPECT_EQ(*formatted, s.text) << s.where;
      ++policies;
    } else if (s.language == "json") {
      rego::Arena arena;
      EXPECT_TRUE(rego::ParseJson(arena, s.text).ok()) << s.where;
    } else {
      ASSERT_EQ(s.language, "sh") << s.where;
      static const std::set<std::string> kCommands = {"check", "eval",  "explain", "test",    "fmt",
                                                      "bench", "build", "sign",    "inspect", "conformance"};
      std::istringstream lines(s.text);
      for (std::string hexr, policy, command, rest; lines >> hexr >> policy >> command && std::getline(lines, rest);) {
        EXPECT_EQ(hexr + " " + policy, "hexr policy") << s.where;
        EXPECT_TRUE(kCommands.contains(command)) << s.where << ": " << command;
      }
    }
  }
  EXPECT_GE(policies, 9u);
}

TEST(PolicyDocs, ShippedPoliciesPassTheirTests) {
  auto documents = LoadPaths({HEXR_SOURCE_DIR "/policies"}, {});
  ASSERT_TRUE(documents.ok()) << documents.error().message();
  RunAll(*documents, "policies", 100);
  for (const rego::Source& s : documents->sources) {
    auto formatted = rego::FormatSource(s.file, s.text, {});
    ASSERT_TRUE(formatted.ok());
    EXPECT_EQ(*formatted, s.text) << s.file;
  }
}

}  // namespace
}  // namespace hexr::policy
