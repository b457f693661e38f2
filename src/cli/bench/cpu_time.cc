#include "cli/bench/cpu_time.h"

#include <time.h>

namespace hexr::cli::bench {
namespace {

CpuTime Read(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

}  // namespace

CpuTime OwnCpuTime() { return Read(CLOCK_PROCESS_CPUTIME_ID); }

Result<CpuTime> CpuTimeOf(pid_t pid) {
  clockid_t id{};
  if (clock_getcpuclockid(pid, &id) != 0) return NotFound("process " + std::to_string(pid) + " has ended");
  return Read(id);
}

}  // namespace hexr::cli::bench
