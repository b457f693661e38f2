// Starting agents: `hexr run -- true` over running `true`, whose time it is, and what an exec costs inside.
#pragma once

#include "cli/bench/bench.h"

namespace hexr::cli::bench {

Result<Findings> MeasureLaunch(const Options& options);

}  // namespace hexr::cli::bench
