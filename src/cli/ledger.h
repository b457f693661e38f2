// Evidence: reading, checking and copying logs. Works on files; a node is asked only for where they are.
#pragma once

#include "cli/command.h"

namespace hexr::cli {

int RunLedgerList(const Invocation& in);
int RunLedgerTail(const Invocation& in);
int RunLedgerShow(const Invocation& in);
int RunLedgerVerify(const Invocation& in);
int RunLedgerProve(const Invocation& in);
int RunLedgerExport(const Invocation& in);

}  // namespace hexr::cli
