// Keys, certificates and tokens.
#pragma once

#include <cstddef>

namespace hexr::limits {

inline constexpr size_t kMinRsaBits = 2048;
inline constexpr size_t kMaxRsaBits = 4096;
inline constexpr size_t kMaxCertificateBytes = 64 * 1024;
inline constexpr size_t kMaxChainCertificates = 8;    // leaf included
inline constexpr size_t kMaxCertificateNames = 64;    // subject alternative names
inline constexpr size_t kMaxBundleAuthorities = 256;  // per trust domain
inline constexpr size_t kMaxPemBytes = 1024 * 1024;
inline constexpr size_t kMaxJwtBytes = 16 * 1024;
inline constexpr size_t kMaxJwkSetBytes = 1024 * 1024;
inline constexpr size_t kMaxJwkSetKeys = 256;
inline constexpr size_t kMaxUnnamedKeys = 8;   // tried on a token without kid, one verification each
inline constexpr size_t kMaxJoseMembers = 64;  // of one object: duplicates are looked for one by one
inline constexpr size_t kMaxJoseDepth = 16;    // of JOSE headers and key sets
inline constexpr size_t kMaxKeyIdBytes = 256;

}  // namespace hexr::limits
