// Starting, stopping and looking at the node itself.
#pragma once

#include <vector>

#include "cli/command.h"

namespace hexr::cli {

std::vector<Command> NodeCommands();

int RunDoctor(const Invocation& in);  // one of them, in a file of its own

}  // namespace hexr::cli
