// Looking at instances, and stopping them.
#pragma once

#include "cli/command.h"

namespace hexr::cli {

int RunPs(const Invocation& in);
int RunShow(const Invocation& in);
int RunKill(const Invocation& in);
int RunQuarantine(const Invocation& in);
int RunRelease(const Invocation& in);

}  // namespace hexr::cli
