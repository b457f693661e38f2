#include "policy/rego/builtins/support.h"

namespace hexr::rego {

std::span<const Builtin> X509Builtins() { return {}; }

}  // namespace hexr::rego
