// Who is at the other end of launch.sock, from the kernel alone. Stateless functions; thread-safe.
#pragma once

#include <pwd.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/unique_fd.h"

namespace hexr::spawner {

struct Caller {
  pid_t pid = -1;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // gid first, then its other ones
  runtime::UniqueFd pidfd;
  // Inodes of the PID namespaces that it is in below this process's own, the innermost first. None: it is in ours.
  std::vector<uint64_t> pid_namespaces;
};

// SO_PEERCRED and SO_PEERPIDFD (or pidfd_open and a second look, before 6.5). UNAUTHENTICATED when the caller has gone
// or cannot be told.
Result<Caller> IdentifyCaller(int socket);

// As Caller::pid_namespaces. `pidfd` proves that the answer is about this process and no later one of its number.
// FAILED_PRECONDITION when they do not lead up to ours: nothing can be said of such a process.
Result<std::vector<uint64_t>> PidNamespacesOf(int pidfd, pid_t pid);

// Whether a process in the PID namespace of an agent was launched with it, or is a child of one that was, and did not
// come from outside: whoever owns the agent's user namespace can enter it (setns(2)), and is no part of it for that.
// By what the launch gives to all of its processes for good: the filter, no_new_privs, and the control group `cgroup`
// (empty: it has none of its own). PERMISSION_DENIED when it was not.
Status CheckLaunched(const Caller& caller, const std::string& cgroup);

// The local name of a uid; "uid:N" where it has none. An error: nobody knows at this moment (no descriptor is left, a
// directory does not answer); a role that names a user decides nothing by it.
// `lookup`: getpwuid_r(3), or a test's.
using UserLookup = int (*)(uid_t, passwd*, char*, size_t, passwd**);
Result<std::string> UserName(uid_t uid, UserLookup lookup = getpwuid_r);

}  // namespace hexr::spawner
