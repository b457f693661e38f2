// Whatever the text: what is found lies within it, in order, no two of it overlapping, and the price of a byte is
// fixed.
#include "base/bytes.h"
#include "base/check.h"
#include "guard/patterns/pii.h"

namespace hexr::guard {

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto pii = PiiRecogniser::Create().value();
  if (size < 2) return 0;
  const std::string_view all = AsText({data + 2, std::min<size_t>(size - 2, 2048)});
  const std::string_view before = all.substr(0, data[0]);
  const std::string_view text = all.substr(before.size());
  for (const bool every : {false, true}) {
    size_t last = 0;
    const uint64_t cost =
        pii->Scan(text, before, "", every ? 0.001F : kPiiReported, every, [&](const PiiRecogniser::Hit& h) {
          HEXR_CHECK(h.start < h.end && h.end <= text.size() && h.score > 0 && h.score <= 1);
          HEXR_CHECK(h.start >= last);
          last = every ? h.start : h.end;
        });
    HEXR_CHECK(cost <= 40'000 * (text.size() + 16));
  }
  return 0;
}

}  // namespace hexr::guard
