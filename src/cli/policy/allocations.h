// Heap allocations of this thread since it began, for `hexr policy bench`.
#pragma once

#include <cstdint>

namespace hexr::cli {

uint64_t Allocations();

}  // namespace hexr::cli
