// Bytes between an agent and its destination, untouched, both ways, with back-pressure and half-close.
// Belongs to the loop's thread.
#pragma once

#include <memory>

#include "base/clock.h"
#include "gateway/stream.h"

namespace hexr::gateway {

class Relay {
 public:
  enum class End : uint8_t { kClosed, kBroken, kIdle };
  using Done = UniqueFunction<void(End)>;

  // Where the relay begins: two sockets, and bytes that were read before and are not sent on yet.
  struct Start {
    runtime::UniqueFd agent;
    runtime::UniqueFd upstream;
    std::string to_upstream = {};
    std::string to_agent = {};
  };
  // `done` runs once, never from inside the constructor; it may destroy the relay.
  Relay(runtime::Loop& loop, const Clock& clock, Start start, Done done);

  // Resets both sides now; `done` does not run any more.
  void Cut();
  uint64_t to_upstream() const { return upstream_->bytes_written(); }
  uint64_t from_upstream() const { return upstream_->bytes_read(); }

 private:
  std::unique_ptr<Stream> Open(runtime::UniqueFd socket, std::unique_ptr<Stream>& other);
  void ArmIdle(std::chrono::nanoseconds delay);
  void CheckEnd();
  void Finish(End end);

  runtime::Loop& loop_;
  const Clock& clock_;
  Done done_;
  std::unique_ptr<Stream> agent_;
  std::unique_ptr<Stream> upstream_;
  int ends_seen_ = 0;
  MonoTime last_byte_;
  runtime::Timer idle_;
};

}  // namespace hexr::gateway
