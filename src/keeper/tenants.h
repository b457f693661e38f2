// Who shares this node: names, uid ranges, whether they may start agents. Kept in the sealed store. Belongs to one
// thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/clock.h"
#include "base/limits/identity.h"
#include "base/limits/names.h"
#include "base/limits/storage.h"
#include "base/result.h"
#include "base/spiffe_id.h"
#include "base/unique_function.h"
#include "store/sealed_store.h"

namespace hexr::keeper {

enum class TenantState : uint8_t { kActive, kFrozen };

// What a tenant may have of the node; at most the node's own bounds, which are also the defaults.
struct Quota {
  uint64_t instances = limits::kMaxInstances;
  uint64_t secrets = limits::kMaxVaultSecretsPerTenant;
  bool operator==(const Quota&) const = default;
};

struct Tenant {
  IdSegment name;
  uint32_t uid_base = 0;  // agents run as it, the gateway as uid_base + 1, where the node is privileged
  TenantState state = TenantState::kActive;
  WallTime created{};
  Quota quota;
};

// Where the ranges of uids and gids stand that users of this machine may act as.
struct SubordinateFiles {
  std::string uids = "/etc/subuid";
  std::string gids = "/etc/subgid";
};

class Tenants {
 public:
  // Loads what is kept and creates `first`, the node's own tenant, where it is missing. `store` outlives it.
  static Result<Tenants> Open(store::SealedStore& store, const IdSegment& first, const Clock& clock,
                              SubordinateFiles subordinate = {});

  const std::map<IdSegment, Tenant>& all() const { return tenants_; }
  const Tenant* Find(const IdSegment& name) const;

  // ALREADY_EXISTS; RESOURCE_EXHAUSTED over limits::kMaxTenants. A uid range is never given out twice, also after
  // Delete, and never one that somebody may act as by subuid(5) at that moment.
  Result<Tenant> Create(const IdSegment& name, const Quota& quota = {});
  // NOT_FOUND.
  Status SetState(const IdSegment& name, TenantState state);
  // Holds for what comes next: nothing that is there goes. NOT_FOUND; INVALID_ARGUMENT over the node's bounds.
  Status SetQuota(const IdSegment& name, const Quota& quota);
  // NOT_FOUND; FAILED_PRECONDITION for the node's own tenant.
  Status CheckDeletable(const IdSegment& name) const;
  Status Delete(const IdSegment& name);

 private:
  Tenants(store::SealedStore& store, IdSegment first, const Clock& clock, SubordinateFiles subordinate)
      : store_(&store), first_(std::move(first)), clock_(&clock), subordinate_(std::move(subordinate)) {}
  Status Save(const Tenant& t);
  Status Change(const IdSegment& name, UniqueFunction<void(Tenant&)> change);

  store::SealedStore* store_;
  IdSegment first_;
  const Clock* clock_;
  SubordinateFiles subordinate_;
  std::map<IdSegment, Tenant> tenants_;
  uint32_t next_uid_ = 0;
};

}  // namespace hexr::keeper
