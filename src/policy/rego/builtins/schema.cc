#include "policy/rego/builtins/support.h"

namespace hexr::rego {

std::span<const Builtin> SchemaBuiltins() { return {}; }

}  // namespace hexr::rego
