// Any text as module, query and term: an error or a tree, within the parser's bounds.
#include "policy/rego/syntax/parser.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<hexr::rego::Diagnostic> errors;
  for (auto version : {hexr::rego::Version::kV1, hexr::rego::Version::kV0}) {
    hexr::rego::ParseModule("f.rego", text, {version, 0}, errors);
    hexr::rego::ParseQuery(text, {version, 0}, errors);
  }
  hexr::rego::ParseTermText(text, errors);
  return 0;
}
