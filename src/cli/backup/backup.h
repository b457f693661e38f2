// A node's state and configuration in one file under a passphrase, and back.
#pragma once

#include "cli/command.h"

namespace hexr::cli {

int RunBackup(const Invocation& in);
int RunRestore(const Invocation& in);

}  // namespace hexr::cli
