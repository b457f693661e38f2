// `hexr ledger witness`: a C2SP witness as a server of its own, which needs no node.
#pragma once

#include "cli/command.h"

namespace hexr::cli {

int RunLedgerWitness(const Invocation& in);

}  // namespace hexr::cli
