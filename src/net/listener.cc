#include "net/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/log.h"
#include "runtime/unix_socket.h"

namespace hexr::net {
namespace {

constexpr int kFlags = SOCK_CLOEXEC | SOCK_NONBLOCK;
constexpr int kBatch = 16;
constexpr std::chrono::milliseconds kRetry{100};
constexpr std::chrono::minutes kSayAgain{1};

const sockaddr* Generic(const void* address) { return static_cast<const sockaddr*>(address); }

}  // namespace

Result<runtime::UniqueFd> BindUnix(const std::string& path, int type, mode_t mode) {
  const auto address = runtime::UnixAddress(path);
  if (!address.ok()) return FailedPrecondition(address.error().message());
  struct stat there {};
  if (lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) return FailedPrecondition(path + " is there and is no socket; move it away");
    if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoError("remove old socket " + path, errno);
  }
  runtime::UniqueFd out(socket(AF_UNIX, type | kFlags, 0));
  if (!out) return ErrnoError("socket", errno);
  if (bind(out.get(), Generic(&*address), sizeof *address) != 0) return ErrnoError("bind " + path, errno);
  // Nobody can connect before listen, so nobody meets the mode that the umask gave.
  if (chmod(path.c_str(), mode) != 0) return ErrnoError("chmod " + path, errno);
  if (listen(out.get(), SOMAXCONN) != 0) return ErrnoError("listen " + path, errno);
  return out;
}

Result<runtime::UniqueFd> BindTcp(const std::string& address, uint16_t port) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  const bool is_v4 = inet_pton(AF_INET, address.c_str(), &v4.sin_addr) == 1;
  if (!is_v4 && inet_pton(AF_INET6, address.c_str(), &v6.sin6_addr) != 1) {
    return InvalidArgument("'" + address + "' is no IP address");
  }
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  runtime::UniqueFd out(socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | kFlags, 0));
  if (!out) return ErrnoError("socket", errno);
  const int on = 1;
  setsockopt(out.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const int bound = is_v4 ? bind(out.get(), Generic(&v4), sizeof v4) : bind(out.get(), Generic(&v6), sizeof v6);
  const std::string name = address + " port " + std::to_string(port);
  if (bound != 0) return ErrnoError("bind " + name, errno);
  if (listen(out.get(), SOMAXCONN) != 0) return ErrnoError("listen " + name, errno);
  return out;
}

Result<uint16_t> LocalPort(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return ErrnoError("getsockname", errno);
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  return InvalidArgument("no TCP socket");
}

Listener::Listener(runtime::Loop& loop, runtime::UniqueFd socket, std::string name,
                   UniqueFunction<void(runtime::UniqueFd)> on_accept)
    : loop_(loop), socket_(std::move(socket)), name_(std::move(name)), on_accept_(std::move(on_accept)) {
  watch_ = loop_.Watch(socket_.get(), [this] { Accept(); });
}

Listener::~Listener() { *alive_ = false; }

void Listener::Accept() {
  const std::shared_ptr<bool> alive = alive_;
  for (int i = 0; i < kBatch; ++i) {
    runtime::UniqueFd accepted(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!accepted) {
      if (errno == EAGAIN) return;
      if (errno == EINTR || errno == ECONNABORTED) continue;
      return Pause(errno);
    }
    on_accept_(std::move(accepted));
    if (!*alive) return;
  }
}

void Listener::Pause(int error) {
  watch_.WantRead(false);
  retry_ = loop_.After(kRetry, [this] { watch_.WantRead(true); });
  if (said_.pending()) return;
  Log(LogLevel::kWarn, "listener.accept_failed", {{"listener", name_}, {"error", ErrnoError("accept", error)}});
  said_ = loop_.After(kSayAgain, [] {});
}

}  // namespace hexr::net
