// Identity: what is read of a process and kept of it, and what its services give.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace hexr::limits {

inline constexpr size_t kMaxProcFileBytes = 64 * 1024;  // stat, status (groups), cgroup
inline constexpr size_t kMaxAncestors = 64;
inline constexpr uint64_t kMaxHashedFileBytes = 256ULL * 1024 * 1024;
inline constexpr size_t kMaxCachedDigests = 1024;
inline constexpr size_t kMaxHashingThreads = 8;         // each may hang with the file system of one user
inline constexpr size_t kMaxHungLooks = 8;              // threads of the helper that wait for a file system
inline constexpr size_t kMaxPendingDigests = 64;        // files that are being read, or wait for it
inline constexpr size_t kMaxSelectorBytes = 4096 + 16;  // a path, with its kind
inline constexpr size_t kMaxSelectorsPerEntry = 64;
inline constexpr size_t kMaxEntries = 10'000;
inline constexpr size_t kMaxHintBytes = 1024;  // SPIFFE_Workload_API.md 5.2
inline constexpr size_t kMaxInstances = 20'000;
inline constexpr size_t kMaxLineage = 16;
inline constexpr size_t kMaxBundleMapBytes = 8 * 1024 * 1024;
inline constexpr size_t kMaxOldSlots = 16;       // retired signing keys that stay in the bundle, of one use
inline constexpr size_t kMaxRevocations = 4096;  // on the list; beyond it whoever has most of it gives way
inline constexpr size_t kMaxAudiences = 32;      // of one JWT-SVID request
inline constexpr size_t kMaxAudienceBytes = 2048;
inline constexpr size_t kMaxCachedTokens = 64;      // JWT-SVIDs of one identity of a process
inline constexpr size_t kMaxLiveCertificates = 16;  // of one identity, over all processes of an instance
// Of one instance, revoked ones among them, until they end: its share of the list. 16 of its own and 64 of its
// sub-identities, and what it replaces.
inline constexpr size_t kMaxCertificatesPerInstance = 128;
inline constexpr size_t kMaxFederatedDomains = 256;
inline constexpr size_t kMaxRateLimitedCallers = 4096;          // whose request rate is remembered
inline constexpr size_t kMaxKnownProcesses = 16'384;            // of which it is remembered what they are a part of
inline constexpr size_t kMaxWatchedPerInstance = 256;           // processes with identities that are parts of one
inline constexpr size_t kMaxWatchedPerUser = 4096;              // …and of one user, in no instance
inline constexpr size_t kMaxStreamsPerProcess = 64;             // open Workload API and SDS streams of one process
inline constexpr std::chrono::milliseconds kMaxHoldTime{5000};  // of a request, until an exec is over
inline constexpr size_t kMaxSubIdentities = 64;                 // of one instance
inline constexpr size_t kMaxSdsNames = 256;                     // subscribed on one stream
inline constexpr size_t kMaxWaitingUserTokens = 64;             // for the keys of one issuer
inline constexpr size_t kMaxWaitingUserTokensPerUser = 16;      // …of one user's launches
inline constexpr size_t kMaxApiConnections = 8192;
inline constexpr size_t kMaxApiConnectionsOutside = 6144;  // of processes in no instance: the rest is kept for agents
inline constexpr size_t kMaxApiConnectionsPerUser = 4096;  // …and of one user
inline constexpr size_t kMaxApiConnectionsUnknown = 1024;  // …of those, on which nobody with an identity has asked
inline constexpr size_t kMaxApiConnectionsUnknownPerUser = 512;
inline constexpr size_t kMaxApiConnectionsPerInstance = 128;  // of all its processes
inline constexpr size_t kMaxStreamsPerInstance = 256;         // of all its processes
inline constexpr size_t kMaxWritersPerConnection = 16;        // processes that have written on one connection

}  // namespace hexr::limits
