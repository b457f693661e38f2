// Shell completion, written from the command table.
#pragma once

#include "cli/command.h"

namespace hexr::cli {
int RunCompletion(const Invocation& in);
}  // namespace hexr::cli
