#include "policy/rego/builtins/support.h"

namespace hexr::rego {

std::span<const Builtin> AwsBuiltins() { return {}; }

}  // namespace hexr::rego
