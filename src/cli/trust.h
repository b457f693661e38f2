// Who is trusted: registration entries for what hexr did not launch, and the keys that sign identities.
#pragma once

#include "cli/command.h"

namespace hexr::cli {

int RunEntryCreate(const Invocation& in);
int RunEntryList(const Invocation& in);
int RunEntryShow(const Invocation& in);
int RunEntryDelete(const Invocation& in);

int RunAuthorityList(const Invocation& in);
int RunAuthorityRotate(const Invocation& in);
int RunAuthorityTaint(const Invocation& in);
int RunAuthorityRevoke(const Invocation& in);

}  // namespace hexr::cli
