// From rule bodies to the guards of a decision index.
#pragma once

#include <functional>
#include <vector>

#include "policy/rego/plan/index.h"
#include "policy/rego/syntax/ast.h"

namespace hexr::rego {

// Reads what each rule demands of input or of arguments before anything else. False when an index would not help: then
// the rules are tried in order. `value_of` evaluates a ground term.
bool BuildIndex(const std::vector<Rule*>& rules, bool is_function, const std::function<Value(const Term&)>& value_of,
                Index& index);

}  // namespace hexr::rego
