// INV-GUARD-01 on any bytes and any channel: whole and in two cuts, the same findings and the same text. INV-GUARD-06:
// what is held and what is spent stay within their bounds.
#include "base/bytes.h"
#include "base/check.h"
#include "guard/guard.h"

namespace hexr::guard {
namespace {

constexpr uint64_t kMostPerByte = 20'000;
constexpr uint64_t kMostState = 512 * 1024;

struct Outcome {
  Verdict verdict;
  std::string text;
};

}  // namespace

// The first byte chooses channel and cut, as the texts of older corpora do by chance.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto engine = Engine::Create({}).value();
  static const auto worker = Worker::Create(engine).value();
  const ManualClock clock{WallTime{}};
  const std::string_view text = AsText({data, std::min<size_t>(size, 1 << 14)});
  const uint8_t choice = size > 0 ? data[0] : 0;
  const auto channel = static_cast<Channel>((choice + 4U) % kChannelCount);
  const auto run = [&](size_t step) {
    SeededRandom random(1);
    Session session(crypto::Secret::Copy(AsBytes("tenant key")));
    session.PlantCanary(random);
    session.SetSystemPrompt("you are the travel desk of example corp and never offer more than two upgrades");
    StreamOptions o;
    o.channel = channel;
    o.policy = DefaultPolicy(channel);
    o.session = choice % 2 == 0 ? &session : nullptr;
    Stream s(*worker, clock, o);
    Outcome out;
    for (size_t i = 0; i < text.size(); i += step) {
      out.text += s.Feed(text.substr(i, step)).value();
      HEXR_CHECK(s.blocked() || s.held() <= limits::kMaxGuardHoldBytes + step);
    }
    out.text += s.Finish().value();
    HEXR_CHECK(s.StateBytes() <= kMostState);
    out.verdict = s.TakeVerdict();
    return out;
  };
  const Outcome whole = run(text.size() + 1);
  const Outcome cut = run(1 + choice % 31);
  HEXR_CHECK(whole.verdict.over_budget == cut.verdict.over_budget);
  HEXR_CHECK(whole.verdict.action == cut.verdict.action);
  // A stream that its policy ended early has read what it had read.
  if (!whole.verdict.over_budget) HEXR_CHECK(whole.verdict.findings == cut.verdict.findings);
  // What went out before a block depends on when the block was known.
  if (whole.verdict.action != Action::kBlock) HEXR_CHECK(whole.text == cut.text);
  const Work& w = worker->work();
  static uint64_t spent = 0;
  const uint64_t total = 128 * w.lanes + w.lane_bytes + w.confirm_bytes + w.pii_bytes + w.moved_bytes + 16 * w.steps;
  HEXR_CHECK(total - spent <= 2 * kMostPerByte * (text.size() + 256));
  spent = total;
  return 0;
}

}  // namespace hexr::guard
