#include "policy/tools/check.h"

#include <cstdio>

#include "cli/output.h"
#include "cli/policy/common.h"
#include "cli/policy/policy_commands.h"
#include "policy/tools/eval.h"

namespace hexr::cli {

int RunPolicyCheck(const Invocation& in) {
  if (in.All("PATH").empty() && in.All("--bundle").empty())
    return Fail(InvalidArgument("name the files or folders to check: hexr policy check policies/"));
  auto documents = LoadPolicies(in);
  if (!documents.ok()) return Fail(documents.error());
  const policy::CheckReport report =
      policy::Check(*documents, {.version = VersionOf(in), .strict = in.Has("--strict")});
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
