// The guard's engine for a command that runs once.
#pragma once

#include <memory>

#include "base/result.h"
#include "cli/command.h"
#include "guard/stream/worker.h"

namespace hexr::cli {

// With the compiled patterns in the state's folder, where there is one: compiling them takes a second. DATA_LOSS: what
// is kept there was changed.
Result<std::unique_ptr<guard::Worker>> OpenGuard(const Invocation& in);

}  // namespace hexr::cli
