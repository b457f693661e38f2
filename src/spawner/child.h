// The child's way from clone3 to exec (its order is binding; comments say why). System calls only.
#pragma once

#include "spawner/shared_plan.h"

namespace hexr::spawner {

// Entered by the new PID 1, with the parent's memory and descriptors. Ends in PID 1's loop and in the agent's exec.
[[noreturn]] void RunChild(Groundwork& ground, SharedPlan& shared);

}  // namespace hexr::spawner
