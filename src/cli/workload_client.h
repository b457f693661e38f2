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
  // status. Asks again, for some seconds, while the server says that it cannot tell yet (UNAVAILABLE, the Workload
  // API's word for it): a program that has just been exec'd may be faster than its attestation.
  Status Call(const std::string& method, const google::protobuf::MessageLite& request,
              UniqueFunction<bool(ByteView)> each);

 private:
  WorkloadClient(std::string address, runtime::UniqueFd socket)
      : address_(std::move(address)), socket_(std::move(socket)) {}
  Status Ask(const std::string& method, const google::protobuf::MessageLite& request,
             UniqueFunction<bool(ByteView)>& each, bool& answered);
  std::string address_;
  runtime::UniqueFd socket_;
};

}  // namespace hexr::cli
