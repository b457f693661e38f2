#include "runtime/unix_socket.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace hexr::runtime {

Result<sockaddr_un> UnixAddress(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return InvalidArgument("'" + path + "' is no path of a socket: it has 1 to " +
                           std::to_string(sizeof address.sun_path - 1) + " bytes; set HEXR_HOME to a shorter folder");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

Result<UniqueFd> ConnectUnix(const std::string& path, int type) {
  ASSIGN_OR_RETURN(const sockaddr_un address, UnixAddress(path));
  UniqueFd fd(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoError("socket", errno);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return ErrnoError("connect to " + path, errno);
  return fd;
}

}  // namespace hexr::runtime
