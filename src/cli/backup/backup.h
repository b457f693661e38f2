// A node's state and configuration in one file under a passphrase, and back.
#pragma once

#include <vector>

#include "cli/command.h"

namespace hexr::cli {

std::vector<Command> BackupCommands();

}  // namespace hexr::cli
