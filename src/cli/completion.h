// Shell completion, written from the command table.
#pragma once

#include <vector>

#include "cli/command.h"

namespace hexr::cli {

std::vector<Command> CompletionCommands();

}  // namespace hexr::cli
