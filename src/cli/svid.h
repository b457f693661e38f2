// Identity from the client side: what the Workload API gives to this very process.
#pragma once

#include <vector>

#include "cli/command.h"

namespace hexr::cli {

std::vector<Command> SvidCommands();

}  // namespace hexr::cli
