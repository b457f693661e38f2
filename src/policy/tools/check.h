// `hexr policy check`: every error with its place, the line it is on, and what to write instead.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/documents.h"
#include "policy/rego/engine.h"

namespace hexr::policy {

struct CheckOptions {
  rego::Version version = rego::Version::kV1;
  bool strict = false;            // OPA's strict mode, and the warnings of Lint
  rego::Value input_schema = {};  // JSON Schema of input; undefined: input may be anything
};

struct CheckReport {
  std::vector<rego::Diagnostic> errors, warnings;
};

CheckReport Check(const Documents& documents, const CheckOptions& options);
// "file:row:column: code: message", the line with a mark under the place, and advice where there is some.
std::string DiagnosticText(const Documents& documents, const rego::Diagnostic& d);
// What to write, for the message of an error; "" when nothing general can be said.
std::string_view Advice(const rego::Diagnostic& d);

// What compiles and does not say what it seems to: a rule that widens what another one narrows, `not` over an
// expression with parts of its own. Errors of the text are left to Check.
std::vector<rego::Diagnostic> Lint(const Documents& documents, rego::Version version);

}  // namespace hexr::policy
