// One connected socket on the loop, with or without TLS: plaintext in, plaintext out, bounds and back-pressure both
// ways. Belongs to the loop's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/limits/net.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "net/send_buffer.h"
#include "runtime/loop.h"
#include "runtime/unique_fd.h"
#include "wire/tls_session.h"

namespace hexr::net {

// Begins to connect; the socket is writable once it is done, and ConnectError says how. `address` has 4 or 16 bytes.
Result<runtime::UniqueFd> StartConnect(ByteView address, uint16_t port);
Status ConnectError(int socket);

// Small writes are sent at once. A hint: nothing depends on it, and a Unix socket takes no notice.
void SendAtOnce(int socket);
// Closing `socket` will send a reset instead of an orderly end.
void ResetOnClose(int socket);

class Connection {
 public:
  // Each may destroy the connection; none runs inside a call of its owner's. After on_end nothing more is read, after
  // on_error nothing more happens.
  struct Handlers {
    UniqueFunction<void(ByteView)> on_data;       // never empty
    UniqueFunction<void()> on_end;                // the peer has finished sending, and nothing was cut off
    UniqueFunction<void()> on_established = {};   // TLS alone: the handshake is done; optional
    UniqueFunction<void()> on_drained = {};       // congested() was true and is no longer; optional
    UniqueFunction<void()> on_finished = {};      // after Finish: all is sent and our side is closed; optional
    UniqueFunction<void(const Error&)> on_error;  // broken, in either direction; with TLS also an end without
                                                  // close_notify
  };

  // `socket` is non-blocking and connected. `tls` null: none. Reads begin at once. `max_unsent` bounds what is kept for
  // a peer that does not read.
  Connection(runtime::Loop& loop, runtime::UniqueFd socket, Handlers handlers,
             std::unique_ptr<wire::TlsSession> tls = nullptr, size_t max_unsent = limits::kMaxUnsentBytes);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Sends, or keeps what the kernel does not take now, and before the TLS handshake is done all of it. Ignored after
  // Finish and on a broken connection. Whoever feeds stops while congested(): more than `max_unsent` bytes kept break
  // the connection.
  void Write(ByteView data);
  void Write(std::string_view text) { Write(AsBytes(text)); }
  // Half closes once everything is sent (close_notify first, with TLS).
  void Finish();
  void PauseReading(bool pause);
  bool congested() const { return buffered() > kHighWater; }
  size_t buffered() const { return out_.size() + early_.size(); }
  // Memory held for the peer: never much more than twice what is buffered.
  size_t memory() const { return out_.memory() + early_.capacity(); }
  const wire::TlsSession* tls() const { return tls_.get(); }

  // Closes now with a reset instead of an orderly end: the peer must not take what it got for the whole.
  void Reset();
  // Closes now, in order as far as the kernel has everything.
  void Close() { Release().reset(); }
  // What was written and is not sent, taken away; before Release. Not with TLS.
  std::string TakeUnsent();
  // Gives the socket away; the connection does nothing more, and what is buffered is lost.
  runtime::UniqueFd Release();

  // On the socket: with TLS these are the bytes of its records.
  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t bytes_written() const { return bytes_written_; }

 private:
  static constexpr size_t kHighWater = 64 * 1024;

  void Readable();
  void Writable();
  // False when a handler has destroyed us, or nothing more is to be read now.
  bool TakeInput(ByteView bytes);
  bool TakeTls(ByteView bytes);
  // As much as the kernel takes. Runs no handler.
  Status Send();
  void SendOrBreakLater();
  bool Break(const Error& error);
  void BreakLater(Error error);
  void UpdateRead();

  runtime::Loop& loop_;
  runtime::UniqueFd socket_;
  Handlers handlers_;
  std::unique_ptr<wire::TlsSession> tls_;
  const size_t max_unsent_;
  SendBuffer out_;     // for the socket
  std::string early_;  // plaintext written before the handshake was done
  uint64_t bytes_read_ = 0;
  uint64_t bytes_written_ = 0;
  bool established_;
  bool paused_ = false;
  bool ended_ = false;      // end of input seen
  bool finishing_ = false;  // Finish was called
  bool shut_ = false;
  bool broken_ = false;
  bool was_congested_ = false;
  std::shared_ptr<Connection*> self_ = std::make_shared<Connection*>(this);
  runtime::FdWatch watch_;
};

}  // namespace hexr::net
