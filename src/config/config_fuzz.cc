// The configuration is an operator's; it is also what the keeper and every gateway parse again, from the supervisor.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "config/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto outcome = hexr::config::Parse(text, "hexr.yaml");
  HEXR_CHECK(outcome.config.has_value() == outcome.problems.empty());
  if (!outcome.config) return 0;
  // What `hexr config show` prints is the same configuration.
  const std::string shown = hexr::config::ToYaml(*outcome.config);
  const auto again = hexr::config::Parse(shown, "shown.yaml");
  HEXR_CHECK(again.config.has_value());
  HEXR_CHECK(hexr::config::ToYaml(*again.config) == shown);
  return 0;
}
