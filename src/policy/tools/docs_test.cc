// Every snippet of docs/policy runs: Rego compiles strictly, is formatted, and its tests pass; JSON parses; commands
// exist. So do the policies that ship.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <sstream>

#include "policy/decision.h"
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

std::string SchemaText() {
  std::ifstream in(HEXR_SOURCE_DIR "/docs/policy/input.schema.json");
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

TEST(PolicyDocs, TheSchemaOfInputIsWhatTheGatewayGives) {
  // Every member of a call, and the document on the page that describes it.
  Call call;
  call.spiffe_id = "spiffe://a.test/agent/t/a/r";
  call.tenant = call.agent = call.role = call.service = call.action = call.instance = call.resource = call.model =
      call.peer = "x";
  call.assurance = "attested";
  call.lineage = call.shares = call.tools = call.labels = {"x"};
  call.findings_json = R"({"secrets": {"count": 1}})";
  call.process = Call::Process{true, 1, "/x", "sha256:0", true};
  call.on_behalf_of = Call::OnBehalfOf{"s", "i", "{}"};
  call.tool = Call::Tool{"s", "n", "[1]", true, "{}"};
  call.destination = Call::Destination{"h", 1, "https", "h", "GET", "/"};
  call.budget = Call::Budget{1, 2, 3, 0.5, 4};
  call.session = Call::Session{"s", 1};
  constexpr char kFits[] =
      "package hexr.authz\nallow if json.match_schema(input, data.schema)[0]\n"
      "deny contains e.error if some e in json.match_schema(input, data.schema)[1]\n";
  auto set = PolicySet::Compile({{"p.rego", kFits}}, "{\"schema\": " + SchemaText() + "}", "r1");
  ASSERT_TRUE(set.ok()) << set.error().message();
  ManualClock clock{WallTime{}};
  SeededRandom random(1);
  Authorizer authorizer(*set, clock, random);
  const auto why = [&](const Call& c) {
    std::string out;
    for (const Reason& r : authorizer.Decide(c).deny) out += r.message + "\n";
    return out;
  };
  EXPECT_EQ(why(call), "");
  call.process = Call::Process{};
  EXPECT_EQ(why(call), "");
  Call least;
  least.spiffe_id = "spiffe://a.test/x";
  EXPECT_EQ(why(least), "");
  least.assurance = "guessed";
  EXPECT_NE(why(least), "");

  size_t shown = 0;
  for (const Snippet& s : Snippets()) {
    if (!s.where.starts_with("input.md") || s.language != "json") continue;
    ++shown;
    rego::Arena arena;
    const auto input = rego::ParseJson(arena, s.text),
               data = rego::ParseJson(arena, "{\"schema\": " + SchemaText() + "}");
    rego::Services services(clock, random);
    rego::Machine machine((*set)->policy().program(), services);
    machine.Begin(*input, *data);
    rego::Value deny;
    ASSERT_EQ(machine.RunDocument((*set)->policy().FindDocument("data.hexr.authz.deny"), deny),
              rego::Machine::Outcome::kValue);
    EXPECT_EQ(rego::ToJson(deny), "[]");
  }
  EXPECT_EQ(shown, 1u);
}

TEST(PolicyDocs, TheSchemaOfInputFindsWhatCanNeverBeThere) {
  rego::Arena arena;
  const auto schema = rego::ParseJson(arena, SchemaText());
  ASSERT_TRUE(schema.ok());
  auto documents = LoadPaths({HEXR_SOURCE_DIR "/policies"}, {});
  ASSERT_TRUE(documents.ok());
  for (const auto& d : Check(*documents, {.input_schema = *schema}).errors)
    ADD_FAILURE() << DiagnosticText(*documents, d);
  const auto found = [&](const std::string& body) {
    Documents d;
    d.sources.push_back({"p.rego", "package hexr.authz\nallow if " + body + "\n"});
    const auto errors = Check(d, {.input_schema = *schema}).errors;
    return errors.empty() ? "" : errors[0].message;
  };
  EXPECT_EQ(found("input.destination.host == \"a\""), "");
  EXPECT_EQ(found("input.tool.args.anything[0].at == 1"), "");
  EXPECT_EQ(found("input.destnation.host == \"a\""), "undefined ref: input.destnation.host");
  EXPECT_EQ(found("input.tool.nam == \"a\""), "undefined ref: input.tool.nam");
  EXPECT_EQ(found("input.tool.name == 7"), "match error");
  EXPECT_EQ(found("\"a\" in input.label"), "undefined ref: input.label");
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
