// The policy of a node as its configuration names it (`policy` in hexr.yaml). Stateless; thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "policy/bundle/archive.h"
#include "policy/policy.h"

namespace hexr::policy {

// Read with the rights of whoever starts, taken without any: what is in them is not looked at before.
struct NodePolicyFiles {
  std::vector<BundleFile> bundle;
  std::string verification_key;  // PEM; empty where signatures are not required
};
// Errors name the key of the configuration and the file.
Result<NodePolicyFiles> ReadNodePolicy(const config::Policy& policy);
// Verifies and compiles. UNAUTHENTICATED: the signature; INVALID_ARGUMENT: what does not compile, with file and line.
Result<std::shared_ptr<const PolicySet>> TakeNodePolicy(const config::Policy& policy, NodePolicyFiles files);

Mode NodePolicyMode(const config::Policy& policy);

}  // namespace hexr::policy
