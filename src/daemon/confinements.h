// What each of a node's processes keeps of what it could do: what the roles confine themselves to, and what tests
// attack.
#pragma once

#include <optional>
#include <string>

#include "runtime/confine.h"

namespace hexr::daemon {

// Reads accounts and executables anywhere; writes its own state alone; no network at all. Ends processes itself: a kill
// has to work while there is no spawner.
runtime::Confinement KeeperConfinement(const std::string& state_dir);
// The keeper's helper: what looks at other processes' images holds no key, and what holds the keys does not look.
runtime::Confinement ImagesConfinement();
// Everything that making namespaces, mounts and other users' processes takes; the kernel's own interfaces are gone.
runtime::Confinement SpawnerConfinement();
// The process that reads what agents send: no capability, no user of the host's, no file but what names resolve with.
// `own_user`: where the node is privileged. Else it is the node's own, and Landlock alone keeps it from what is theirs.
runtime::Confinement GatewayConfinement(std::optional<uid_t> own_user);
// The process that talks to the network: a user of its own, no capability, no file but what names and the web's
// certificates need. `own_user` as above.
runtime::Confinement CourierConfinement(std::optional<uid_t> own_user);
// The parent of all: no more of root's capabilities than they keep between them. Its filter is inherited by every
// process below, agents too: it takes the kernel's dangerous interfaces away from all.
runtime::Confinement SupervisorConfinement();

}  // namespace hexr::daemon
