#include <utility>

#include "grpc/health/v1/health.pb.h"
#include "wire/grpc_services.h"

namespace hexr::wire {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

Status SendState(GrpcStream& stream, int state) {
  HealthCheckResponse out;
  out.set_status(static_cast<HealthCheckResponse::ServingStatus>(state));
  return stream.Send(AsBytes(out.SerializeAsString()), GrpcBacklog::kKeepNewest);
}

}  // namespace

class GrpcHealth::WatchCall final : public GrpcCall {
 public:
  WatchCall(GrpcHealth& health, std::shared_ptr<GrpcStream> stream, std::string service)
      : health_(health), stream_(std::move(stream)), service_(std::move(service)) {
    health_.watchers_.insert(this);
    Update();
  }
  ~WatchCall() override { health_.watchers_.erase(this); }

  void OnMessage(ByteView) override {}
  void Update() {
    const int state = health_.StateOf(service_);
    if (std::exchange(last_, state) == state) return;
    // A failed send means that the call is over: this object goes with it.
    static_cast<void>(SendState(*stream_, state).ok());
  }

 private:
  GrpcHealth& health_;
  std::shared_ptr<GrpcStream> stream_;
  std::string service_;
  int last_ = -1;
};

int GrpcHealth::StateOf(const std::string& service) const {
  const auto it = serving_.find(service);
  if (it == serving_.end()) return HealthCheckResponse::SERVICE_UNKNOWN;
  return it->second ? HealthCheckResponse::SERVING : HealthCheckResponse::NOT_SERVING;
}

void GrpcHealth::AddTo(GrpcRouter& router) {
  router.AddOneMessage(
      "/grpc.health.v1.Health/Check",
      [this](std::shared_ptr<GrpcStream> stream, const GrpcRequest&, ByteView message) -> std::unique_ptr<GrpcCall> {
        HealthCheckRequest request;
        if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
          stream->Finish(InvalidArgument("health: malformed request"));
        } else if (!serving_.contains(request.service())) {
          stream->Finish(NotFound("health: no such service"));
        } else {
          stream->Finish(SendState(*stream, StateOf(request.service())));
        }
        return nullptr;
      });
  router.AddOneMessage(
      "/grpc.health.v1.Health/Watch",
      [this](std::shared_ptr<GrpcStream> stream, const GrpcRequest&, ByteView message) -> std::unique_ptr<GrpcCall> {
        HealthCheckRequest request;
        if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
          stream->Finish(InvalidArgument("health: malformed request"));
          return nullptr;
        }
        return std::make_unique<WatchCall>(*this, std::move(stream), request.service());
      });
}

void GrpcHealth::Set(std::string_view service, bool serving) {
  serving_[std::string(service)] = serving;
  for (WatchCall* watcher : watchers_) watcher->Update();
}

}  // namespace hexr::wire
