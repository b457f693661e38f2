// A listening stream socket on the loop. Belongs to the loop's thread.
#pragma once

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
// `path` is absolute and shorter than sun_path. A socket file that nobody listens on any more is replaced;
// ALREADY_EXISTS for one that answers, and for anything else of that name. `mode` is what the file gets, whatever the
// umask.
Result<runtime::UniqueFd> BindUnix(const std::string& path, uint32_t mode);
// `address` is a literal IPv4 or IPv6 address; port 0 takes a free one.
Result<runtime::UniqueFd> BindTcp(const std::string& address, uint16_t port);
// The port that a TCP socket is bound to.
Result<uint16_t> LocalPort(int socket);

class Listener {
 public:
  // Accepted sockets are close-on-exec and non-blocking. `on_accept` may destroy the listener.
  Listener(runtime::Loop& loop, runtime::UniqueFd socket, UniqueFunction<void(runtime::UniqueFd)> on_accept);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  int fd() const { return socket_.get(); }

 private:
  void Accept();

  runtime::Loop& loop_;
  runtime::UniqueFd socket_;
  UniqueFunction<void(runtime::UniqueFd)> on_accept_;
  runtime::FdWatch watch_;
  runtime::Timer retry_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace hexr::net
