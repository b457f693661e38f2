// A crew file is written by people, and may be fetched with the rest of a project.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "config/crew.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto outcome = hexr::config::ParseCrew(std::string(reinterpret_cast<const char*>(data), size), "crew.yaml");
  // One of the two, always: a file is either taken whole or refused with a reason.
  HEXR_CHECK(outcome.crew.has_value() == outcome.problems.empty());
  return 0;
}
