// The policy in force: read from a folder or bundle, exchanged as one, never half. A bundle that cannot be taken leaves
// the one before in force. Thread-safe; who decides reads one atomic per decision and never waits for a change.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "policy/bundle/signature.h"
#include "policy/policy_set.h"

namespace hexr::policy {

struct PolicyOptions {
  std::string bundle;  // a folder or a .tar.gz
  bool require_signature = true;
  Verification verification;
};

// One attempt to change the policy, for the ledger (PC): what is in force afterwards.
struct PolicyChange {
  bool taken = false;
  std::string revision, digest;  // of the policy in force now; empty: none
  std::string error;             // why not; empty: taken
};

class PolicyStore {
 public:
  // `changed` hears of every attempt, on the thread that made it; may be null.
  explicit PolicyStore(PolicyOptions options, std::function<void(const PolicyChange&)> changed = nullptr);

  // Reads options.bundle and takes it into force. What is there already (same digest) is not taken again.
  Status Load();
  // Takes the files of a bundle into force.
  Status Activate(std::vector<BundleFile> files);
  // Takes a .tar.gz into force, from a bundle server. A delta changes the data of the policy in force.
  Status ActivateArchive(std::string_view archive);

  // Null until the first activation.
  std::shared_ptr<const PolicySet> current() const;
  // Grows with each activation.
  uint64_t epoch() const { return epoch_.load(std::memory_order_acquire); }
  // Frees policies that nobody decides by any more; activations do so, too. So that no decision ever frees one.
  void Collect();

 private:
  Status Take(std::vector<BundleFile> files);
  Status Report(Status status);

  const PolicyOptions options_;
  const std::function<void(const PolicyChange&)> changed_;
  std::mutex activation_;     // one at a time; held while compiling
  mutable std::mutex mutex_;  // of the two below; held for pointers alone
  std::shared_ptr<const PolicySet> current_;
  std::vector<std::shared_ptr<const PolicySet>> retired_;
  std::atomic<uint64_t> epoch_{0};
};

}  // namespace hexr::policy
