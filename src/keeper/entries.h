// Who is matched on this node: the entries of the configuration, and those that an operator made, which are kept in the
// sealed store. Belongs to the keeper's loop.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "identity/core.h"
#include "store/sealed_store.h"

namespace hexr::keeper {

// INVALID_ARGUMENT: a selector that is none, an ID that is no SPIFFE path or belongs to what hexr launches (agent/…), a
// lifetime outside 1m to 1h.
Result<identity::Entry> ToEntry(const config::Entry& entry, const TrustDomain& trust_domain);

class Entries {
 public:
  // Sets both kinds in `core`. Where a kept entry has the ID of one in the configuration, the configuration's holds and
  // the log says so. `store` and `core` outlive it.
  static Result<Entries> Open(const config::Config& config, store::SealedStore& store, identity::Core& core);

  // On disk when it returns. ALREADY_EXISTS; RESOURCE_EXHAUSTED over limits::kMaxEntries; INVALID_ARGUMENT as above.
  Status Create(const config::Entry& entry);
  // Whether Create would take it, apart from the disk.
  Status CheckNew(const config::Entry& entry) const;
  // NOT_FOUND; FAILED_PRECONDITION for one of the configuration. What it gave ends at once, whatever the disk says.
  Status Delete(const std::string& id);
  Status CheckDeletable(const std::string& id) const;

  bool InConfiguration(const std::string& id) const { return configured_.contains(id); }

 private:
  Entries(TrustDomain trust_domain, store::SealedStore& store, identity::Core& core)
      : trust_domain_(std::move(trust_domain)), store_(&store), core_(&core) {}
  bool Exists(const std::string& id) const;

  TrustDomain trust_domain_;
  store::SealedStore* store_;
  identity::Core* core_;
  std::set<std::string> configured_;
};

}  // namespace hexr::keeper
