// Kernel ABI that Debian 12's headers do not name yet, and system calls that glibc 2.36 does not wrap. Numbers are
// those of the kernel's uapi headers; every user probes, since the running kernel may be older than the number.
#pragma once

#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace hexr::spawner {

// asm-generic/socket.h of 6.5.
inline constexpr int kSoPassPidfd = 76;
inline constexpr int kSoPeerPidfd = 77;
// linux/in6.h: glibc hides it behind the kernel header.
inline constexpr int kIpv6Freebind = 78;

// x86-64 system call numbers past glibc 2.36 (asm/unistd_64.h of 6.18).
inline constexpr long kSysFchmodat2 = 452;
inline constexpr long kSysOpenTreeAttr = 467;
inline constexpr long kSysLandlockCreateRuleset = 444;
inline constexpr long kSysLandlockAddRule = 445;
inline constexpr long kSysLandlockRestrictSelf = 446;

// linux/landlock.h: rights and scopes up to ABI 7.
inline constexpr uint64_t kLandlockExecute = 1ULL << 0;
inline constexpr uint64_t kLandlockWriteFile = 1ULL << 1;
inline constexpr uint64_t kLandlockReadFile = 1ULL << 2;
inline constexpr uint64_t kLandlockReadDir = 1ULL << 3;
inline constexpr uint64_t kLandlockMakeChar = 1ULL << 6;
inline constexpr uint64_t kLandlockMakeBlock = 1ULL << 11;
inline constexpr uint64_t kLandlockRefer = 1ULL << 13;               // ABI 2
inline constexpr uint64_t kLandlockTruncate = 1ULL << 14;            // ABI 3
inline constexpr uint64_t kLandlockIoctlDev = 1ULL << 15;            // ABI 5
inline constexpr uint64_t kLandlockScopeAbstractSocket = 1ULL << 0;  // ABI 6
inline constexpr uint64_t kLandlockScopeSignal = 1ULL << 1;          // ABI 6

// linux/seccomp.h: notification sleeps are killable only (5.19); hand-over on the same CPU (6.6).
inline constexpr unsigned kSeccompWaitKillableRecv = 1U << 5;
inline constexpr unsigned kSeccompFdSyncWakeUp = 1U << 0;

// Nanoseconds of CLOCK_MONOTONIC; also between clone3 and exec. For saying how long something took, nothing else.
inline int64_t MonotonicNanos() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

inline int PivotRoot(const char* new_root, const char* put_old) {
  return static_cast<int>(syscall(SYS_pivot_root, new_root, put_old));
}

}  // namespace hexr::spawner
