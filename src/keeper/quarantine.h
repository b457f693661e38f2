// Who is in quarantine, on disk: neither a restart of the keeper nor one of the node gives anybody back what an
// operator has taken. Belongs to the keeper's loop.
#pragma once

#include <map>

#include "base/result.h"
#include "base/spiffe_id.h"
#include "store/sealed_store.h"

namespace hexr::keeper {

class Quarantine {
 public:
  // `store` outlives it.
  static Result<Quarantine> Open(store::SealedStore& store);

  bool Contains(const InstanceId& instance) const { return instances_.contains(instance); }
  // With the tenant of each.
  const std::map<InstanceId, IdSegment>& all() const { return instances_; }
  // In memory whatever becomes of the disk, whose error is returned. Both may be called for what is so already.
  Status Add(const InstanceId& instance, const IdSegment& tenant);
  // On disk first: what the disk does not take stays in quarantine.
  Status Remove(const InstanceId& instance);

 private:
  explicit Quarantine(store::SealedStore& store) : store_(&store) {}

  store::SealedStore* store_;
  std::map<InstanceId, IdSegment> instances_;
};

}  // namespace hexr::keeper
