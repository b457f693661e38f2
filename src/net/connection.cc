#include "net/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace hexr::net {

Result<runtime::UniqueFd> StartConnect(ByteView address, uint16_t port) {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  const bool is_v4 = address.size() == 4;
  if (!is_v4 && address.size() != 16) return InvalidArgument("connect: bad address");
  if (is_v4)
    std::memcpy(&v4.sin_addr, address.data(), 4);
  else
    std::memcpy(&v6.sin6_addr, address.data(), 16);
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  runtime::UniqueFd out(socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!out) return ErrnoError("socket", errno);
  const int on = 1;
  setsockopt(out.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // a hint: nothing depends on it
  const int result = is_v4 ? connect(out.get(), reinterpret_cast<const sockaddr*>(&v4), sizeof v4)
                           : connect(out.get(), reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
  if (result != 0 && errno != EINPROGRESS) return Unavailable(std::string("connect: ") + std::strerror(errno));
  return out;
}

Status ConnectError(int socket) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return ErrnoError("SO_ERROR", errno);
  if (error != 0) return Unavailable(std::string("connect: ") + std::strerror(error));
  return Ok();
}

Connection::Connection(runtime::Loop& loop, runtime::UniqueFd socket, std::unique_ptr<wire::TlsSession> tls,
                       Handlers handlers)
    : loop_(loop),
      socket_(std::move(socket)),
      tls_(std::move(tls)),
      handlers_(std::move(handlers)),
      established_(tls_ == nullptr) {
  watch_ = loop_.Watch(
      socket_.get(), [this] { Readable(); }, [this] { Flush(); });
  // A client's first flight.
  if (tls_ != nullptr && tls_->PendingOutput() > 0) watch_.WantWrite(true);
}

Connection::~Connection() = default;

void Connection::Readable() {
  std::array<uint8_t, 16 * 1024> chunk;
  for (int i = 0; i < 4; ++i) {  // a bounded batch, so that one busy connection does not starve the others
    const ssize_t n = recv(socket_.get(), chunk.data(), chunk.size(), 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) Break(Unavailable(std::string("read: ") + std::strerror(errno)));
      return;
    }
    if (n == 0) {
      if (tls_ != nullptr && !tls_->peer_closed()) {
        Break(Unavailable("tls: the connection was cut off"));
        return;
      }
      if (std::exchange(ended_, true)) return;
      watch_.WantRead(false);
      handlers_.on_end();
      return;
    }
    if (!TakeInput({chunk.data(), static_cast<size_t>(n)})) return;
  }
}

bool Connection::TakeInput(ByteView bytes) {
  const std::weak_ptr<Connection*> alive = self_;
  if (tls_ == nullptr) {
    handlers_.on_data(bytes);
    return !alive.expired() && !paused_ && !broken_;
  }
  const Status fed = tls_->Feed(bytes);
  if (!fed.ok()) {
    // The alert says why; whether it arrives does not matter any more.
    Flush();
    return !alive.expired() && Break(fed.error());
  }
  if (!established_ && tls_->established()) {
    established_ = true;
    if (!early_.empty() && !tls_->Write(AsBytes(std::exchange(early_, {}))).ok())
      return Break(Unavailable("tls: write"));
    if (finishing_) tls_->Close();
    if (handlers_.on_established) handlers_.on_established();
    if (alive.expired()) return false;
  }
  std::string plain;
  const auto n = tls_->Read(plain, SIZE_MAX);
  if (!n.ok()) return Break(n.error());
  if (!plain.empty()) handlers_.on_data(AsBytes(plain));
  if (alive.expired() || broken_ || !Flush()) return false;
  if (tls_->peer_closed() && !std::exchange(ended_, true)) {
    watch_.WantRead(false);
    handlers_.on_end();
    return false;
  }
  return !paused_;
}

bool Connection::Flush() {
  if (broken_) return false;
  const std::weak_ptr<Connection*> alive = self_;
  if (tls_ != nullptr) tls_->TakeOutput(out_);
  while (sent_ < out_.size()) {
    const ssize_t n = send(socket_.get(), out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return Break(Unavailable(std::string("write: ") + std::strerror(errno)));
      watch_.WantWrite(true);
      return true;
    }
    sent_ += static_cast<size_t>(n);
  }
  std::string().swap(out_);
  sent_ = 0;
  watch_.WantWrite(false);
  if (!early_.empty()) return true;
  if (finishing_ && established_ && !std::exchange(shut_, true)) {
    shutdown(socket_.get(), SHUT_WR);  // fails only where the peer has gone, which the next read says
  }
  if (std::exchange(owes_drained_, false) && handlers_.on_drained) handlers_.on_drained();
  return !alive.expired();
}

void Connection::Write(ByteView data) {
  if (broken_ || finishing_ || data.empty()) return;
  owes_drained_ = true;
  if (tls_ == nullptr) {
    out_.append(AsText(data));
  } else if (!established_) {
    early_.append(AsText(data));
    return;
  } else {
    // A session that refuses to write has ended: the next read says why.
    if (!tls_->Write(data).ok()) return;
    tls_->TakeOutput(out_);
  }
  // Sent from the loop, so that no handler runs inside the caller's turn.
  watch_.WantWrite(true);
}

void Connection::Finish() {
  if (broken_ || std::exchange(finishing_, true)) return;
  if (tls_ != nullptr && established_) tls_->Close();
  watch_.WantWrite(true);
}

void Connection::PauseReading(bool pause) {
  paused_ = pause;
  if (!broken_ && !ended_) watch_.WantRead(!pause);
}

bool Connection::Break(const Error& error) {
  if (std::exchange(broken_, true)) return false;
  watch_ = runtime::FdWatch();
  handlers_.on_error(error);
  return false;
}

}  // namespace hexr::net
