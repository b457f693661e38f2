// Selectors come from configuration and from administrators: whatever parses has one text, and no input crashes.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/selector.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto selector = hexr::Selector::Parse(text);
  if (selector.ok()) {
    HEXR_CHECK(selector->ToString() == text);
    HEXR_CHECK(hexr::Selector::Parse(selector->ToString()).value() == *selector);
  }
  return 0;
}
