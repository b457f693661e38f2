#include "keeper/workload_door.h"

#include <google/protobuf/descriptor.h>

#include "identity/sds.h"
#include "identity/socket_evidence.h"
#include "identity/sub_identity.h"
#include "identity/workload_api.h"
#include "net/grpc_unix_server.h"
#include "wire/grpc_services.h"

namespace hexr::keeper {

// Declaration order is life time: what is below stands on what is above.
struct WorkloadDoor::Impl {
  explicit Impl(identity::ImageLookup* images) : reader(identity::ProcessTier::kPidfdInfo, images) {}
  identity::ProcessReader reader;
  identity::FileAccountNames names;
  identity::FileCgroupOwners cgroups = identity::FileCgroupOwners::Detect();
  std::unique_ptr<identity::Core> core;
  std::unique_ptr<identity::SdsResources> sds;
  std::unique_ptr<identity::SubIdentities> subs;
  identity::SocketEvidence evidence;
  wire::GrpcRouter router;
  wire::GrpcHealth health;
  std::unique_ptr<net::GrpcUnixServer> server;

  // Of the socket as a whole, and of each service by the name that reflection gives.
  void SetServing(bool serving) {
    health.Set("", serving);
    for (const std::string& service : router.Services()) health.Set(service, serving);
  }
};

WorkloadDoor::WorkloadDoor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
WorkloadDoor::~WorkloadDoor() = default;
identity::Core& WorkloadDoor::core() { return *impl_->core; }
const identity::ProcessReader& WorkloadDoor::reader() const { return impl_->reader; }

Result<std::unique_ptr<WorkloadDoor>> WorkloadDoor::Create(runtime::Loop& loop, const Clock& clock, Random& random,
                                                           const config::Config& config, State& state,
                                                           runtime::UniqueFd listener, identity::OutStore& out,
                                                           identity::ImageLookup* images,
                                                           identity::Core::Events events) {
  auto impl = std::make_unique<Impl>(images);
  identity::CoreOptions options{
      .authority = {.trust_domain = config.trust_domain,
                    .svid_ttl = std::chrono::duration_cast<std::chrono::seconds>(config.identity.svid_ttl),
                    .jwt_ttl = std::chrono::duration_cast<std::chrono::seconds>(config.identity.jwt_ttl),
                    .jwt_key = config.identity.jwt_algorithm == config::JwtAlgorithm::kRs256 ? crypto::KeyType::kRsa
                                                                                             : crypto::KeyType::kP256,
                    .jwt_issuer = config.oidc ? config.oidc->issuer : ""}};
  // The parts that a process has named go with it, and with its image.
  events.instance = [impl = impl.get(), next = std::move(events.instance)](const identity::Instance& i,
                                                                           identity::InstanceChange change) {
    const bool over = change == identity::InstanceChange::kEnded || change == identity::InstanceChange::kNewImage;
    if (over && impl->subs) impl->subs->Forget(i.id());
    next(i, change);
  };
  events.identified = [impl = impl.get()](uint64_t writer) {
    if (impl->server) impl->server->Known(writer);
  };
  ASSIGN_OR_RETURN(impl->core,
                   identity::Core::Create(std::move(options),
                                          {clock, random, loop, state, impl->reader, impl->names, impl->cgroups, &out},
                                          std::move(events)));
  impl->sds = std::make_unique<identity::SdsResources>(*impl->core);
  impl->subs = std::make_unique<identity::SubIdentities>(*impl->core);
  identity::AddWorkloadApi(impl->router, *impl->core, impl->evidence);
  identity::AddSecretDiscovery(impl->router, *impl->core, *impl->sds, impl->evidence);
  identity::AddSubIdentityService(impl->router, *impl->core, *impl->subs, impl->evidence);
  impl->health.AddTo(impl->router);
  wire::AddGrpcReflection(impl->router, *google::protobuf::DescriptorPool::generated_pool());
  net::GrpcUnixServerOptions doors;
  doors.owner = [core = impl->core.get()](const net::PeerEvidence& connector) {
    return identity::OwnerOf(*core, connector);
  };
  impl->server =
      std::make_unique<net::GrpcUnixServer>(loop, clock, std::move(listener), impl->router, std::move(doors));
  impl->evidence.Bind(*impl->server);
  impl->core->Start();
  impl->SetServing(true);
  return std::unique_ptr<WorkloadDoor>(new WorkloadDoor(std::move(impl)));
}

void WorkloadDoor::Drain() {
  impl_->SetServing(false);
  impl_->server->Drain();
}

}  // namespace hexr::keeper
