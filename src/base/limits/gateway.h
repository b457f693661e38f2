// The gateway: what one instance, and what one connection, may hold, and how long it may take.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace hexr::limits {

inline constexpr size_t kMaxEgressRules = 4096;  // egress.allow
inline constexpr size_t kMaxConnectionsPerInstance = 512;
inline constexpr size_t kMaxSyntheticNames = 4096;        // names that DNS has answered, per instance
inline constexpr size_t kMaxDnsQueriesPending = 256;      // per instance
inline constexpr uint32_t kMaxDnsQueriesPerSecond = 500;  // per instance; as many again in a burst
inline constexpr uint32_t kDnsTtlSeconds = 60;
inline constexpr size_t kMaxDialAttempts = 4;  // addresses of one name
inline constexpr std::chrono::milliseconds kFindOwnerDeadline{500};
inline constexpr std::chrono::milliseconds kIdentifyDeadline{1000};
inline constexpr std::chrono::milliseconds kRouteDeadline{1000};
inline constexpr std::chrono::milliseconds kDecideDeadline{5000};
inline constexpr std::chrono::milliseconds kRecordDeadline{5000};
inline constexpr std::chrono::milliseconds kConnectDeadline{15000};  // resolving, and every address tried
inline constexpr std::chrono::milliseconds kDialAttemptDeadline{4000};
inline constexpr std::chrono::milliseconds kRequestHeadDeadline{
    15000};                                                            // accept to a whole request head or ClientHello
inline constexpr std::chrono::milliseconds kDnsIdleDeadline{10000};    // of a DNS connection over TCP
inline constexpr std::chrono::milliseconds kKeepAliveDeadline{60000};  // between two requests of one connection
inline constexpr std::chrono::milliseconds kLingerDeadline{1000};      // for an agent to read its last answer
inline constexpr std::chrono::milliseconds kTunnelIdleDeadline{900000};  // no byte either way

}  // namespace hexr::limits
