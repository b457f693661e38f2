// However the bytes are cut, the answer is the same.
#include <algorithm>

#include "base/check.h"
#include "wire/client_hello.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const hexr::ByteView bytes(data, size);
  const auto whole = hexr::wire::ClientHelloReader().Read(bytes);
  for (const size_t step : {size_t{1}, size_t{7}}) {
    hexr::wire::ClientHelloReader reader;
    auto pieces = reader.Read({});
    for (size_t at = 0; at < size && pieces.ok() && !pieces->has_value(); at += step) {
      pieces = reader.Read(bytes.subspan(at, std::min(step, size - at)));
    }
    HEXR_CHECK(pieces.ok() == whole.ok());
    if (!whole.ok()) continue;
    HEXR_CHECK(pieces->has_value() == whole->has_value());
    if (whole->has_value()) HEXR_CHECK((*pieces)->server_name == (*whole)->server_name);
  }
  return 0;
}
