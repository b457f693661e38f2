// Signing requests as anybody may send them.
#include "crypto/csr.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)hexr::crypto::VerifiedCsr::Parse({data, size});
  return 0;
}
