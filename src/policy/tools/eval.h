// `hexr policy eval`: a query over policies, data and an input, answered as `opa eval` does.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "policy/documents.h"
#include "policy/rego/engine.h"

namespace hexr::policy {

struct EvalRequest {
  std::string query;
  std::string input_json;  // "": none
  std::string package;     // "a.b"
  std::vector<std::string> imports;
  rego::Version version = rego::Version::kV1;
  bool strict_builtin_errors = false;
  bool explain = false;
  bool coverage = false;
  enum class Format { kJson, kPretty, kRaw, kValues, kBindings } format = Format::kJson;
};

struct EvalAnswer {
  std::string text;       // what goes to stdout, with its line end
  bool failed = false;    // errors: the text lists them
  bool undefined = true;  // no result
  std::vector<std::string> prints;
};

// Never fails by itself: errors of any stage are part of the answer, in OPA's codes.
EvalAnswer Eval(const Documents& documents, const EvalRequest& request, const Clock& clock, Random& random);

// {"errors": [{message, code, location}]}, as OPA prints them.
std::string ErrorsJson(const std::vector<rego::Diagnostic>& errors);

}  // namespace hexr::policy
