// Who is trusted: registration entries for what hexr did not launch, and the keys that sign identities.
#pragma once

#include <vector>

#include "cli/command.h"

namespace hexr::cli {

std::vector<Command> TrustCommands();

}  // namespace hexr::cli
