// What parses prints to a text that parses to the same value; a canonical form is a fixed point.
#include "base/bytes.h"
#include "base/check.h"
#include "wire/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using hexr::wire::JsonStyle;
  const auto value = hexr::wire::ParseJson(hexr::AsText({data, size}), {.max_bytes = 1 << 20});
  if (!value.ok()) return 0;
  for (const JsonStyle style : {JsonStyle::kCompact, JsonStyle::kPretty}) {
    const auto again = hexr::wire::ParseJson(hexr::wire::ToJson(*value, style));
    HEXR_CHECK(again.ok() && *again == *value);
  }
  const auto canonical = hexr::wire::ToCanonicalJson(*value);
  if (canonical.ok()) {
    const auto again = hexr::wire::ParseJson(*canonical);
    HEXR_CHECK(again.ok() && hexr::wire::ToCanonicalJson(*again).value() == *canonical);
  }
  return 0;
}
