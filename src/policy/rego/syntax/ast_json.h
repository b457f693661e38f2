// A module as the JSON that OPA's parser gives, for rego.parse_module.
#pragma once

#include "policy/rego/syntax/ast.h"
#include "policy/rego/value/value.h"

namespace hexr::rego {

Value ModuleJson(Arena& arena, const Module& module);

}  // namespace hexr::rego
