// Source text in the one layout that `opa fmt` gives: tabs, a line per literal, comments kept where they stand.
// Stateless; thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "policy/rego/syntax/parser.h"

namespace hexr::rego {

struct FormatOptions {
  Version source = Version::kV1;
  Version target = Version::kV1;      // kV1 writes v0 modules with `if`, `contains` and :=
  bool import_rego_v1 = false;        // says so in the text, for OPA before 1.0
  bool drop_keyword_imports = false;  // rego.v1 and future.keywords, which v1 does not need
};

// INVALID_ARGUMENT lists what does not parse.
Result<std::string> FormatSource(std::string_view file, std::string_view text, const FormatOptions& options);

}  // namespace hexr::rego
