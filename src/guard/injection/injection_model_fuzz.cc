// A file of weights is what its digest says, or refused.
#include "base/bytes.h"
#include "base/check.h"
#include "guard/engine.h"
#include "guard/injection/model.h"

namespace hexr::guard {

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view shipped = ShippedModelBytes(false);
  HEXR_CHECK(!InjectionModel::Parse(AsText({data, size})).ok() || AsText({data, size}) == shipped);
  // Bytes of the input, laid over the weights that ship where its head says.
  if (size < 5) return 0;
  std::string changed(shipped);
  const size_t at = (data[0] | size_t{data[1]} << 8 | size_t{data[2]} << 16) % changed.size();
  for (size_t i = 3; i < size && at + i - 3 < changed.size(); ++i) changed[at + i - 3] = static_cast<char>(data[i]);
  HEXR_CHECK(InjectionModel::Parse(changed).ok() == (changed == shipped));
  return 0;
}

}  // namespace hexr::guard
