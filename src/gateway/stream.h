// One connected socket on the loop: reads that can be paused, writes that are buffered to a bound.
//
// Callbacks may destroy the stream. After OnEnd or OnError nothing more is read. Belongs to the loop's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/limits/gateway.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "runtime/loop.h"
#include "runtime/unique_fd.h"

namespace hexr::gateway {

// Closing `socket` will send a reset instead of an orderly end.
void ResetOnClose(int socket);

class Stream {
 public:
  struct Handlers {
    UniqueFunction<void(ByteView)> on_data;  // never empty
    UniqueFunction<void()> on_end;           // the peer has finished sending
    UniqueFunction<void()> on_drained;       // congested() was true and is no longer; optional
    UniqueFunction<void()> on_finished;      // all is sent after Finish; optional; not when nothing was left to send
    UniqueFunction<void(const Error&)> on_error;  // the connection is broken, in either direction
  };

  // `socket` is non-blocking. Reads begin at once.
  Stream(runtime::Loop& loop, runtime::UniqueFd socket, Handlers handlers);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Sends, or keeps what the kernel does not take now. Ignored after Finish and on a broken connection. The caller
  // stops feeding while congested(): a buffer above limits::kMaxStreamBufferBytes breaks the connection.
  void Write(ByteView data);
  void Write(std::string_view text) { Write(AsBytes(text)); }
  // Half closes once everything is sent.
  void Finish();
  bool congested() const { return buffer_.size() - sent_ > kHighWater; }
  size_t buffered() const { return buffer_.size() - sent_; }
  // Sent, nothing kept, and our side closed.
  bool finished() const { return shut_; }
  void PauseReading(bool pause);
  // Closes now with a reset instead of an orderly end: the peer must not take what it got for the whole.
  void Reset();
  // Closes now, in order as far as the kernel has everything.
  void Close() { Release().reset(); }
  // What was written and is not sent, taken away; for a stream that is about to be released.
  std::string TakeUnsent();
  // Gives the socket away; the stream does nothing more, and what is buffered is lost.
  runtime::UniqueFd Release();

  uint64_t bytes_read() const { return bytes_read_; }
  uint64_t bytes_written() const { return bytes_written_; }
  int fd() const { return socket_.get(); }

 private:
  static constexpr size_t kHighWater = 64 * 1024;

  void Readable();
  void Writable();
  bool Flush();  // false: broke, and the stream may be gone
  void Break(const Error& error);
  void BreakLater(Error error);
  void UpdateRead();

  runtime::UniqueFd socket_;
  Handlers handlers_;
  runtime::FdWatch watch_;
  std::string buffer_;
  size_t sent_ = 0;
  uint64_t bytes_read_ = 0;
  uint64_t bytes_written_ = 0;
  bool paused_ = false;
  bool ended_ = false;      // end of input seen
  bool finishing_ = false;  // Finish was called
  bool shut_ = false;
  bool broken_ = false;
  bool was_congested_ = false;
  std::shared_ptr<Stream*> self_;
  runtime::Loop& loop_;
};

}  // namespace hexr::gateway
