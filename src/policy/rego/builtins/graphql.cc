#include "policy/rego/builtins/support.h"

namespace hexr::rego {

std::span<const Builtin> GraphqlBuiltins() { return {}; }

}  // namespace hexr::rego
