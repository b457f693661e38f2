// Processes by handle: pidfds, what the kernel says of them, children of ours. Stateless functions; thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/unique_fd.h"

namespace hexr::runtime {

// pidfd_open(2): NOT_FOUND when no such process is there.
Result<UniqueFd> OpenPidfd(pid_t pid);
// pidfd_send_signal(2).
Status SignalPidfd(int pidfd, int signal);
// The pidfs inode (kernel 6.9 and later): unique for the life of the boot. Zero on older kernels, where it says
// nothing.
Result<uint64_t> PidfdInode(int pidfd);

// PIDFD_GET_INFO (kernel 6.13 and later). UNIMPLEMENTED before.
struct PidfdInfo {
  bool has_ids = false;  // false once the process has been reaped
  uint32_t pid = 0;      // of the thread group leader, in the reader's PID namespace
  uint32_t tgid = 0;
  uint32_t ppid = 0;
  uint32_t ruid = 0, rgid = 0, euid = 0, egid = 0;
  uint64_t cgroup_id = 0;
  std::optional<int> exit_status;  // wait(2) form, once ended
};
Result<PidfdInfo> GetPidfdInfo(int pidfd);
// The pid behind a pidfd by /proc/self/fdinfo, for kernels without PIDFD_GET_INFO. NOT_FOUND once it has ended.
Result<pid_t> PidfdPid(int pidfd);

// /proc/PID/stat, field 22: clock ticks since boot. With the pid it names one process on one boot.
Result<uint64_t> ProcessStartTime(pid_t pid);
// What a process cannot take off again, from /proc/PID/status, which asks for no rights over it.
struct Restrictions {
  unsigned filters = 0;  // of system calls, on top of each other; at most 1 is told before kernel 5.9
  bool no_new_privs = false;
  size_t pid_namespaces = 1;    // that see it, the reader's among them
  bool namespace_init = false;  // PID 1 of the innermost, below the reader's
};
// Of whichever process has this number now. NOT_FOUND when none has.
Result<Restrictions> RestrictionsOf(pid_t pid);

// /proc/sys/kernel/random/boot_id.
Result<std::string> BootId();

// This process's variables.
std::map<std::string, std::string> Environment();

// A child of ours: exec of `argv[0]` with exactly these descriptors (child number, ours) beyond 0-2, and this
// environment.
struct ChildSpec {
  std::vector<std::string> argv;
  std::vector<std::string> env;            // "NAME=value"
  std::vector<std::pair<int, int>> fds;    // {number in the child, descriptor here}
  std::optional<int> parent_death_signal;  // set before exec; bound to the calling thread
};
struct Child {
  pid_t pid = -1;
  UniqueFd pidfd;
};
Result<Child> SpawnChild(const ChildSpec& spec);
// Reaps without waiting: nullopt while it runs, else the wait(2) status.
Result<std::optional<int>> ReapChild(int pidfd);
// Lets this process and its children open as many files as this user may at all: the soft limit is for programs that
// use select(2). Returns that many.
Result<uint64_t> RaiseFileLimit();
// "exit code 3" or "signal 9 (Killed)".
std::string DescribeWaitStatus(int status);

}  // namespace hexr::runtime
