#include "policy/tools/check.h"

#include <cstdio>

#include "cli/output.h"
#include "cli/policy/common.h"
#include "cli/policy/policy_commands.h"
#include "policy/rego/builtins/registry.h"
#include "policy/rego/value/json.h"
#include "policy/rego/value/yaml.h"
#include "policy/tools/eval.h"

namespace hexr::cli {
namespace {

// What --schema names; undefined without.
Result<rego::Value> ReadSchema(const Invocation& in, rego::Arena& arena) {
  const std::string file = in.Get("--schema");
  if (file.empty()) return rego::Value();
  ASSIGN_OR_RETURN(const std::string text, policy::ReadPolicyFile(file));
  auto schema =
      file.ends_with(".yaml") || file.ends_with(".yml") ? rego::ParseYaml(arena, text) : rego::ParseJson(arena, text);
  if (!schema.ok()) return schema.error().WithContext(file);
  SystemClock clock;
  SystemRandom random;
  rego::Services services(clock, random);
  rego::Call call(arena, services, {&*schema, 1});
  const rego::Value verdict = rego::FindBuiltin("json.verify_schema")->fn(call);
  if (!verdict.arr->items[0].is_true())
    return InvalidArgument(file + " is no JSON Schema: " + rego::ToJson(verdict.arr->items[1]));
  return schema;
}

}  // namespace

int RunPolicyCheck(const Invocation& in) {
  if (in.All("PATH").empty() && in.All("--bundle").empty())
    return Fail(InvalidArgument("name the files or folders to check: hexr policy check policies/"));
  auto documents = LoadPolicies(in);
  if (!documents.ok()) return Fail(documents.error());
  auto schema = ReadSchema(in, *documents->arena);
  if (!schema.ok()) return Fail(schema.error());
  const policy::CheckReport report =
      policy::Check(*documents, {.version = VersionOf(in), .strict = in.Has("--strict"), .input_schema = *schema});
  const bool json = in.output == Output::kJson || in.Get("--format") == "json";
  if (json) {
    Print(report.errors.empty() ? "{}\n" : policy::ErrorsJson(report.errors));
  } else {
    for (const auto& d : report.errors) std::fputs(policy::DiagnosticText(*documents, d).c_str(), stderr);
    if (report.errors.size() > 1) PrintError(std::to_string(report.errors.size()) + " errors");
  }
  for (const auto& d : report.warnings) {
    std::string text = policy::DiagnosticText(*documents, d);
    std::fprintf(stderr, "warning: %s", text.c_str());
  }
  return report.errors.empty() ? kYes : kNo;
}

}  // namespace hexr::cli
