// What the gRPC services of this room have in common: whose request it is, and streams that follow a process's rights.
// Belongs to one loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "identity/core.h"
#include "wire/grpc_server.h"

namespace hexr::identity {

// SPIFFE_Workload_Endpoint.md 5.3: exactly one "workload.spiffe.io: true", or INVALID_ARGUMENT. It keeps a process from
// being talked into a request by whoever controls a URL that it opens.
Status CheckSecurityHeader(const wire::GrpcRequest& request);

// The evidence on who wrote this request, if it carries the security header.
Result<ProcessEvidence> WriterOf(const wire::GrpcRequest& request, const EvidenceSource& evidence);

// The last word of a unary call.
void Answer(wire::GrpcStream& stream, const Result<std::string>& reply);

// Protobuf's strings are not wiped when they are freed: whatever held a key is, with this.
void WipeText(std::string& s);

// A stream of full states: each message replaces the one before, a slow reader gets the newest. Sends when `Render`
// makes something other than last time, ends with PERMISSION_DENIED when the process has lost its identity.
class StateStream final : public wire::GrpcCall, private Subscriber {
 public:
  struct State {
    std::string version;                   // equal versions are not sent again
    std::function<std::string()> message;  // called only when it is sent; overwritten afterwards, it may hold keys
  };
  using Render = std::function<Result<State>(const Caller&)>;

  // Sends the first state at once. Null when there is none: the stream is finished with the reason.
  static std::unique_ptr<StateStream> Open(Core& core, std::shared_ptr<wire::GrpcStream> stream,
                                           Result<ProcessEvidence> evidence, Render render);
  ~StateStream() override;
  void OnMessage(ByteView) override {}

 private:
  StateStream(Core& core, std::shared_ptr<wire::GrpcStream> stream, ProcessEvidence evidence, const Caller& caller,
              Render render)
      : core_(core),
        stream_(std::move(stream)),
        evidence_(std::move(evidence)),
        process_(caller.process),
        instance_(caller.instance),
        images_(caller.images),
        render_(std::move(render)) {}
  void Refresh() override;
  Status Show(const Caller& caller);

  Core& core_;
  std::shared_ptr<wire::GrpcStream> stream_;
  ProcessEvidence evidence_;
  std::string process_;
  std::optional<InstanceId> instance_;
  uint64_t images_;
  Render render_;
  std::string shown_;
};

}  // namespace hexr::identity
