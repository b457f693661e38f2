// Agent processes, as the spawner makes and watches them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace hexr::limits {

inline constexpr size_t kMaxAgentListeners = 56;  // fits one message with its socket of diagnosis and handles
inline constexpr size_t kMaxCapturedPorts = 24;   // egress.ports, in both families, beside the proxy and DNS
static_assert(2 * kMaxCapturedPorts + 5 <= kMaxAgentListeners);
inline constexpr size_t kMaxRoleWords = 256;  // of each list of one role: programs, users, sub-agents
inline constexpr int kAgentListenBacklog = 512;
inline constexpr size_t kMaxOwnerMaps = 256;  // id map namespaces kept for the next launch
inline constexpr size_t kMaxEtcFileBytes = 512 * 1024;
inline constexpr size_t kMaxSharedPlanBytes = 64 * 1024 * 1024;  // of address space, for the plan of one launch
inline constexpr size_t kMaxPreparedPerTenant = 4;               // processes made ahead of their agents
inline constexpr size_t kMaxPrepared = 32;
inline constexpr size_t kMaxLaunchMessageBytes = 4 * 1024 * 1024;  // arguments and environment of one launch
inline constexpr size_t kMaxLaunchSessions = 4096;  // connections of `hexr run`; a quarter is the node's owner's
inline constexpr size_t kMaxLaunchSessionsPerUser = 1024;
inline constexpr size_t kMaxLaunchSessionsPerAgent = 128;  // for its sub-agents
inline constexpr size_t kMaxLaunchesUnderWay = 512;        // asked for and neither running nor refused; as above
inline constexpr size_t kMaxLaunchesUnderWayOfOne = 96;    // of one user or agent
inline constexpr std::chrono::milliseconds kLaunchRequestDeadline{10'000};  // from connecting to saying what to start
inline constexpr std::chrono::milliseconds kLaunchLinger{5000};             // from our last word to hanging up
inline constexpr double kRefusalsLoggedPerSecond = 1;  // of one user or agent; what goes beyond is counted
inline constexpr double kRefusalsLoggedBurst = 16;
inline constexpr size_t kMaxRefusalParties = 256;          // told apart in the log
inline constexpr size_t kMaxRegistrationsUnderWay = 64;    // with a keeper that was restarted
inline constexpr size_t kMaxSharesNamed = 256;             // with a new agent; the rest is counted
inline constexpr size_t kMaxUnheardEnds = 256;             // kept for starters that come back
inline constexpr size_t kMaxQueuedSockets = 64;            // asked of one agent's PID 1 and not made yet
inline constexpr unsigned long kMaxAgentProcesses = 4096;  // RLIMIT_NPROC and pids.max of one agent
inline constexpr unsigned kAgentMemoryPercent = 75;        // of the machine's: one agent never takes the node with it
inline constexpr size_t kMaxFoldersGiven = 48;             // to one agent
inline constexpr size_t kMaxLaunchFds = 3 + kMaxFoldersGiven;
inline constexpr size_t kMaxCrewRoles = 64;  // of one crew file
inline constexpr size_t kMaxCrewFileBytes = 256 * 1024;
inline constexpr size_t kMaxCrewLineBytes = 64 * 1024;     // of a role's output, before it is shown without its end
inline constexpr size_t kMaxFoldersHidden = 96;            // from one agent, those of its parents among them
inline constexpr size_t kMaxFoldersPinned = 256;           // around these and around narrower grants
inline constexpr int kMaxNodeLinks = 40;                   // on the way to the node's own; as Linux follows them
inline constexpr size_t kMaxCallerGroups = 256;            // of a caller, that count for the folders he gives
inline constexpr size_t kMaxKnownImages = 4096;            // digests remembered
inline constexpr size_t kMaxQueuedMeasurements = 256;      // of all; who has none waiting is let in beyond it
inline constexpr size_t kMaxQueuedMeasurementsOfOne = 16;  // of one agent or user
inline constexpr size_t kMaxFileThreads = 8;               // those in file systems that do not answer among them
inline constexpr std::chrono::milliseconds kFileWorkStuckAfter{2000};
inline constexpr size_t kMeasuredBytesPerTurn = 4UL << 20;  // of one, before the next has its turn
inline constexpr uint64_t kMaxMeasuredFileBytes = 1UL << 30;
inline constexpr size_t kMaxLooksForArguments = 10;  // of a process that has just called exec; 50 ms in all
inline constexpr size_t kMaxProcessesWalked = 512;   // for the owner of one connection
inline constexpr size_t kMaxThreadsWalked = 4096;
inline constexpr size_t kMaxDescriptorsListed = 65536;
inline constexpr int kMaxDescriptorsTried = 1024;        // by number, of a process that hides its list
inline constexpr size_t kMaxOwnerSteps = 65'536;         // looks of some microseconds for the owner of one connection
inline constexpr size_t kOwnerStepsPerTurn = 128;        // of one agent's searches, before the next agent has its turn
inline constexpr size_t kMaxOwnerSearchesWaiting = 256;  // of one agent

}  // namespace hexr::limits
