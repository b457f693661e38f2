// Layer 1 on a node of the benchmark's own: real processes, real sockets, agents that hexr launched.
#pragma once

#include "cli/bench/bench.h"

namespace hexr::cli::bench {
Result<Findings> MeasureIdentity(const Options& options);
}  // namespace hexr::cli::bench
