// Who may start what: the configuration's `roles`, asked with what the kernel says about the caller. Pure functions.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/spiffe_id.h"
#include "config/config.h"
#include "crypto/digest.h"

namespace hexr::spawner {

struct RoleName {
  IdSegment tenant;
  IdSegment agent;
  IdSegment role;
  std::string ToString() const { return agent.value() + "/" + role.value(); }
};

// Whether an entry speaks of this name.
bool Names(const config::Role& entry, const RoleName& name);

// The entries that a caller outside of any instance may start `target` by, in file order: which of them holds is
// decided by the program (FindByProgram), known only later. PERMISSION_DENIED, with the next step, when there is none.
// `user` is the caller's local user name; `owner` whether the caller runs the node (or is root), who may start anything
// where no roles are configured at all.
Result<std::vector<config::Role>> RolesFor(const std::vector<config::Role>& roles, const RoleName& target,
                                           const std::string& user, bool owner);

// The same for a caller inside an instance: what `parent`'s entry lists under `spawn`, in the parent's tenant, by an
// entry that names `user`, who stands behind the parent: what another user may have is not reached through an agent.
Result<std::vector<config::Role>> RolesForSubAgent(const std::vector<config::Role>& roles, const RoleName& target,
                                                   const RoleName& parent,
                                                   const std::vector<config::SpawnTarget>& allowed,
                                                   const std::string& user);

// The first candidate one of whose `exe` patterns matches the program (base/exe_pattern.h, as the keeper judges too).
Result<config::Role> FindByProgram(const std::vector<config::Role>& candidates, const RoleName& target,
                                   const std::string& program);

// Stands for an entry across restarts: two entries that differ in anything have different digests.
crypto::Sha256Digest EntryDigest(const config::Role& entry);
// The entry of that digest; null when the configuration has none.
const config::Role* FindEntry(const std::vector<config::Role>& roles, ByteView digest);

// What runs when `path` is started and begins with these bytes: itself, or the interpreter of its "#!" line; of
// "#!/usr/bin/env NAME" the NAME.
std::string EffectiveProgram(const std::string& path, std::string_view first_bytes);

}  // namespace hexr::spawner
