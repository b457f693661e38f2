// Messages between the processes of a node.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/limits/identity.h"

namespace hexr::limits {

inline constexpr size_t kMaxInlineMessageBytes = 60 * 1024;  // larger ones travel as a memfd
inline constexpr size_t kMaxMessageBytes = 16 * 1024 * 1024;
inline constexpr size_t kMaxMessageFds = 64;
// Per channel; beyond either the peer is dead to us. A process that comes back is told of every instance in one go.
inline constexpr size_t kMaxQueuedMessages = 2 * kMaxInstances;
inline constexpr size_t kMaxQueuedBytes = 64 * 1024 * 1024;
inline constexpr size_t kMaxParkedItems = kMaxInstances;  // per child: what the supervisor keeps across its restart
inline constexpr size_t kMaxAdminConnections = 32;        // operators at once
inline constexpr std::chrono::milliseconds kNodeCallDeadline{5000};  // a question to keeper or spawner

}  // namespace hexr::limits
