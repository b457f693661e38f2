// Any text as JSON and as YAML: what is read is written so that it reads as the same value.
#include <cstdlib>

#include "policy/rego/value/arena.h"
#include "policy/rego/value/json.h"
#include "policy/rego/value/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace rego = hexr::rego;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  rego::Arena arena;
  if (const auto v = rego::ParseJson(arena, text); v.ok()) {
    const auto again = rego::ParseJson(arena, rego::ToJson(*v));
    if (!again.ok() || !rego::Equal(*v, *again) || rego::Compare(*v, *again) != 0) std::abort();
    if (rego::Hash(*v) != rego::Hash(*again)) std::abort();
  }
  if (const auto v = rego::ParseYaml(arena, text); v.ok()) {
    const auto again = rego::ParseYaml(arena, rego::ToYaml(*v));
    if (!again.ok() || !rego::Equal(*v, *again)) std::abort();
  }
  return 0;
}
