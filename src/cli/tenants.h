// Tenants: each with its own uid range, gateway process, keys and log.
#pragma once

#include <vector>

#include "cli/command.h"

namespace hexr::cli {

std::vector<Command> TenantCommands();

}  // namespace hexr::cli
