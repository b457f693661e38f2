// Attenuated identities inside one process (hexr.identity.v1.SubIdentity). Belongs to one loop.
//
// The kernel cannot tell the parts of a process from each other, so a part is whoever its process says it is. What is
// issued here says that: assurance "asserted", an ID below the process's own, and never a longer life.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits/identity.h"
#include "identity/core.h"
#include "wire/grpc_server.h"

namespace hexr::identity {

struct SubIdentity {
  std::string name;
  SpiffeId id;
  WallTime expires_at;
};

class SubIdentities {
 public:
  // Both outlive it; the owner passes on what happens to instances.
  explicit SubIdentities(Core& core) : core_(core) {}

  struct Minted {
    Identity identity;
    const HeldX509* x509;  // valid until the next call
    std::vector<std::string> jwts;
    WallTime expires_at;
  };
  // For the caller's own process only. A name that is alive is extended, and keeps its key until that is due.
  // PERMISSION_DENIED: the role does not allow it, or the caller only inherits its identity. INVALID_ARGUMENT: a name
  // that is no segment of an ID. RESOURCE_EXHAUSTED over limits::kMaxSubIdentities.
  Result<Minted> Mint(const Caller& caller, std::string_view name, std::chrono::seconds ttl,
                      const std::vector<std::string>& audience);
  // NOT_FOUND when the caller has none of that name.
  Status Revoke(const Caller& caller, std::string_view name);

  // Those that are alive, for ps.
  std::vector<SubIdentity> Of(const InstanceId& instance) const;
  // An instance has ended or has another image: its parts are gone with it.
  void Forget(const InstanceId& instance) { subs_.erase(instance); }

 private:
  void Expire(const InstanceId& instance);

  Core& core_;
  std::map<InstanceId, std::map<std::string, SubIdentity, std::less<>>> subs_;
};

// Adds Mint and Revoke. All references outlive the router. The security header is asked for as on the Workload API.
void AddSubIdentityService(wire::GrpcRouter& router, Core& core, SubIdentities& subs, const EvidenceSource& evidence);

}  // namespace hexr::identity
