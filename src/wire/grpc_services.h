// The two services that every gRPC server of ours offers besides its own: health (grpc.health.v1) and reflection
// (grpc.reflection.v1 and v1alpha). Not thread-safe; one loop.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "wire/grpc_server.h"

namespace google::protobuf {
class DescriptorPool;
}

namespace hexr::wire {

// Answers Check and Watch. Outlives the router and every connection.
class GrpcHealth {
 public:
  GrpcHealth() = default;
  GrpcHealth(const GrpcHealth&) = delete;
  GrpcHealth& operator=(const GrpcHealth&) = delete;

  void AddTo(GrpcRouter& router);
  // `service` "" is the server as a whole. A service that was never set is NOT_FOUND to Check, SERVICE_UNKNOWN to
  // Watch.
  void Set(std::string_view service, bool serving);

 private:
  class WatchCall;
  int StateOf(const std::string& service) const;

  std::map<std::string, bool, std::less<>> serving_;
  std::set<WatchCall*> watchers_;
};

// Describes every service of `router` from `pool` (usually DescriptorPool::generated_pool()). Both outlive the
// connections.
void AddGrpcReflection(GrpcRouter& router, const google::protobuf::DescriptorPool& pool);

}  // namespace hexr::wire
