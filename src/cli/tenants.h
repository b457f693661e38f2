// Tenants: each with its own uid range, gateway process, keys and log.
#pragma once

#include "cli/command.h"

namespace hexr::cli {

int RunTenantCreate(const Invocation& in);
int RunTenantList(const Invocation& in);
int RunTenantFreeze(const Invocation& in);
int RunTenantThaw(const Invocation& in);
int RunTenantDelete(const Invocation& in);

}  // namespace hexr::cli
