// A text scanned as it flows: bytes go in, bytes that have been read by every scanner come out, redacted as the policy
// says. One object a stream, not thread-safe; worker and session outlive it.
#pragma once

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "guard/session/session.h"
#include "guard/stream/lane.h"
#include "guard/types.h"
#include "guard/unicode/hidden.h"
#include "guard/views/folder.h"

namespace hexr::guard {

struct StreamOptions {
  Channel channel = Channel::kUser;
  ChannelPolicy policy;
  Session* session = nullptr;  // placeholders, canaries, leak, grounding; none without
  float least_pii = kPiiReported;
  bool all_pii = false;  // every reading of a number, for tests of recognisers
  // A scan may take `budget` and, besides, `budget_per_kib` for each KiB; then the policy's on_overrun applies, as it
  // does where encoded text would have to be read again more often than limits::kMaxGuardViewBytesPerByte.
  std::chrono::microseconds budget{100'000};
  std::chrono::microseconds budget_per_kib{2'000};
  FeatureRecorder* recorder = nullptr;
  bool use_model = true;
};

class Stream final : private LaneSink, private HiddenTextSink {
 public:
  Stream(Worker& worker, const Clock& clock, const StreamOptions& options);
  ~Stream() override;

  // What may go on now. Empty once blocked(). An error means that the bytes were not scanned: nothing may go on.
  Result<std::string> Feed(std::string_view bytes);
  Result<std::string> Finish();

  bool blocked() const { return blocked_; }
  // Everything found, in order, with `text` left empty: the caller has it. Valid after Finish.
  Verdict TakeVerdict();
  float best_logit() const { return best_logit_; }
  // Bytes held back at this moment, and memory held for this stream.
  uint64_t held() const { return raw_.size() - released_; }
  size_t StateBytes() const;

 private:
  class ViewSink;
  struct FindingOrder {
    bool operator()(const Finding& a, const Finding& b) const;
  };
  struct Span {
    uint64_t start;
    uint64_t end;
    std::string type;
    Scanner scanner;
  };

  void OnMatch(Scanner scanner, std::string_view type, uint64_t start, uint64_t end, float score) override;
  void OnEncoded(View view, const std::string& text, uint64_t start, uint64_t end) override;
  void OnToken(std::string_view token, std::string_view before, uint64_t start) override;
  void OnHidden(std::string_view type, uint64_t start, uint64_t end, float score) override;
  void OnRecovered(std::string_view text, uint64_t start, uint64_t end) override;

  Status Step(std::string_view slice);
  void Fold(std::string_view slice, bool at_end);
  void Add(Scanner scanner, std::string_view type, View view, uint64_t start, uint64_t end, float score);
  void ScanView(View view, const std::string& text, uint64_t start, uint64_t end, size_t depth, uint64_t& view_bytes);
  uint64_t RawOf(uint64_t folded) const;
  uint64_t Hold() const;
  void Release(uint64_t to, std::string& out);
  void CheckBudget();
  void Overrun();
  // The policy has ended an overrun stream: nothing is read any more.
  bool GaveUp() const { return over_budget_ && options_.policy.on_overrun == Action::kBlock; }
  uint64_t FoldedFloor() const;
  void ReportLeaks();
  uint64_t CanaryAt(std::string_view token) const;
  void Trim();
  std::string Replacement(const Span& span, uint64_t end);
  LaneOptions LaneFor(size_t depth) const;

  Worker& worker_;
  const Clock& clock_;
  StreamOptions options_;
  HiddenTextScanner hidden_;
  Lane raw_;
  Folder folder_;
  std::unique_ptr<ViewSink> fold_sink_;
  std::unique_ptr<Lane> folded_;
  std::vector<FoldedText::Anchor> anchors_;
  uint64_t fold_shift_ = 0;  // context before the first folded byte
  std::optional<LeakWatch> leak_;
  std::vector<LeakWatch::Leak> leaks_;
  Status status_;

  std::set<Finding, FindingOrder> findings_;
  std::vector<Span> redactions_;  // not yet released
  uint64_t dropped_ = 0;
  std::array<float, kScannerCount> scores_{};
  Action action_ = Action::kAllow;
  bool blocked_ = false;
  uint64_t block_at_ = UINT64_MAX;
  uint64_t released_ = 0;
  uint64_t redacted_to_ = 0;  // end of the redaction written last, when nothing followed it
  std::string redacted_type_;
  float best_logit_ = -1e9F;
  std::chrono::nanoseconds spent_{0};
  // Read in views of stretches, besides the text itself: of the text as it is, folded, hidden. Counted apart, so that
  // they do not depend on which of them is ahead.
  uint64_t raw_view_bytes_ = 0;
  uint64_t folded_view_bytes_ = 0;
  uint64_t hidden_view_bytes_ = 0;
  bool over_budget_ = false;
};

}  // namespace hexr::guard
