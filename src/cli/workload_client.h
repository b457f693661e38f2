// The Workload API from the client side, for the command line: blocking, one call at a time.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "runtime/unique_fd.h"

namespace google::protobuf {
class MessageLite;
}

namespace hexr::cli {

class WorkloadClient {
 public:
  // `address`: "unix:///path" as in SPIFFE_ENDPOINT_SOCKET, or a plain path. UNAVAILABLE says how to start a node.
  static Result<WorkloadClient> Connect(const std::string& address);

  // One request of a SpiffeWorkloadAPI method; `each` gets every message and returns false to stop. The server's
  // status.
  Status Call(const std::string& method, const google::protobuf::MessageLite& request,
              UniqueFunction<bool(ByteView)> each);

 private:
  explicit WorkloadClient(runtime::UniqueFd socket) : socket_(std::move(socket)) {}
  runtime::UniqueFd socket_;
};

}  // namespace hexr::cli
