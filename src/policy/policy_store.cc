#include "policy/policy_store.h"

#include <algorithm>

#include "policy/bundle/bundle.h"

namespace hexr::policy {

PolicyStore::PolicyStore(PolicyOptions options, std::function<void(const PolicyChange&)> changed)
    : options_(std::move(options)), changed_(std::move(changed)) {}

std::shared_ptr<const PolicySet> PolicyStore::current() const {
  std::lock_guard lock(mutex_);
  return current_;
}

Status PolicyStore::Load() {
  std::lock_guard one(activation_);
  auto files = ReadBundlePath(options_.bundle);
  return Report(files.ok() ? Take(std::move(*files)) : Status(files.error()));
}

Status PolicyStore::Activate(std::vector<BundleFile> files) {
  std::lock_guard one(activation_);
  return Report(Take(std::move(files)));
}

Status PolicyStore::ActivateArchive(std::string_view archive) {
  std::lock_guard one(activation_);
  auto files = ReadTarGz(archive);
  return Report(files.ok() ? Take(std::move(*files)) : Status(files.error()));
}

Status PolicyStore::Take(std::vector<BundleFile> files) {
  if (options_.require_signature) RETURN_IF_ERROR(VerifyBundle(files, options_.verification));
  ASSIGN_OR_RETURN(Bundle bundle, ParseBundle(std::move(files)));
  const auto before = current();
  if (before && before->digest() == bundle.digest) return Ok();
  Documents documents = std::move(bundle.documents);
  if (bundle.delta) {
    if (!before) return FailedPrecondition("a delta needs a bundle before it");
    const Documents& base = before->documents();
    ASSIGN_OR_RETURN(documents.data, ApplyPatch(*documents.arena, base.data, bundle));
    documents.sources = base.sources;
    documents.shared = base.shared;
    documents.shared.push_back(base.arena);
  }
  documents.digest = bundle.digest;
  ASSIGN_OR_RETURN(std::shared_ptr<const PolicySet> set, PolicySet::Compile(std::move(documents)));
  {
    std::lock_guard lock(mutex_);
    if (current_) retired_.push_back(std::move(current_));
    current_ = std::move(set);
  }
  epoch_.fetch_add(1, std::memory_order_acq_rel);
  Collect();
  return Ok();
}

void PolicyStore::Collect() {
  std::vector<std::shared_ptr<const PolicySet>> unused;
  std::lock_guard lock(mutex_);
  // Deciders drop theirs when they see the next epoch; the last holder is then this list.
  auto used = std::partition(retired_.begin(), retired_.end(), [](const auto& s) { return s.use_count() > 1; });
  unused.assign(std::make_move_iterator(used), std::make_move_iterator(retired_.end()));
  retired_.erase(used, retired_.end());
}

Status PolicyStore::Report(Status status) {
  if (!changed_) return status;
  PolicyChange change;
  change.taken = status.ok();
  if (!status.ok()) change.error = status.error().message();
  if (const auto set = current()) {
    change.revision = set->revision();
    change.digest = set->digest();
  }
  changed_(change);
  return status;
}

}  // namespace hexr::policy
