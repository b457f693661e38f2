// Sockets in the file system, by path. Stateless functions; thread-safe.
#pragma once

#include <sys/un.h>

#include <string>

#include "base/result.h"
#include "runtime/unique_fd.h"

namespace hexr::runtime {

// INVALID_ARGUMENT for a path that does not fit, or is empty.
Result<sockaddr_un> UnixAddress(const std::string& path);
// A connected socket of `type` (SOCK_STREAM, SOCK_SEQPACKET), close-on-exec and blocking. NOT_FOUND: nothing is there;
// UNAVAILABLE: nobody listens; PERMISSION_DENIED; INVALID_ARGUMENT as above.
Result<UniqueFd> ConnectUnix(const std::string& path, int type);

}  // namespace hexr::runtime
