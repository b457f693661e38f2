// Any text as a module to be laid out: what comes out is Rego and can be laid out again. (Not always as it is: a second
// `opa fmt` moves some lines of the first, too.)
#include <cstdlib>

#include "policy/rego/format/format.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace rego = hexr::rego;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (auto version : {rego::Version::kV1, rego::Version::kV0}) {
    const rego::FormatOptions options{.source = version, .target = version};
    const auto once = rego::FormatSource("f.rego", text, options);
    if (once.ok() && !rego::FormatSource("f.rego", *once, options).ok()) std::abort();
  }
  return 0;
}
