// What rego.metadata.rule() and chain() answer: known when the code is planned.
#pragma once

#include "policy/rego/compile/compiler.h"
#include "policy/rego/value/value.h"

namespace hexr::rego {

// The annotations of the rule itself, or {}.
Value RuleMetadata(const Compiler& compiler, const Rule& rule, Arena& arena);
// From the rule outwards: rule, document, package, and the packages above that speak for their subpackages.
Value MetadataChain(const Compiler& compiler, const Rule& rule, Arena& arena);

}  // namespace hexr::rego
