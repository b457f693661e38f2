// Rego text to syntax trees: recursive descent over a token list, with recovery at the next top-level statement, so
// that one run reports every error. Bounded in depth and steps (base/limits/rego.h), whatever the text. Stateless;
// thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "policy/rego/syntax/ast.h"
#include "policy/rego/syntax/diagnostics.h"

namespace hexr::rego {

enum class Version : uint8_t { kV0, kV1 };

struct ParseOptions {
  Version version = Version::kV1;
  uint32_t file_index = 0;
};

// Null when `errors` has grown.
std::unique_ptr<Module> ParseModule(std::string_view file, std::string_view source, const ParseOptions& options,
                                    std::vector<Diagnostic>& errors);
// A query: expressions separated by ; or line breaks. All keywords of the version are known in it.
std::optional<Body> ParseQuery(std::string_view source, const ParseOptions& options, std::vector<Diagnostic>& errors);
// One term, the whole text.
TermPtr ParseTermText(std::string_view source, std::vector<Diagnostic>& errors);

// Fills module.annotations and links them to rules and package. Adds rego_parse_error for malformed blocks.
void AttachAnnotations(Module& module, std::vector<Diagnostic>& errors);

}  // namespace hexr::rego
