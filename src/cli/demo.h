// `hexr demo`: what hexr does, on a node of its own, with the commands that people type.
#pragma once

#include <vector>

#include "cli/command.h"

namespace hexr::cli {

// Its exit code is kNo when something did not go as it should.
std::vector<Command> DemoCommands();

}  // namespace hexr::cli
