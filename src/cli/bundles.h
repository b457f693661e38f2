// The node as a whole, and trust bundles.
#pragma once

#include "cli/command.h"

namespace hexr::cli {

int RunStatus(const Invocation& in);
int RunBundleShow(const Invocation& in);
int RunBundleList(const Invocation& in);
int RunBundleSet(const Invocation& in);

}  // namespace hexr::cli
