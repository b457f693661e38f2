// Starting, stopping and looking at the node itself.
#pragma once

#include <vector>

#include "base/result.h"
#include "cli/command.h"
#include "config/config.h"

namespace hexr::cli {

std::vector<Command> NodeCommands();

// The file, checked. INVALID_ARGUMENT says what is wrong with it, and where.
Result<config::Config> LoadConfig(const std::string& path);

int RunDoctor(const Invocation& in);  // one of them, in a file of its own

}  // namespace hexr::cli
