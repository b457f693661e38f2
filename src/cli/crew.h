// `hexr crew FILE`: the roles of one crew file as agents of their own, together (config/crew.h).
//
// Each role is a `hexr run` in a child process; this one starts them in their order, prefixes their output, passes
// signals on to all and prints one table at the end.
#pragma once

#include "cli/command.h"

namespace hexr::cli {

// The exit code is that of the role that failed first by itself, 128 + N for a signal; 0 where none did. A bad file: 2.
int RunCrew(const Invocation& in);

}  // namespace hexr::cli
