// Records from anywhere: what parses is written back byte for byte, and the general JSON codec agrees.
#include "ledger/types.h"
#include "wire/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = hexr::AsText({data, size});
  const auto record = hexr::ledger::Record::Parse(text);
  if (!record.ok()) return 0;
  HEXR_CHECK(record->ToJson() == text);
  const auto json = hexr::wire::ParseJson(text);
  HEXR_CHECK(json.ok());
  const auto canonical = hexr::wire::ToCanonicalJson(*json);
  HEXR_CHECK(canonical.ok() && *canonical == text);
  return 0;
}
