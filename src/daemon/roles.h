// Which object stands for which role: the only place that names the concrete classes of a node's processes.
#pragma once

#include <string>

#include "daemon/role_host.h"

namespace hexr::daemon {

// "keeper", "spawner", "gateway", "courier". Anything else makes a role that refuses to start.
MakeRole MakeRoleFor(const std::string& name);

}  // namespace hexr::daemon
