// Looking at instances, and stopping them.
#pragma once

#include <vector>

#include "cli/command.h"

namespace hexr::cli {

std::vector<Command> InstanceCommands();

}  // namespace hexr::cli
