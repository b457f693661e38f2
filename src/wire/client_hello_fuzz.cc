// A hello that is complete stays so, whatever follows it, and was incomplete at every shorter length.
#include "base/check.h"
#include "wire/client_hello.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto whole = hexr::wire::PeekClientHello({data, size});
  if (!whole.ok()) return 0;
  for (size_t n = 0; n < size && !whole->has_value(); ++n) HEXR_CHECK(hexr::wire::PeekClientHello({data, n}).ok());
  return 0;
}
