// The system call filter of every agent, as a classic BPF program (linux/seccomp.h,
// Documentation/userspace-api/seccomp_filter.rst).
//
// It is built once and installed by each child; the kernel caches the calls that it always allows, so its length costs
// an agent next to nothing. What it refuses, and how, is the table in filter.cc. Pure function; thread-safe.
#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

namespace hexr::spawner {

// What becomes of execve and execveat.
enum class ExecCalls : uint8_t {
  kNotify,  // wait for whoever holds the listener (exec_watch.h)
  kAllow,
};

// x86-64. Another architecture's calls kill the process; x32 calls and calls newer than this table are ENOSYS.
std::vector<sock_filter> BuildAgentFilter(ExecCalls exec);

}  // namespace hexr::spawner
