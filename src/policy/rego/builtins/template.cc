#include "policy/rego/builtins/support.h"

namespace hexr::rego {

std::span<const Builtin> TemplateBuiltins() { return {}; }

}  // namespace hexr::rego
