// `hexr crew FILE`: the roles of one crew file as agents of their own, together (config/crew.h).
//
// Each role is a `hexr run` in a child process; this one starts them in their order, prefixes their output, passes
// signals on to all and prints one table at the end.
#pragma once

#include <vector>

#include "cli/command.h"

namespace hexr::cli {

// Its exit code is that of the role that failed first by itself, 128 + N for a signal; 0 where none did. A bad file: 2.
std::vector<Command> CrewCommands();

}  // namespace hexr::cli
