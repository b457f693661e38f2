// INV-GUARD-01 on any bytes: whole and in two cuts, the same findings and the same text.
#include "base/bytes.h"
#include "base/check.h"
#include "guard/guard.h"

namespace hexr::guard {

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto engine = Engine::Create({}).value();
  static const auto worker = Worker::Create(engine).value();
  const hexr::ManualClock clock{hexr::WallTime{}};
  const std::string_view text = hexr::AsText({data, std::min<size_t>(size, 1 << 14)});
  const auto run = [&](size_t step) {
    StreamOptions o;
    o.channel = Channel::kOutput;
    o.policy = DefaultPolicy(Channel::kOutput);
    Stream s(*worker, clock, o);
    std::string out;
    for (size_t i = 0; i < text.size(); i += step) out += s.Feed(text.substr(i, step)).value();
    out += s.Finish().value();
    Verdict v = s.TakeVerdict();
    v.text = out;
    return v;
  };
  const Verdict whole = run(text.size() + 1);
  const Verdict cut = run(1 + (size > 0 ? data[0] % 31 : 0));
  HEXR_CHECK(whole.findings == cut.findings && whole.text == cut.text && whole.action == cut.action);
  return 0;
}

}  // namespace hexr::guard
