// Bundle documents come from other trust domains: what parses is written and read again as the same keys.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "identity/bundle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto td = hexr::TrustDomain::Parse("example.org").value();
  const auto bundle = hexr::identity::TrustBundle::Parse(td, text);
  if (bundle.ok()) {
    const auto again = hexr::identity::TrustBundle::Parse(td, bundle->ToJson());
    HEXR_CHECK(again.ok() && again->sequence == bundle->sequence && again->jwt_keys.size() == bundle->jwt_keys.size());
  }
  const auto map = hexr::identity::ParseBundleMap(text);
  if (map.ok()) HEXR_CHECK(hexr::identity::ParseBundleMap(hexr::identity::BundleMapToJson(*map)).ok());
  return 0;
}
