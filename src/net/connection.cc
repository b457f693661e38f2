#include "net/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace hexr::net {
namespace {

Error TooMuch() { return ResourceExhausted("the peer does not read what it is sent"); }

}  // namespace

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
  SendAtOnce(out.get());
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

void SendAtOnce(int socket) {
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void ResetOnClose(int socket) {
  const linger now{1, 0};
  setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

Connection::Connection(runtime::Loop& loop, runtime::UniqueFd socket, Handlers handlers,
                       std::unique_ptr<wire::TlsSession> tls, size_t max_unsent)
    : loop_(loop),
      socket_(std::move(socket)),
      handlers_(std::move(handlers)),
      tls_(std::move(tls)),
      max_unsent_(max_unsent),
      established_(tls_ == nullptr) {
  watch_ = loop_.Watch(
      socket_.get(), [this] { Readable(); }, [this] { Writable(); });
  if (tls_ == nullptr) return;
  tls_->TakeOutput(out_.text());  // a client's first flight
  if (!out_.empty()) watch_.WantWrite(true);
}

Connection::~Connection() = default;

// ---- in

void Connection::Readable() {
  // A bounded batch, so that one busy connection does not starve the others.
  for (int i = 0; i < 4; ++i) {
    std::array<uint8_t, 64 * 1024> chunk;
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
      ended_ = true;
      UpdateRead();
      return handlers_.on_end();
    }
    bytes_read_ += static_cast<uint64_t>(n);
    if (!TakeInput({chunk.data(), static_cast<size_t>(n)})) return;
    if (static_cast<size_t>(n) < chunk.size()) return;
  }
}

bool Connection::TakeInput(ByteView bytes) {
  if (tls_ != nullptr) return TakeTls(bytes);
  const std::weak_ptr<Connection*> alive = self_;
  handlers_.on_data(bytes);
  return !alive.expired() && !paused_ && !broken_ && socket_;
}

bool Connection::TakeTls(ByteView bytes) {
  const std::weak_ptr<Connection*> alive = self_;
  const auto stopped = [&] { return alive.expired() || broken_ || !socket_; };
  if (const Status fed = tls_->Feed(bytes); !fed.ok()) {
    // The alert says why; whether it arrives does not matter any more.
    tls_->TakeOutput(out_.text());
    (void)!Send().ok();
    return Break(fed.error());
  }
  if (!established_ && tls_->established()) {
    established_ = true;
    if (!early_.empty() && !tls_->Write(AsBytes(std::exchange(early_, {}))).ok())
      return Break(Unavailable("tls: write"));
    if (finishing_) tls_->Close();
    if (handlers_.on_established) handlers_.on_established();
    if (stopped()) return false;
  }
  std::string plain;
  if (const auto n = tls_->Read(plain, SIZE_MAX); !n.ok()) return Break(n.error());
  if (!plain.empty()) handlers_.on_data(AsBytes(plain));
  if (stopped()) return false;
  tls_->TakeOutput(out_.text());
  if (const Status sent = Send(); !sent.ok()) return Break(sent.error());
  if (buffered() > max_unsent_) return Break(TooMuch());  // answers to the handshake's messages count as well
  if (!tls_->peer_closed()) return !paused_;
  if (!std::exchange(ended_, true)) {
    UpdateRead();
    handlers_.on_end();
  }
  return false;
}

void Connection::PauseReading(bool pause) {
  paused_ = pause;
  UpdateRead();
}

void Connection::UpdateRead() {
  if (watch_) watch_.WantRead(!paused_ && !ended_);
}

// ---- out

void Connection::Writable() {
  if (const Status sent = Send(); !sent.ok()) {
    Break(sent.error());
    return;
  }
  if (!was_congested_ || congested()) return;
  was_congested_ = false;
  watch_.WantWrite(!out_.empty());
  if (handlers_.on_drained) handlers_.on_drained();
}

Status Connection::Send() {
  while (!out_.empty()) {
    const std::string_view pending = out_.pending();
    const ssize_t n = send(socket_.get(), pending.data(), pending.size(), MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return Unavailable(std::string("write: ") + std::strerror(errno));
      watch_.WantWrite(true);
      return Ok();
    }
    out_.Consume(static_cast<size_t>(n));
    bytes_written_ += static_cast<uint64_t>(n);
  }
  watch_.WantWrite(was_congested_);  // on_drained is due, from Writable alone
  if (!finishing_ || !established_ || std::exchange(shut_, true)) return Ok();
  shutdown(socket_.get(), SHUT_WR);  // fails only where the peer has gone, which the next read says
  if (!handlers_.on_finished) return Ok();
  loop_.Post([weak = std::weak_ptr<Connection*>(self_)] {
    const auto self = weak.lock();
    if (self != nullptr && !(*self)->broken_ && (*self)->socket_) (*self)->handlers_.on_finished();
  });
  return Ok();
}

void Connection::Write(ByteView data) {
  if (broken_ || finishing_ || !socket_ || data.empty()) return;
  const bool waiting = !out_.empty();  // until the kernel takes more
  if (!established_) {
    early_.append(AsText(data));
  } else if (tls_ != nullptr) {
    // A session that refuses to write has ended: the next read says why.
    if (!tls_->Write(data).ok()) return;
    tls_->TakeOutput(out_.text());
    if (!waiting) SendOrBreakLater();
  } else {
    if (!waiting) {  // most often the kernel takes it all, and nothing is copied
      ssize_t n = 0;
      do {
        n = send(socket_.get(), data.data(), data.size(), MSG_NOSIGNAL);
      } while (n < 0 && errno == EINTR);
      if (n < 0 && errno != EAGAIN) return BreakLater(Unavailable(std::string("write: ") + std::strerror(errno)));
      if (n > 0) {
        bytes_written_ += static_cast<uint64_t>(n);
        data = data.subspan(static_cast<size_t>(n));
      }
      if (data.empty()) return;
      watch_.WantWrite(true);
    }
    out_.Append(AsText(data));
  }
  if (broken_) return;
  if (buffered() > max_unsent_) return BreakLater(TooMuch());
  was_congested_ = was_congested_ || congested();
}

void Connection::Finish() {
  if (finishing_ || broken_ || !socket_) return;
  finishing_ = true;
  if (tls_ != nullptr && established_) {
    tls_->Close();
    tls_->TakeOutput(out_.text());
  }
  SendOrBreakLater();
}

void Connection::SendOrBreakLater() {
  if (const Status sent = Send(); !sent.ok()) BreakLater(sent.error());
}

// ---- ends

bool Connection::Break(const Error& error) {
  if (std::exchange(broken_, true)) return false;
  watch_ = runtime::FdWatch();
  handlers_.on_error(error);
  return false;
}

// From inside a caller's own turn, which must not find itself destroyed half-way.
void Connection::BreakLater(Error error) {
  broken_ = true;
  watch_ = runtime::FdWatch();
  loop_.Post([weak = std::weak_ptr<Connection*>(self_), error = std::move(error)] {
    const auto self = weak.lock();
    if (self != nullptr && (*self)->socket_) (*self)->handlers_.on_error(error);
  });
}

void Connection::Reset() {
  ResetOnClose(socket_.get());
  Release().reset();
}

std::string Connection::TakeUnsent() {
  HEXR_CHECK(tls_ == nullptr);
  return out_.Take();
}

runtime::UniqueFd Connection::Release() {
  watch_ = runtime::FdWatch();
  return std::move(socket_);
}

}  // namespace hexr::net
