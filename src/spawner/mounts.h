// Building the agent's root from a plan. Runs in the child: system calls only, no allocation.
#pragma once

#include <cstddef>
#include <vector>

#include "spawner/plan.h"

namespace hexr::spawner {

// At most this many steps; the parent refuses longer plans.
inline constexpr size_t kMaxMountSteps = 320;

// Opens every source, builds the new root beside the old one, enters it and lets go of the old one.
// Zero or an errno; `index` is then the failing step, or steps.size() for pivot_root and what surrounds it.
int BuildRoot(const std::vector<MountStep>& steps, size_t& index);

}  // namespace hexr::spawner
