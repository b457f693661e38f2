// The node as a whole, trust bundles and registration entries.
#pragma once

#include "cli/command.h"

namespace hexr::cli {

int RunStatus(const Invocation& in);
int RunBundleShow(const Invocation& in);
int RunBundleList(const Invocation& in);
int RunBundleSet(const Invocation& in);
int RunEntryList(const Invocation& in);

}  // namespace hexr::cli
