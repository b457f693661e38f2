#include "cli/output.h"
#include "cli/policy/common.h"
#include "cli/policy/policy_commands.h"
#include "policy/rego/conformance/runner.h"
#include "policy/tools/json_text.h"

namespace hexr::cli {

int RunPolicyConformance(const Invocation& in) {
  SystemClock clock;
  const auto version = in.Has("--v0") ? rego::Version::kV0 : rego::Version::kV1;
  const auto report = rego::RunFolder(in.Get("FOLDER"), version, clock);
  if (!report.ok()) return Fail(report.error());
  if (in.output == Output::kJson) {
    policy::JsonText j;
    j.BeginObject();
    j.Member("passed", static_cast<int64_t>(report->passed));
    j.Member("failed", static_cast<int64_t>(report->failures.size()));
    j.Key("failures");
    j.BeginArray();
    for (const auto& f : report->failures) {
      j.BeginObject();
      j.Member("note", f.note);
      j.Member("why", f.why);
      j.EndObject();
    }
    j.EndArray();
    j.EndObject();
    Print(j.Take() + "\n");
  } else {
    if (in.Has("--failures")) {
      for (const auto& f : report->failures) PrintLine("FAIL " + f.note + ": " + f.why);
    }
    PrintLine(std::to_string(report->passed) + " passed, " + std::to_string(report->failures.size()) + " failed");
  }
  return report->failures.empty() ? kYes : kNo;
}

}  // namespace hexr::cli
