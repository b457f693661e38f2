#include "policy/tools/eval.h"

#include <map>

#include "cli/output.h"
#include "cli/policy/common.h"
#include "cli/policy/policy_commands.h"
#include "policy/rego/value/json.h"
#include "policy/tools/explain.h"

namespace hexr::cli {
namespace {

using Format = policy::EvalRequest::Format;

Result<Format> FormatOf(const Invocation& in) {
  static const std::map<std::string, Format> kFormats = {{"json", Format::kJson},
                                                         {"pretty", Format::kPretty},
                                                         {"raw", Format::kRaw},
                                                         {"values", Format::kValues},
                                                         {"bindings", Format::kBindings}};
  auto it = kFormats.find(in.Get("--format"));
  if (it == kFormats.end())
    return InvalidArgument("--format " + in.Get("--format") + ": one of json, pretty, raw, values, bindings");
  return it->second;
}

}  // namespace

int RunPolicyEval(const Invocation& in) {
  policy::EvalRequest request;
  request.query = in.Get("QUERY");
  request.package = in.Get("--package");
  request.imports = in.All("--import");
  request.version = VersionOf(in);
  request.strict_builtin_errors = in.Has("--strict-builtin-errors");
  request.explain = in.Has("--explain");
  request.coverage = in.Has("--coverage");
  const auto format = FormatOf(in);
  if (!format.ok()) return Fail(format.error());
  request.format = in.output == Output::kJson ? Format::kJson : *format;
  auto documents = LoadPolicies(in);
  if (!documents.ok()) return Fail(documents.error());
  auto input = ReadInput(in);
  if (!input.ok()) return Fail(input.error());
  request.input_json = std::move(*input);
  SystemClock clock;
  SystemRandom random;
  const policy::EvalAnswer answer = policy::Eval(*documents, request, clock, random);
  PrintNotes(answer.prints);
  if (answer.failed && request.format != Format::kJson) {
    PrintNotes({answer.text});
    return kUsage;
  }
  Print(answer.text);
  if (answer.failed) return kUsage;
  if (in.Has("--fail") && answer.undefined) return kNo;
  return in.Has("--fail-defined") && !answer.undefined ? kNo : kYes;
}

int RunPolicyExplain(const Invocation& in) {
  auto documents = LoadPolicies(in);
  if (!documents.ok()) return Fail(documents.error());
  auto input = ReadInput(in);
  if (!input.ok()) return Fail(input.error());
  const std::string query = in.Has("QUERY") ? in.Get("QUERY") : "data.hexr.authz";
  std::vector<rego::Diagnostic> errors;
  auto set = rego::Policy::Compile(documents->sources, {.version = VersionOf(in)}, errors);
  int function = set ? set->AddQuery(query, errors) : -1;
  if (function < 0) return Fail(InvalidArgument(rego::FormatDiagnostics(errors)));
  SystemClock clock;
  SystemRandom random;
  rego::Services services(clock, random);
  rego::Machine machine(set->program(), services);
  rego::Trace trace;
  trace.Reset(set->program());
  machine.trace = &trace;
  rego::Value parsed;
  if (!input->empty()) {
    auto v = rego::ParseJson(machine.Prepare(), *input);
    if (!v.ok()) return Fail(v.error().WithContext("input"));
    parsed = *v;
  }
  machine.Begin(parsed, documents->data);
  rego::Value rows;
  if (machine.Run(function, rows) == rego::Machine::Outcome::kError)
    return Fail(InvalidArgument(machine.error().ToString()));
  if (in.output == Output::kJson) {
    Print(policy::ExplainJson(policy::Explain(*set, trace)));
    return kYes;
  }
  for (const std::string& line : policy::ExplainLines(*set, trace)) PrintLine(line);
  return kYes;
}

}  // namespace hexr::cli
