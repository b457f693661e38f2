// Secrets: they come in by stdin or a file, and go out only when asked for by name.
#pragma once

#include <vector>

#include "cli/command.h"

namespace hexr::cli {

std::vector<Command> VaultCommands();

}  // namespace hexr::cli
