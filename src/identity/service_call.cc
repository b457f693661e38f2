#include "identity/service_call.h"

#include "crypto/secret.h"

namespace hexr::identity {

Status CheckSecurityHeader(const wire::GrpcRequest& request) {
  const auto values = request.Values("workload.spiffe.io");
  if (values.size() == 1 && values.front() == "true") return Ok();
  return InvalidArgument("security header missing: send the metadata \"workload.spiffe.io: true\" once");
}

Result<ProcessEvidence> WriterOf(const wire::GrpcRequest& request, const EvidenceSource& evidence) {
  RETURN_IF_ERROR(CheckSecurityHeader(request));
  return evidence.EvidenceOf(request.writer);
}

void Answer(wire::GrpcStream& stream, const Result<std::string>& reply) {
  if (reply.ok() && !stream.Send(AsBytes(*reply)).ok()) return;  // the call is over already
  stream.Finish(reply.ok() ? Ok() : Status(reply.error()));
}

void WipeText(std::string& s) { crypto::WipeMemory({reinterpret_cast<uint8_t*>(s.data()), s.size()}); }

std::unique_ptr<StateStream> StateStream::Open(Core& core, std::shared_ptr<wire::GrpcStream> stream,
                                               Result<ProcessEvidence> evidence, Render render) {
  const auto refuse = [&stream](const Error& why) {
    stream->Finish(why);
    return std::unique_ptr<StateStream>();
  };
  if (!evidence.ok()) return refuse(evidence.error());
  const auto caller = core.Authenticate(*evidence);
  if (!caller.ok()) return refuse(caller.error());
  std::unique_ptr<StateStream> call(new StateStream(core, stream, std::move(*evidence), *caller, std::move(render)));
  const Status subscribed = core.Subscribe(*call, caller->process, caller->instance);
  if (!subscribed.ok()) return refuse(subscribed.error());
  const Status shown = call->Show(*caller);
  if (!shown.ok()) return refuse(shown.error());
  return call;
}

StateStream::~StateStream() { core_.Unsubscribe(*this); }

void StateStream::Refresh() {
  if (!stream_->open()) return;
  const auto caller = core_.Recheck(evidence_, instance_);
  if (!caller.ok()) {
    // An image that is being replaced may turn out to be the same one: nothing new is shown until that is known.
    if (caller.error().code() == ErrorCode::kUnavailable) return;
    stream_->Finish(PermissionDenied(caller.error().message()));
    return;
  }
  if (caller->images != images_) {
    stream_->Finish(PermissionDenied("the process has replaced its image: ask again"));
    return;
  }
  const Status shown = Show(*caller);
  // Keys that cannot be renewed now may be renewed in a second; the old ones are good until they end.
  if (!shown.ok() && shown.error().code() != ErrorCode::kUnavailable) stream_->Finish(shown);
}

Status StateStream::Show(const Caller& caller) {
  ASSIGN_OR_RETURN(const State state, render_(caller));
  if (state.version == shown_) return Ok();
  std::string message = state.message();
  const Status sent = stream_->Send(AsBytes(message), wire::GrpcBacklog::kKeepNewest);
  WipeText(message);
  RETURN_IF_ERROR(sent);
  shown_ = state.version;
  return Ok();
}

}  // namespace hexr::identity
