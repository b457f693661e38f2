// The environment of an agent: the caller's, without what looks like a secret, with what points its SDKs at the gateway
// (INTERFACES, "Inside an agent"). Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hexr::spawner {

struct EnvironmentRequest {
  std::vector<std::string> caller;                       // "NAME=value"
  std::vector<std::string> keep;                         // names that stay although they look like secrets
  std::vector<std::pair<std::string, std::string>> set;  // ours: replaces the caller's of the same name
};

struct EnvironmentResult {
  std::vector<std::string> variables;  // "NAME=value"
  std::vector<std::string> dropped;    // names, sorted
};

// Entries without "=" or with an empty name are left out, as is every HEXR_ name: those are ours to say.
EnvironmentResult BuildEnvironment(const EnvironmentRequest& request);

// True when a variable of this name usually holds a secret, or the value is a URL with a password in it.
bool LooksLikeSecret(std::string_view name, std::string_view value);

}  // namespace hexr::spawner
