// Secrets: they come in by stdin or a file, and go out only when asked for by name.
#pragma once

#include "cli/command.h"

namespace hexr::cli {

int RunVaultPut(const Invocation& in);
int RunVaultGet(const Invocation& in);
int RunVaultList(const Invocation& in);
int RunVaultDelete(const Invocation& in);

}  // namespace hexr::cli
