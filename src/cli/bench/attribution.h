// From a connection to the process that holds it.
#pragma once

#include "cli/bench/bench.h"

namespace hexr::cli::bench {

Result<Findings> MeasureAttribution(const Options& options);

}  // namespace hexr::cli::bench
