// The client side of one gRPC connection without I/O: what the command line and tests speak to a server of ours with.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/limits/http.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "wire/http2_server.h"

namespace hexr::wire {

class GrpcClient {
 public:
  struct Events {
    UniqueFunction<void(ByteView message)> on_message;
    // Once, last: the server's status, or why there is none (UNAVAILABLE, CANCELLED, UNKNOWN).
    UniqueFunction<void(const Status& status)> on_end;
  };

  // `authority` is what :authority says; servers on a Unix socket ignore it.
  explicit GrpcClient(std::string authority, size_t max_message_bytes = limits::kMaxGrpcMessageBytes);
  ~GrpcClient();
  GrpcClient(const GrpcClient&) = delete;
  GrpcClient& operator=(const GrpcClient&) = delete;

  // Begins a call of "/package.Service/Method"; the number names it below.
  Result<int32_t> Start(std::string_view method, std::vector<HttpField> metadata, Events events);
  void Send(int32_t call, ByteView message);
  void HalfClose(int32_t call);
  void Cancel(int32_t call);

  // An error means that the connection is of no more use; every call has ended by then.
  Status Feed(ByteView bytes);
  void TakeOutput(std::string& out, size_t max);
  // The transport is gone: ends every call with UNAVAILABLE.
  void Close();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hexr::wire
