// Starting, stopping and looking at the node itself.
#pragma once

#include "cli/command.h"

namespace hexr::cli {

int RunUp(const Invocation& in);
int RunDown(const Invocation& in);
int RunConfigShow(const Invocation& in);
int RunConfigCheck(const Invocation& in);
int RunDoctor(const Invocation& in);

}  // namespace hexr::cli
