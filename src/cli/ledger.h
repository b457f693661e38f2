// Evidence: reading, checking and copying logs. Works on files; a node is asked only for where they are.
#pragma once

#include <vector>

#include "cli/command.h"

namespace hexr::cli {

std::vector<Command> LedgerCommands();

}  // namespace hexr::cli
