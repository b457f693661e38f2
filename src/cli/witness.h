// `hexr ledger witness`: a C2SP witness as a server of its own, which needs no node.
#pragma once

#include <vector>

#include "cli/command.h"

namespace hexr::cli {

std::vector<Command> WitnessCommands();

}  // namespace hexr::cli
