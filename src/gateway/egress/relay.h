// Bytes between an agent and its destination, untouched, both ways, with back-pressure and half-close.
// Belongs to the loop's thread.
#pragma once

#include <memory>

#include "gateway/connection.h"
#include "net/connection.h"

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
  Relay(Shared& shared, Start start, Done done);

  // Resets both sides now; `done` does not run any more.
  void Cut();
  uint64_t to_upstream() const { return upstream_->bytes_written(); }
  uint64_t from_upstream() const { return upstream_->bytes_read(); }

 private:
  std::unique_ptr<net::Connection> Open(runtime::UniqueFd socket, std::unique_ptr<net::Connection>& other);
  void ArmIdle(std::chrono::nanoseconds delay);
  void Finish(End end);

  Shared& shared_;
  Done done_;
  std::unique_ptr<net::Connection> agent_;
  std::unique_ptr<net::Connection> upstream_;
  int finished_ = 0;  // sides that have all of the other and know that it was all
  MonoTime last_byte_;
  runtime::Timer idle_;
};

}  // namespace hexr::gateway
