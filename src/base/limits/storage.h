// Things at rest: sealed rows, key files, the vault.
#pragma once

#include <cstddef>

namespace hexr::limits {

inline constexpr size_t kMaxSealedValueBytes = 1024 * 1024;
inline constexpr size_t kMaxSealedNameBytes = 1024;
inline constexpr size_t kMaxSealedCollectionBytes = 64;
inline constexpr size_t kMaxKeyFileBytes = 64 * 1024;
inline constexpr size_t kMinPassphraseBytes = 12;
inline constexpr size_t kMaxPassphraseBytes = 1024;
inline constexpr size_t kMaxVaultNameBytes = 512;  // a path of name segments
inline constexpr size_t kMaxVaultNameSegments = 8;
inline constexpr size_t kMaxVaultValueBytes = 64 * 1024;
inline constexpr size_t kMaxVaultSecretsPerTenant = 10000;
inline constexpr size_t kMaxVaultVersions = 16;  // older ones are deleted

}  // namespace hexr::limits
