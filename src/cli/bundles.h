// The node as a whole, and trust bundles.
#pragma once

#include <vector>

#include "cli/command.h"

namespace hexr::cli {

std::vector<Command> BundleCommands();

}  // namespace hexr::cli
