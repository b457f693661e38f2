// A listening stream socket on the loop. Belongs to the loop's thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/unique_function.h"
#include "runtime/loop.h"
#include "runtime/unique_fd.h"

namespace hexr::net {

// Binds and listens; close-on-exec and non-blocking.
// `type` is SOCK_STREAM or SOCK_SEQPACKET. A socket that lies at `path` is replaced: whoever binds holds the place by
// other means. FAILED_PRECONDITION where the path is too long, or something else lies there. `mode` is what the file
// gets, whatever the umask.
Result<runtime::UniqueFd> BindUnix(const std::string& path, int type, mode_t mode);
// `address` is a literal IPv4 or IPv6 address; port 0 takes a free one.
Result<runtime::UniqueFd> BindTcp(const std::string& address, uint16_t port);
// The port that a TCP socket is bound to.
Result<uint16_t> LocalPort(int socket);

// Accepts a batch a turn, so that a storm of connections does not starve those that are open. Out of descriptors or
// memory it looks away for a moment: what waits in the queue would keep the socket readable, and the loop busy over it.
class Listener {
 public:
  // Accepted sockets are close-on-exec and non-blocking. `on_accept` may destroy the listener. `name` is for the log.
  Listener(runtime::Loop& loop, runtime::UniqueFd socket, std::string name,
           UniqueFunction<void(runtime::UniqueFd)> on_accept);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  int fd() const { return socket_.get(); }

 private:
  void Accept();
  void Pause(int error);

  runtime::Loop& loop_;
  runtime::UniqueFd socket_;
  std::string name_;
  UniqueFunction<void(runtime::UniqueFd)> on_accept_;
  runtime::FdWatch watch_;
  runtime::Timer retry_;
  runtime::Timer said_;  // pending: the log has heard of it
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace hexr::net
