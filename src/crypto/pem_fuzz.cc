// PEM text from files. What decodes encodes again to the same blocks.
#include "base/check.h"
#include "crypto/pem.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto blocks = hexr::crypto::PemDecode(text, "CERTIFICATE");
  if (blocks.ok()) {
    std::string again;
    for (const hexr::Bytes& b : *blocks) again += hexr::crypto::PemEncode("CERTIFICATE", b);
    HEXR_CHECK(hexr::crypto::PemDecode(again, "CERTIFICATE").value() == *blocks);
  }
  (void)hexr::crypto::PemDecodeSecret(text, "PRIVATE KEY");
  return 0;
}
