// Who is at the other end of launch.sock, from the kernel alone. Stateless functions; thread-safe.
#pragma once

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
  uint64_t pid_namespace = 0;  // inode
};

// SO_PEERCRED and SO_PEERPIDFD (or pidfd_open and a second look, before 6.5). UNAUTHENTICATED when the caller has gone
// or cannot be told.
Result<Caller> IdentifyCaller(int socket);

// The inode of a process's PID namespace. `pidfd` proves that the answer is about this process and no later one of its
// number.
Result<uint64_t> PidNamespaceOf(int pidfd, pid_t pid);
// Of this process.
Result<uint64_t> OwnPidNamespace();

// The local name of a uid, or "uid:N".
std::string UserName(uid_t uid);

}  // namespace hexr::spawner
