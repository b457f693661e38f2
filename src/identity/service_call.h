// What the gRPC services of this room have in common: whose request it is, and streams that follow a process's rights.
//
// A request that comes while its process replaces its image is held until that is over, limits::kMaxHoldTime at most:
// a new program asks before it is known which one it is. The old one may have written it, on a socket that it shares
// with others: it is answered only when the new one has answered a PING on that connection. Belongs to one loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/wiped.h"
#include "identity/core.h"
#include "wire/grpc_server.h"

namespace hexr::identity {

// SPIFFE_Workload_Endpoint.md 5.3: exactly one "workload.spiffe.io: true", or INVALID_ARGUMENT. It keeps a process from
// being talked into a request by whoever controls a URL that it opens.
Status CheckSecurityHeader(const wire::GrpcRequest& request);

// The evidence on who wrote this request, if it carries the security header.
Result<ProcessEvidence> WriterOf(const wire::GrpcRequest& request, const EvidenceSource& evidence);

// A unary call: `reply` is serialized, and wiped once it is sent. Asked again when what was signed for the caller is on
// record, where it says UNAVAILABLE for that; what is returned is the call's life meanwhile, null when it is over.
using Reply = std::function<Result<std::string>(const Caller&)>;
std::unique_ptr<wire::GrpcCall> ServeUnary(Core& core, std::shared_ptr<wire::GrpcStream> stream, wire::WriterTag writer,
                                           Result<ProcessEvidence> evidence, Reply reply);

// One call of one process, which takes no further message and looks again when something may have changed.
class ServiceCall : public wire::GrpcCall, protected Subscriber {
 public:
  ~ServiceCall() override { core_.Unsubscribe(*this); }
  void OnMessage(ByteView) override {}

 protected:
  ServiceCall(Core& core, std::shared_ptr<wire::GrpcStream> stream, ProcessEvidence evidence)
      : core_(core), stream_(std::move(stream)), evidence_(std::move(evidence)) {}

  Core& core_;
  std::shared_ptr<wire::GrpcStream> stream_;
  ProcessEvidence evidence_;
};

// A stream of full states: each message replaces the one before, a slow reader gets the newest. Sends when `Render`
// makes something other than last time, ends with PERMISSION_DENIED when the process has lost its identity.
class StateStream final : public ServiceCall {
 public:
  struct State {
    std::string version;                   // equal versions are not sent again
    std::function<std::string()> message;  // called only when it is sent; overwritten afterwards, it may hold keys
  };
  using Render = std::function<Result<State>(const Caller&)>;

  // Sends the first state at once. Null when there is none: the stream is finished with the reason.
  static std::unique_ptr<wire::GrpcCall> Open(Core& core, std::shared_ptr<wire::GrpcStream> stream,
                                              wire::WriterTag writer, Result<ProcessEvidence> evidence, Render render);

 private:
  StateStream(Core& core, std::shared_ptr<wire::GrpcStream> stream, ProcessEvidence evidence, const Caller& caller,
              Render render)
      : ServiceCall(core, std::move(stream), std::move(evidence)),
        instance_(caller.instance),
        images_(caller.images),
        render_(std::move(render)) {}
  static std::unique_ptr<wire::GrpcCall> OpenNow(Core& core, std::shared_ptr<wire::GrpcStream> stream,
                                                 Result<ProcessEvidence> evidence, Render render);
  void Refresh() override;
  Status Show(const Caller& caller);

  std::optional<InstanceId> instance_;
  uint64_t images_;
  Render render_;
  std::string shown_;
};

}  // namespace hexr::identity
