#include "gateway/stream.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "base/limits/gateway.h"

namespace hexr::gateway {

Stream::Stream(runtime::Loop& loop, runtime::UniqueFd socket, Handlers handlers)
    : socket_(std::move(socket)), handlers_(std::move(handlers)), self_(std::make_shared<Stream*>(this)), loop_(loop) {
  watch_ = loop.Watch(
      socket_.get(), [this] { Readable(); }, [this] { Writable(); });
}

Stream::~Stream() = default;

void Stream::Readable() {
  const std::weak_ptr<Stream*> alive = self_;
  // A bounded batch, so that one busy connection does not starve the others.
  for (int i = 0; i < 4; ++i) {
    std::array<uint8_t, 64 * 1024> chunk;
    const ssize_t n = recv(socket_.get(), chunk.data(), chunk.size(), 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return;
      return Break(ErrnoError("read", errno));
    }
    if (n == 0) {
      ended_ = true;
      UpdateRead();
      return handlers_.on_end();
    }
    bytes_read_ += static_cast<uint64_t>(n);
    handlers_.on_data(ByteView(chunk.data(), static_cast<size_t>(n)));
    if (alive.expired() || broken_ || paused_ || !socket_) return;
    if (static_cast<size_t>(n) < chunk.size()) return;
  }
}

void Stream::Writable() {
  if (!Flush()) return;
  if (shut_) {
    if (handlers_.on_finished) handlers_.on_finished();
    return;
  }
  if (was_congested_ && !congested()) {
    was_congested_ = false;
    if (handlers_.on_drained) handlers_.on_drained();
  }
}

bool Stream::Flush() {
  while (sent_ < buffer_.size()) {
    const ssize_t n = send(socket_.get(), buffer_.data() + sent_, buffer_.size() - sent_, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) {
        watch_.WantWrite(true);
        return true;
      }
      Break(ErrnoError("write", errno));
      return false;
    }
    sent_ += static_cast<size_t>(n);
    bytes_written_ += static_cast<uint64_t>(n);
  }
  buffer_.clear();
  sent_ = 0;
  if (buffer_.capacity() > kHighWater) buffer_.shrink_to_fit();
  watch_.WantWrite(false);
  if (finishing_ && !shut_) {
    shut_ = true;
    shutdown(socket_.get(), SHUT_WR);  // fails only where the peer has gone, which the next read says
  }
  return true;
}

void Stream::Write(ByteView data) {
  if (broken_ || finishing_ || !socket_ || data.empty()) return;
  if (buffer_.empty()) {
    ssize_t n = 0;
    do {
      n = send(socket_.get(), data.data(), data.size(), MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno != EAGAIN) return BreakLater(ErrnoError("write", errno));
    if (n > 0) {
      bytes_written_ += static_cast<uint64_t>(n);
      data = data.subspan(static_cast<size_t>(n));
    }
    if (data.empty()) return;
  }
  if (buffered() + data.size() > limits::kMaxStreamBufferBytes) {
    return BreakLater(ResourceExhausted("the peer does not read what it is sent"));
  }
  buffer_.append(AsText(data));
  was_congested_ = was_congested_ || congested();
  watch_.WantWrite(true);
}

void Stream::Finish() {
  if (finishing_ || broken_ || !socket_) return;
  finishing_ = true;
  if (buffer_.empty()) {
    shut_ = true;
    shutdown(socket_.get(), SHUT_WR);
  }
}

void Stream::PauseReading(bool pause) {
  paused_ = pause;
  UpdateRead();
}

void Stream::UpdateRead() {
  if (watch_) watch_.WantRead(!paused_ && !ended_ && !broken_);
}

void Stream::Break(const Error& error) {
  if (broken_) return;
  broken_ = true;
  watch_ = runtime::FdWatch();
  handlers_.on_error(error);
}

// From inside a caller's own turn, which must not find itself destroyed half-way.
void Stream::BreakLater(Error error) {
  broken_ = true;
  watch_ = runtime::FdWatch();
  loop_.Post([weak = std::weak_ptr<Stream*>(self_), error = std::move(error)] {
    if (const auto self = weak.lock()) (*self)->handlers_.on_error(error);
  });
}

void ResetOnClose(int socket) {
  const linger now{1, 0};
  setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void Stream::Reset() {
  ResetOnClose(socket_.get());
  Release().reset();
}

std::string Stream::TakeUnsent() {
  std::string unsent = buffer_.substr(sent_);
  buffer_.clear();
  sent_ = 0;
  return unsent;
}

runtime::UniqueFd Stream::Release() {
  watch_ = runtime::FdWatch();
  return std::move(socket_);
}

}  // namespace hexr::gateway
