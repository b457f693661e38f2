// Names (SPIFFE-ID.md 2.1, 2.3).
#pragma once

#include <cstddef>

namespace hexr::limits {

inline constexpr size_t kMaxTrustDomainBytes = 255;
inline constexpr size_t kMaxSpiffeIdBytes = 2048;
inline constexpr size_t kMaxIdSegmentBytes = 128;
inline constexpr size_t kMaxTenants = 1024;

}  // namespace hexr::limits
