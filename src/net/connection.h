// One connected socket on the loop, with or without TLS: plaintext in, plaintext out, back-pressure both ways. Belongs
// to the loop's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "runtime/loop.h"
#include "runtime/unique_fd.h"
#include "wire/tls_session.h"

namespace hexr::net {

// Begins to connect; the socket is writable once it is done, and ConnectError says how. `address` has 4 or 16 bytes.
Result<runtime::UniqueFd> StartConnect(ByteView address, uint16_t port);
Status ConnectError(int socket);

class Connection {
 public:
  // Each may destroy the connection. Nothing comes after on_end and on_error but on_drained.
  struct Handlers {
    UniqueFunction<void(ByteView)> on_data;       // never empty
    UniqueFunction<void()> on_end;                // the peer has finished sending, and nothing was cut off
    UniqueFunction<void()> on_established;        // TLS alone: the handshake is done; optional
    UniqueFunction<void()> on_drained;            // everything written has left for the kernel; optional
    UniqueFunction<void(const Error&)> on_error;  // broken; with TLS also an end without close_notify
  };

  // `socket` is non-blocking and connected. `tls` null: none. Reads begin at once.
  Connection(runtime::Loop& loop, runtime::UniqueFd socket, std::unique_ptr<wire::TlsSession> tls, Handlers handlers);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Before the TLS handshake is done it is kept. Unbounded by itself: stop at congested(). Ignored after Finish.
  void Write(ByteView data);
  void Write(std::string_view text) { Write(AsBytes(text)); }
  // Half closes once everything is sent (close_notify first, with TLS).
  void Finish();
  void PauseReading(bool pause);
  bool congested() const { return buffered() > kHighWater; }
  size_t buffered() const { return out_.size() - sent_ + early_.size(); }
  bool finished() const { return shut_; }
  const wire::TlsSession* tls() const { return tls_.get(); }

 private:
  static constexpr size_t kHighWater = 64 * 1024;

  void Readable();
  // False when a handler has destroyed us, or there is nothing more to do.
  bool TakeInput(ByteView bytes);
  bool Flush();
  bool Break(const Error& error);

  runtime::Loop& loop_;
  runtime::UniqueFd socket_;
  std::unique_ptr<wire::TlsSession> tls_;
  Handlers handlers_;
  std::string out_;  // for the socket
  size_t sent_ = 0;
  std::string early_;  // plaintext written before the handshake was done
  bool paused_ = false;
  bool ended_ = false;
  bool finishing_ = false;
  bool shut_ = false;
  bool broken_ = false;
  bool established_ = false;
  bool owes_drained_ = false;
  std::shared_ptr<Connection*> self_ = std::make_shared<Connection*>(this);
  runtime::FdWatch watch_;
};

}  // namespace hexr::net
