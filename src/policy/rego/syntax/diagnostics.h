// What is wrong with a policy, in OPA's codes: every stage appends here, so that one run shows all of it.
#pragma once

#include <string>
#include <vector>

#include "policy/rego/syntax/ast.h"

namespace hexr::rego {

struct Diagnostic {
  std::string
      code;  // rego_parse_error, rego_compile_error, rego_unsafe_var_error, rego_type_error, rego_recursion_error
  std::string message;
  Location at;
  std::string file;
  std::string details = {};  // further lines, each begun by a line break and a tab
};

// "1 error occurred: file:row: code: message", one line each when there are several, as OPA prints them.
std::string FormatDiagnostics(const std::vector<Diagnostic>& all);

}  // namespace hexr::rego
