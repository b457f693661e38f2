// Backups of a node's state (src/cli/backup).
#pragma once

#include <cstddef>
#include <cstdint>

namespace hexr::limits {

inline constexpr size_t kMaxBackupChunkBytes = 64 * 1024;  // sealed at a time
inline constexpr size_t kMaxBackupPathBytes = 1024;        // of one file, below the state folder
inline constexpr uint64_t kMaxBackupFiles = 4'000'000;     // tiles of a long log are many small files

}  // namespace hexr::limits
