// What the courier carries between the keeper and the network, and shows to it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace hexr::limits {

inline constexpr size_t kMaxCourierFetches = 64;                     // requests that are out at once
inline constexpr size_t kMaxCourierConnections = 256;                // of each endpoint
inline constexpr size_t kMaxCourierConnectionsPerSource = 32;        // of them, one IPv4 address's or IPv6 /64's
inline constexpr size_t kMaxEndpointRequestBytes = 1024;             // the body of a request that is only ever a GET
inline constexpr std::chrono::seconds kEndpointRequestTimeout{10};   // for a whole request
inline constexpr std::chrono::milliseconds kMaxFetchTime{30'000};    // whatever the keeper asks for
inline constexpr std::chrono::milliseconds kMetricsFreshness{1000};  // scrapes within it get one answer
inline constexpr size_t kMaxMetricFamilies = 64;                     // of one process
inline constexpr size_t kMaxMetricSamples = 4096;                    // of one family

}  // namespace hexr::limits
