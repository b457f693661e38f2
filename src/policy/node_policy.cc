#include "policy/node_policy.h"

#include <utility>

#include "policy/documents.h"

namespace hexr::policy {

Result<NodePolicyFiles> ReadNodePolicy(const config::Policy& policy) {
  NodePolicyFiles out;
  auto bundle = ReadBundlePath(policy.bundle);
  if (!bundle.ok()) return bundle.error().WithContext("policy.bundle");
  out.bundle = std::move(bundle).value();
  if (policy.require_signature) {
    auto key = ReadPolicyFile(policy.verification_key);
    if (!key.ok()) return key.error().WithContext("policy.verification_key");
    out.verification_key = std::move(key).value();
  }
  return out;
}

Result<std::shared_ptr<const PolicySet>> TakeNodePolicy(const config::Policy& policy, NodePolicyFiles files) {
  PolicyOptions options{.bundle = policy.bundle, .require_signature = policy.require_signature, .verification = {}};
  if (policy.require_signature) {
    auto key = ParseVerificationKey(files.verification_key, "");
    if (!key.ok()) return key.error().WithContext("policy.verification_key " + policy.verification_key);
    options.verification.keys.emplace("node", std::move(key).value());
    options.verification.key_id = "node";
  }
  PolicyStore store(std::move(options));
  if (const Status s = store.Activate(std::move(files.bundle)); !s.ok())
    return s.error().WithContext("policy.bundle " + policy.bundle);
  return store.current();
}

Mode NodePolicyMode(const config::Policy& policy) { return policy.audit ? Mode::kAudit : Mode::kEnforce; }

}  // namespace hexr::policy
