// Bytes as a bundle, packed or not: refused or read, within the limits.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "policy/bundle/bundle.h"
#include "policy/bundle/signature.h"

using namespace hexr::policy;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto files = ReadTarGz(bytes, {.unpacked_bytes = 1 << 20, .files = 64});
  if (files.ok()) {
    (void)VerifyBundle(*files, {});
    (void)ParseBundle(std::move(*files));
  }
  // The first byte chooses what the rest is.
  if (size > 0) {
    static constexpr const char* kNames[] = {".manifest", "patch.json", "data.json", "a.rego", ".signatures.json"};
    std::vector<BundleFile> one{{kNames[data[0] % 5], std::string(bytes.substr(1))}};
    (void)VerifyBundle(one, {});
    (void)ParseBundle(std::move(one));
  }
  return 0;
}
