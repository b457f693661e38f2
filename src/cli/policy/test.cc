#include <cstdlib>

#include "cli/output.h"
#include "cli/policy/common.h"
#include "cli/policy/policy_commands.h"
#include "policy/tools/test_runner.h"

namespace hexr::cli {

int RunPolicyTest(const Invocation& in) {
  if (in.All("PATH").empty() && in.All("--bundle").empty())
    return Fail(InvalidArgument("name the files or folders to test: hexr policy test policies/"));
  double threshold = 0;
  if (in.Has("--threshold")) {
    const std::string text = in.Get("--threshold");
    char* end = nullptr;
    threshold = std::strtod(text.c_str(), &end);
    if (*end != '\0' || threshold < 0 || threshold > 100)
      return Fail(InvalidArgument("--threshold " + text + ": a number from 0 to 100"));
  }
  const bool coverage = in.Has("--coverage") || in.Has("--threshold");
  auto documents = LoadPolicies(in);
  if (!documents.ok()) return Fail(documents.error());
  SystemClock clock;
  SystemRandom random;
  auto report = policy::RunTests(*documents, {.run = in.Get("--run"), .version = VersionOf(in), .coverage = coverage},
                                 clock, random);
  if (!report.ok()) return Fail(report.error());
  const bool json = in.output == Output::kJson || in.Get("--format") == "json";
  const bool failed = report->failed() > 0;
  if (coverage && !failed) {
    Print(policy::CoverageJson(report->coverage));
    if (report->coverage.percent() < threshold) {
      PrintError("coverage is " + std::to_string(report->coverage.percent()) + " %, below " + in.Get("--threshold"));
      return kNo;
    }
    return kYes;
  }
  Print(json ? policy::TestJson(*report) : policy::TestText(*report, in.Has("--verbose")));
  return failed ? kNo : kYes;
}

}  // namespace hexr::cli
