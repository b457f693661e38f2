// Any text as a module to be laid out: what comes out is Rego, and stays as it is when it is laid out again.
#include <cstdlib>

#include "policy/rego/format/format.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace rego = hexr::rego;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (auto version : {rego::Version::kV1, rego::Version::kV0}) {
    const rego::FormatOptions options{.source = version, .target = version};
    const auto once = rego::FormatSource("f.rego", text, options);
    if (!once.ok()) continue;
    const auto twice = rego::FormatSource("f.rego", *once, options);
    if (!twice.ok() || *once != *twice) std::abort();
  }
  return 0;
}
