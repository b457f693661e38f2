// The small grammars of gRPC over HTTP/2 (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md): message prefix, status text,
// timeout. Not thread-safe.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/limits/http.h"
#include "base/result.h"

namespace hexr::wire {

// `message` behind its five-byte prefix, uncompressed.
Bytes GrpcFrame(ByteView message);

// Cuts a request or response body into messages.
class GrpcMessageReader {
 public:
  explicit GrpcMessageReader(size_t max_message = limits::kMaxGrpcMessageBytes) : max_message_(max_message) {}

  void Append(ByteView bytes);
  // The next complete message, valid until the next Append; nothing while it is incomplete. RESOURCE_EXHAUSTED for one
  // larger than allowed, as soon as its prefix is there; UNIMPLEMENTED for a compressed one.
  Result<std::optional<ByteView>> Next();
  // Bytes held for a message that is incomplete.
  size_t buffered() const { return buffer_.size() - taken_; }

 private:
  size_t max_message_;
  Bytes buffer_;
  size_t taken_ = 0;
};

// grpc-message: everything but printable ASCII, and '%', as %XX. Decoding passes over what is not well formed, as the
// protocol asks.
std::string GrpcPercentEncode(std::string_view text);
std::string GrpcPercentDecode(std::string_view text);

// grpc-timeout: one to eight digits and a unit of H M S m u n. INVALID_ARGUMENT for anything else.
Result<std::chrono::nanoseconds> ParseGrpcTimeout(std::string_view text);

}  // namespace hexr::wire
