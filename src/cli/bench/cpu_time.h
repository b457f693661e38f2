// CPU time that processes have used: what figures "per core" divide by, so that other work on the machine does not
// count.
#pragma once

#include <sys/types.h>

#include <chrono>

#include "base/result.h"

namespace hexr::cli::bench {

using CpuTime = std::chrono::nanoseconds;

// User and system time of this process, all threads.
CpuTime OwnCpuTime();
// Of another process of this machine. NOT_FOUND: it has ended.
Result<CpuTime> CpuTimeOf(pid_t pid);

}  // namespace hexr::cli::bench
