// The ledger's figures: the code that a node runs, in this process, on a folder in memory where there is one (the disk
// is not what is measured).
#pragma once

#include "cli/bench/bench.h"

namespace hexr::cli::bench {
Result<Findings> MeasureLedger(const Options& options);
}  // namespace hexr::cli::bench
