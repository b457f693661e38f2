// YAML as sigs.k8s.io/yaml reads and writes it: YAML 1.1 scalars, documents as JSON. Stateless.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "policy/rego/value/value.h"

namespace hexr::rego {

// INVALID_ARGUMENT with "line N: what" for malformed text. Keys become strings. Depth and aliases are bounded.
Result<Value> ParseYaml(Arena& arena, std::string_view text);
std::string ToYaml(const Value& v);

}  // namespace hexr::rego
