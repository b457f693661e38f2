// Whose is a connection: from the addresses of a TCP socket inside an agent's network namespace to the process that
// holds it.
//
// The socket's inode comes from a SOCK_DIAG socket that was opened inside, the holder from /proc. A search finds *a*
// holder: fork shares sockets, and the first hit from the namespace's PID 1 down is the oldest. Belongs to one thread;
// blocks for as long as the walk takes, which limits.h bounds.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace hexr::spawner {

// Of the agent's socket. Network order; the first 4 bytes where v6 is false.
struct ConnectionAddress {
  bool v6 = false;
  std::array<uint8_t, 16> local{};
  uint16_t local_port = 0;
  std::array<uint8_t, 16> remote{};
  uint16_t remote_port = 0;
};

// NOT_FOUND when there is no such socket, or its holder has closed it already (the inode is 0 then).
Result<uint64_t> SocketInode(int diag, const ConnectionAddress& connection);

// `init` is the host's pid of the namespace's PID 1, `likely` a process to try first, or 0. NOT_FOUND: nobody holds it
// any more, or the walk has reached its bound.
Result<pid_t> FindHolder(pid_t init, pid_t likely, uint64_t inode);

}  // namespace hexr::spawner
