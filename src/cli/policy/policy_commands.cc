#include "cli/policy/policy_commands.h"

namespace hexr::cli {
namespace {

const Flag kData{"-d,--data", "PATH", "policy and data files, or folders of them", "", false, true};
const Flag kBundle{"-b,--bundle", "PATH", "a bundle: a folder or a .tar.gz", "", false, true};
const Flag kIgnore{"--ignore", "GLOB", "leave out files and folders of this name", "", false, true};
const Flag kInput{"-i,--input", "FILE", "the input, JSON or YAML"};
const Flag kStdin{"-I,--stdin-input", "", "read the input from stdin"};
const Flag kV0{"--v0-compatible", "", "read policies as OPA did before 1.0"};
const Flag kV1{"--v1-compatible", "", "read policies as OPA 1.x does, which is the default"};

}  // namespace

std::vector<Command> PolicyCommands() {
  return {
      {"policy check",
       "Check policies: every error with its place and what to write",
       "hexr policy check --strict policies/",
       {{"-S,--strict", "", "also what compiles and is likely a mistake"},
        {"-f,--format", "FORMAT", "pretty or json", "pretty"},
        kBundle,
        kIgnore,
        kV0,
        kV1},
       {{"PATH", "policy files or folders", false, true}},
       RunPolicyCheck},
      {"policy eval",
       "Evaluate a query over policies, data and an input",
       "hexr policy eval -d policies/ -i call.json data.hexr.authz.allow",
       {kData,
        kBundle,
        kInput,
        kStdin,
        kIgnore,
        {"-f,--format", "FORMAT", "json, pretty, raw, values or bindings", "json"},
        {"--package", "NAME", "read bare names in the query as rules of this package"},
        {"--import", "PATH", "import this in the query", "", false, true},
        {"--fail", "", "exit 1 when the query is undefined or has no result"},
        {"--fail-defined", "", "exit 1 when the query is defined"},
        {"--strict-builtin-errors", "", "an error of a built-in ends the evaluation"},
        {"--coverage", "", "report the lines that were reached"},
        {"--explain", "", "say of each rule whether it gave a value, or which literal stopped it"},
        kV0,
        kV1},
       {{"QUERY", "the query", true}},
       RunPolicyEval},
      {"policy explain",
       "Say rule by rule why a decision came out as it did",
       "hexr policy explain -d policies/ -i call.json data.hexr.authz.allow",
       {kData, kBundle, kInput, kStdin, kIgnore, kV0},
       {{"QUERY", "the query (data.hexr.authz)", false}},
       RunPolicyExplain},
      {"policy test",
       "Run the test_ rules of policies",
       "hexr policy test -v --coverage --threshold 80 policies/",
       {{"-v,--verbose", "", "print tests that pass, too"},
        {"-r,--run", "REGEX", "only tests whose full name matches"},
        {"-f,--format", "FORMAT", "pretty or json", "pretty"},
        {"-c,--coverage", "", "report the lines that tests reach, as JSON"},
        {"--threshold", "PERCENT", "exit 1 below this coverage"},
        {"-z,--exit-zero-on-skipped", "", "skipped tests do not count as failures"},
        kBundle,
        kIgnore,
        kV0,
        kV1},
       {{"PATH", "policy, test and data files or folders", false, true}},
       RunPolicyTest},
      {"policy fmt",
       "Format policies in the one layout of `opa fmt`",
       "hexr policy fmt -w policies/",
       {{"-w,--write", "", "write the files that change"},
        {"-l,--list", "", "list the files that would change"},
        {"-d,--diff", "", "print what would change"},
        {"--fail", "", "exit 1 when a file would change"},
        {"--rego-v1", "", "read v0 policies and write v1"},
        {"--drop-v0-imports", "", "leave out imports that v1 does not need"},
        kV0,
        kV1},
       {{"PATH", "policy files or folders (stdin)", false, true}},
       RunPolicyFormat},
      {"policy bench",
       "Measure how long a decision takes: parsed input, warm",
       "hexr policy bench -d policies/ -i call.json data.hexr.authz.allow",
       {kData, kBundle, kInput, kStdin, kIgnore, {"--duration", "TIME", "how long to measure", "2s"}, kV0},
       {{"QUERY", "the query", true}},
       RunPolicyBench},
      {"policy conformance",
       "Run conformance cases in the form of OPA's suite",
       "hexr policy conformance --failures cases/v1",
       {{"--v0", "", "the cases are written in v0"}, {"--failures", "", "name the cases that fail, and why"}},
       {{"FOLDER", "a folder of case files"}},
       RunPolicyConformance},
  };
}

}  // namespace hexr::cli
