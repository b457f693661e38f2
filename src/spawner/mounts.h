// Building the agent's root from a plan. Runs in the child: system calls only, no allocation.
#pragma once

#include <cstddef>
#include <span>

#include "spawner/shared_plan.h"

namespace hexr::spawner {

// At most this many steps; the parent refuses longer plans.
inline constexpr size_t kMaxMountSteps = 320;

// In this order; each gives zero or an errno, and `index` is then the failing step. Sources that steps name by path are
// opened before the new root is begun, since that covers a part of the host, and after the mounts have been cut off
// from the host's, of which their copies would be peers.
int KeepMountsHere();
int OpenSources(std::span<SharedStep> steps, size_t& index);
// Makes the new root, beside the old one.
int BeginRoot();
// In the new root, whether it has been entered or not.
int TakeSteps(std::span<SharedStep> steps, size_t& index);
// Enters the new root and lets go of the old one.
int EnterRoot();

}  // namespace hexr::spawner
