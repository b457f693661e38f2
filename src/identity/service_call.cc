#include "identity/service_call.h"

#include <array>
#include <bit>
#include <utility>

#include "base/limits/identity.h"

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

namespace {

void Answer(wire::GrpcStream& stream, Result<std::string> reply) {
  const bool sent = !reply.ok() || stream.Send(AsBytes(*reply)).ok();
  if (reply.ok()) WipeText(*reply);
  if (sent) stream.Finish(reply.ok() ? Ok() : Status(reply.error()));  // else the call is over already
}

// A request that waits until it may be served: how, once that is so. Belongs to its call.
using Serve = UniqueFunction<std::unique_ptr<wire::GrpcCall>(Result<ProcessEvidence>)>;

class WaitingCall : public ServiceCall {
 protected:
  WaitingCall(Core& core, std::shared_ptr<wire::GrpcStream> stream, ProcessEvidence evidence, Serve serve)
      : ServiceCall(core, std::move(stream), std::move(evidence)),
        deadline_(core.clock().Mono() + limits::kMaxHoldTime),
        serve_(std::move(serve)) {}

  bool served() const { return !serve_; }
  bool late() const { return core_.clock().Mono() >= deadline_; }
  void ServeNow() {
    core_.Unsubscribe(*this);
    inner_ = std::exchange(serve_, {})(std::move(evidence_));
  }

 private:
  MonoTime deadline_;
  Serve serve_;
  std::unique_ptr<wire::GrpcCall> inner_;
};

// What has to be subscribed to live.
template <class Call>
std::unique_ptr<wire::GrpcCall> Begin(std::unique_ptr<Call> call, wire::GrpcStream& stream) {
  if (const Status s = call->Subscribe(); !s.ok()) {
    stream.Finish(s);
    return nullptr;
  }
  return call;
}

// While its process replaces its image.
class HeldCall final : public WaitingCall {
 public:
  HeldCall(Core& core, std::shared_ptr<wire::GrpcStream> stream, wire::WriterTag writer, ProcessEvidence evidence,
           InstanceId instance, Serve serve)
      : WaitingCall(core, std::move(stream), std::move(evidence), std::move(serve)),
        writer_(writer),
        instance_(std::move(instance)),
        self_(std::make_shared<HeldCall*>(this)) {}
  Status Subscribe() {
    RETURN_IF_ERROR(core_.Subscribe(*this, instance_.value(), instance_));
    core_.RefreshSoon(*this);
    return Ok();
  }

 private:
  void Refresh() override {
    if (served() || !stream_->open()) return;
    const Instance* instance = core_.registry().Find(instance_);
    if (instance == nullptr) return stream_->Finish(PermissionDenied("the instance has ended"));
    if (late()) return stream_->Finish(Unavailable("this instance is replacing its image: ask again"));
    core_.RefreshSoon(*this);
    if (instance->replacing_image()) {
      probed_ = false;
    } else if (!std::exchange(probed_, true)) {
      std::array<uint8_t, 8> token;
      core_.random().Fill(token);
      token[0] |= 1;
      stream_->Probe(std::bit_cast<uint64_t>(token),
                     [self = std::weak_ptr<HeldCall*>(self_), images = instance->images](wire::WriterTag by) {
                       if (const auto held = self.lock()) (*held)->Answered(by, images);
                     });
    }
  }
  void Answered(wire::WriterTag by, uint64_t images) {
    const Instance* instance = core_.registry().Find(instance_);
    if (served() || instance == nullptr) return;
    if (instance->replacing_image() || instance->images != images) {
      probed_ = false;  // it was that image's answer
      return;
    }
    if (by != writer_) return stream_->Finish(PermissionDenied("the process has replaced its image: ask again"));
    ServeNow();
  }

  wire::WriterTag writer_;
  InstanceId instance_;
  bool probed_ = false;
  std::shared_ptr<HeldCall*> self_;
};

std::unique_ptr<wire::GrpcCall> ServeSettled(Core& core, std::shared_ptr<wire::GrpcStream> stream,
                                             wire::WriterTag writer, Result<ProcessEvidence> evidence, Serve serve) {
  const auto instance = evidence.ok() ? core.Executing(*evidence) : std::nullopt;
  if (!instance) return serve(std::move(evidence));
  return Begin(std::make_unique<HeldCall>(core, stream, writer, std::move(*evidence), *instance, std::move(serve)),
               *stream);
}

// While the program of its process, part of no instance, is being read for its digest.
class UnreadCall final : public WaitingCall {
 public:
  UnreadCall(Core& core, std::shared_ptr<wire::GrpcStream> stream, ProcessEvidence evidence, Serve serve)
      : WaitingCall(core, std::move(stream), std::move(evidence), std::move(serve)) {}
  Status Subscribe() {
    ASSIGN_OR_RETURN(const std::string process, core_.ProcessOf(evidence_));
    RETURN_IF_ERROR(core_.Subscribe(*this, process, std::nullopt));
    core_.RefreshSoon(*this);
    return Ok();
  }

 private:
  void Refresh() override {
    if (served() || !stream_->open()) return;
    const auto caller = core_.Recheck(evidence_, std::nullopt);
    const bool unread = !caller.ok() && caller.error().code() == ErrorCode::kUnavailable;
    if (unread && late()) return stream_->Finish(caller.error());
    if (unread) return core_.RefreshSoon(*this);
    ServeNow();
  }
};

bool IsUnread(Core& core, const ProcessEvidence& evidence, const Result<Caller>& caller) {
  if (caller.ok() || caller.error().code() != ErrorCode::kUnavailable) return false;
  const auto instance = core.InstanceOf(evidence);
  return instance.ok() && !*instance;
}

class UnaryCall final : public ServiceCall {
 public:
  UnaryCall(Core& core, std::shared_ptr<wire::GrpcStream> stream, ProcessEvidence evidence, const Caller& caller,
            Reply reply)
      : ServiceCall(core, std::move(stream), std::move(evidence)),
        process_(caller.process),
        instance_(caller.instance),
        images_(caller.images),
        reply_(std::move(reply)) {}
  Status Subscribe() { return core_.Subscribe(*this, process_, instance_); }

