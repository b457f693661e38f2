// How long one decision takes: parsed input, warm machine.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "policy/documents.h"

namespace hexr::policy {

struct BenchFigures {
  double ns_p50 = 0, ns_p99 = 0, ns_mean = 0;  // of one decision
  double allocs = 0;                           // heap allocations of one decision
  uint64_t evals = 0;
};

// `allocations` counts this thread's heap allocations so far. INVALID_ARGUMENT for policies, queries and inputs that
// do not compile; FAILED_PRECONDITION when the decision ends in an error.
Result<BenchFigures> Bench(const Documents& documents, const std::string& input_json, const std::string& query,
                           std::chrono::nanoseconds duration, rego::Version version, uint64_t (*allocations)(),
                           const Clock& clock, Random& random);
std::string BenchJson(const BenchFigures& figures);

}  // namespace hexr::policy
