// Identity from the client side: what the Workload API gives to this very process.
#pragma once

#include "cli/command.h"

namespace hexr::cli {

int RunSvidFetch(const Invocation& in);
int RunSvidWatch(const Invocation& in);
int RunSvidVerify(const Invocation& in);

}  // namespace hexr::cli
