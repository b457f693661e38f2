// Messages between the processes of a node.
#pragma once

#include <chrono>
#include <cstddef>

namespace hexr::limits {

inline constexpr size_t kMaxInlineMessageBytes = 60 * 1024;  // larger ones travel as a memfd
inline constexpr size_t kMaxMessageBytes = 16 * 1024 * 1024;
inline constexpr size_t kMaxMessageFds = 64;
inline constexpr size_t kMaxQueuedMessages = 4096;  // per channel; beyond it the peer is dead to us
inline constexpr size_t kMaxParkedItems = 8192;     // per child: what the supervisor keeps across its restart
inline constexpr size_t kMaxAdminConnections = 32;  // operators at once
inline constexpr std::chrono::milliseconds kNodeCallDeadline{5000};  // a question to keeper or spawner

}  // namespace hexr::limits
