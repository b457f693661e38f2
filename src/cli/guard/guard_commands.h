// `hexr guard scan|eval|serve`: content scanning without a node.
#pragma once

#include <vector>

#include "cli/command.h"

namespace hexr::cli {

std::vector<Command> GuardCommands();

int RunGuardScan(const Invocation& in);
int RunGuardEval(const Invocation& in);
int RunGuardServe(const Invocation& in);

}  // namespace hexr::cli
