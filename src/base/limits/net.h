// Connections, names, outbound HTTP and HTTP servers of our own (net/).
#pragma once

#include <chrono>
#include <cstddef>

namespace hexr::limits {

inline constexpr size_t kMaxUnsentBytes = 256 * 1024;            // kept for a peer that does not read
inline constexpr size_t kMaxHttpUnsentBytes = 32 * 1024 * 1024;  // likewise, where whole messages are written at once
inline constexpr size_t kMaxResolverThreads = 4;                 // with names that are not slow
inline constexpr size_t kMaxSlowLookUps = 28;                    // beside them, with a thread each
inline constexpr size_t kMaxResolverThreadsPerAsker = 2;         // slow or not
inline constexpr size_t kMaxResolverDeadNames = 1024;            // that are not asked for again for a while
inline constexpr size_t kMaxResolverNamesKept = 1024;            // with their addresses, for a few seconds
inline constexpr size_t kMaxResolverQueue = 1024;                // requests that wait for names
inline constexpr size_t kMaxResolverQueuePerAsker = 512;         // of them; as many as an instance has connections
inline constexpr size_t kMaxResolvedAddresses = 16;              // of one name
inline constexpr size_t kMaxFetchBytes = 4 * 1024 * 1024;        // a response's body
inline constexpr size_t kMaxHttpRequestBytes = 4 * 1024 * 1024;  // a request's body
inline constexpr size_t kMaxHttpConnections = 1024;              // of one server
inline constexpr size_t kMaxHttpConnectionsPerSource = 128;      // of them, one IPv4 address's or IPv6 /64's
inline constexpr size_t kMaxHttpRequestsPerConnection = 1000;
inline constexpr std::chrono::minutes kMaxHttpConnectionAge{10};

}  // namespace hexr::limits