 private:
  void Refresh() override {
    if (!stream_->open() || core_.svids().Waiting(process_)) return;
    const auto caller = core_.Recheck(evidence_, instance_);
    if (!instance_ && !caller.ok() && caller.error().code() == ErrorCode::kUnavailable) return core_.RefreshSoon(*this);
    if (!caller.ok()) return Answer(*stream_, caller.error());
    if (caller->images != images_)
      return Answer(*stream_, PermissionDenied("the process has replaced its image: ask again"));
    auto reply = reply_(*caller);
    if (!reply.ok() && core_.svids().Waiting(process_)) return;  // the next of several things to sign
    Answer(*stream_, std::move(reply));
  }

  std::string process_;
  std::optional<InstanceId> instance_;
  uint64_t images_;
  Reply reply_;
};

}  // namespace

static std::unique_ptr<wire::GrpcCall> ServeUnaryNow(Core& core, const std::shared_ptr<wire::GrpcStream>& stream,
                                                     Result<ProcessEvidence> evidence, Reply reply) {
  const auto answer = [&stream](Result<std::string> r) {
    Answer(*stream, std::move(r));
    return std::unique_ptr<wire::GrpcCall>();
  };
  if (!evidence.ok()) return answer(evidence.error());
  const auto caller = core.Authenticate(*evidence);
  if (IsUnread(core, *evidence, caller)) {
    Serve serve = [&core, stream, reply = std::move(reply)](Result<ProcessEvidence> who) mutable {
      return ServeUnaryNow(core, stream, std::move(who), std::move(reply));
    };
    return Begin(std::make_unique<UnreadCall>(core, stream, std::move(*evidence), std::move(serve)), *stream);
  }
  if (!caller.ok()) return answer(caller.error());
  auto now = reply(*caller);
  if (now.ok() || !core.svids().Waiting(caller->process)) return answer(std::move(now));
  auto call = std::make_unique<UnaryCall>(core, stream, std::move(*evidence), *caller, std::move(reply));
  if (const Status s = call->Subscribe(); !s.ok()) return answer(s.error());
  return call;
}

std::unique_ptr<wire::GrpcCall> ServeUnary(Core& core, std::shared_ptr<wire::GrpcStream> stream, wire::WriterTag writer,
                                           Result<ProcessEvidence> evidence, Reply reply) {
  return ServeSettled(core, stream, writer, std::move(evidence),
                      [&core, stream, reply = std::move(reply)](Result<ProcessEvidence> who) mutable {
                        return ServeUnaryNow(core, stream, std::move(who), std::move(reply));
                      });
}

std::unique_ptr<wire::GrpcCall> StateStream::Open(Core& core, std::shared_ptr<wire::GrpcStream> stream,
                                                  wire::WriterTag writer, Result<ProcessEvidence> evidence,
                                                  Render render) {
  return ServeSettled(core, stream, writer, std::move(evidence),
                      [&core, stream, render = std::move(render)](Result<ProcessEvidence> who) mutable {
                        return OpenNow(core, stream, std::move(who), std::move(render));
                      });
}

std::unique_ptr<wire::GrpcCall> StateStream::OpenNow(Core& core, std::shared_ptr<wire::GrpcStream> stream,
                                                     Result<ProcessEvidence> evidence, Render render) {
  const auto refuse = [&stream](const Error& why) {
    stream->Finish(why);
    return std::unique_ptr<wire::GrpcCall>();
  };
  if (!evidence.ok()) return refuse(evidence.error());
  const auto caller = core.Authenticate(*evidence);
  if (IsUnread(core, *evidence, caller)) {
    Serve serve = [&core, stream, render = std::move(render)](Result<ProcessEvidence> who) mutable {
      return OpenNow(core, stream, std::move(who), std::move(render));
    };
    return Begin(std::make_unique<UnreadCall>(core, stream, std::move(*evidence), std::move(serve)), *stream);
  }
  if (!caller.ok()) return refuse(caller.error());
  std::unique_ptr<StateStream> call(new StateStream(core, stream, std::move(*evidence), *caller, std::move(render)));
  const Status subscribed = core.Subscribe(*call, caller->process, caller->instance);
  if (!subscribed.ok()) return refuse(subscribed.error());
  const Status shown = call->Show(*caller);
  // What is not on record yet follows when it is.
  const bool comes = core.svids().Waiting(caller->process);
  if (!shown.ok() && !comes) return refuse(shown.error());
  return call;
}

void StateStream::Refresh() {
  if (!stream_->open()) return;
  const auto caller = core_.Recheck(evidence_, instance_);
  if (!caller.ok()) {
    // An image that is being replaced may turn out to be the same one: nothing new is shown until that is known.
    // Nor is it known for one whose program has to be read again.
    if (caller.error().code() == ErrorCode::kUnavailable) return core_.RefreshSoon(*this);
    stream_->Finish(PermissionDenied(caller.error().message()));
    return;
  }
  if (caller->images != images_) {
    stream_->Finish(PermissionDenied("the process has replaced its image: ask again"));
    return;
  }
  const Status shown = Show(*caller);
  // Keys that cannot be renewed now may be renewed in a second; the old ones are good until they end.
  if (shown.ok()) return;
  if (shown.error().code() != ErrorCode::kUnavailable) return stream_->Finish(shown);
  core_.RefreshSoon(*this);
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
