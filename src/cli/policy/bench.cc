#include "policy/tools/bench.h"

#include "cli/output.h"
#include "cli/policy/allocations.h"
#include "cli/policy/common.h"
#include "cli/policy/policy_commands.h"

namespace hexr::cli {

int RunPolicyBench(const Invocation& in) {
  const auto duration = ParseDuration(in.Get("--duration"));
  if (!duration.ok()) return Fail(duration.error().WithContext("--duration"));
  auto documents = LoadPolicies(in);
  if (!documents.ok()) return Fail(documents.error());
  auto input = ReadInput(in);
  if (!input.ok()) return Fail(input.error());
  SystemClock clock;
  SystemRandom random;
  const auto figures =
      policy::Bench(*documents, *input, in.Get("QUERY"), *duration, VersionOf(in), Allocations, clock, random);
  if (!figures.ok()) return Fail(figures.error());
  Print(policy::BenchJson(*figures));
  return kYes;
}

}  // namespace hexr::cli
