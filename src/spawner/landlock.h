// Landlock for agents: says again, by another mechanism, what the mounts say
// (Documentation/userspace-api/landlock.rst).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "spawner/shared_plan.h"

namespace hexr::spawner {

// The running kernel's ABI; 0 where Landlock is missing or switched off.
int LandlockAbi();

// Fills the plan's rules: everything readable and executable, `writable` writable, /dev usable, no signals
// and no abstract sockets to outside. Rights that `abi` does not know are left out.
void PlanLandlock(int abi, const std::vector<std::string>& writable, ChildPlan& plan);

// In the child, after pivot_root and no_new_privs, before the filter. Zero or an errno; `index`: the failing rule.
int RestrictWithLandlock(const SharedPlan& plan, size_t& index);

}  // namespace hexr::spawner
