// The environment of an agent: the caller's, without what looks like a secret, with what points its SDKs at the gateway
// (docs/agents.md). Pure functions.
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
  struct Dropped {
    std::string name, what;  // "GH", "a GitHub token": never the value
  };
  std::vector<Dropped> dropped;  // sorted by name
};

// Entries without "=" or with an empty name are left out, as is every HEXR_ name: those are ours to say.
EnvironmentResult BuildEnvironment(const EnvironmentRequest& request);

// What a variable holds, in words, when its name is usually a secret's or its value has the shape of one; else empty.
std::string_view SecretOf(std::string_view name, std::string_view value);

}  // namespace hexr::spawner
