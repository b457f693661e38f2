// Any bytes, whole or one by one: the same reports, in the same order.
#include "base/bytes.h"
#include "base/check.h"
#include "guard/unicode/hidden.h"

namespace {
class Log final : public hexr::guard::HiddenTextSink {
 public:
  void OnHidden(std::string_view type, uint64_t start, uint64_t end, float) override {
    log += std::string(type) + " " + std::to_string(start) + " " + std::to_string(end) + "\n";
  }
  void OnRecovered(std::string_view text, uint64_t start, uint64_t end) override {
    log += std::string(text) + std::to_string(start) + "-" + std::to_string(end) + "\n";
  }
  std::string log;
};
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = hexr::AsText({data, size});
  Log whole;
  Log bytes;
  hexr::guard::HiddenTextScanner a(whole);
  a.Feed(text);
  a.Finish();
  hexr::guard::HiddenTextScanner b(bytes);
  for (size_t i = 0; i < size; ++i) b.Feed(text.substr(i, 1));
  b.Finish();
  HEXR_CHECK(whole.log == bytes.log);
  return 0;
}
