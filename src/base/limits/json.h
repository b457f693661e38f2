// JSON texts (wire/json.h): defaults that a caller may narrow or widen.
#pragma once

#include <cstddef>

namespace hexr::limits {

inline constexpr size_t kMaxJsonBytes = 16 * 1024 * 1024;
inline constexpr size_t kMaxJsonDepth = 128;
inline constexpr size_t kMaxJsonValues = 1'000'000;
inline constexpr size_t kMaxJsonNumberBytes = 4096;

}  // namespace hexr::limits
