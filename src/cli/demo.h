// `hexr demo`: what hexr does, on a node of its own, with the commands that people type.
#pragma once

#include "cli/command.h"

namespace hexr::cli {

// kNo when something did not go as it should.
int RunDemo(const Invocation& in);

}  // namespace hexr::cli
