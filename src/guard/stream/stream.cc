#include "guard/stream/stream.h"

#include <algorithm>
#include <tuple>

#include "base/limits/guard.h"

namespace hexr::guard {
namespace {

constexpr uint64_t kLookBackAnchors = 1024;
constexpr uint64_t kFoldContext = 256;                      // plain text that the folded view begins with
constexpr uint64_t kViewCost = 64;                          // of a view, however short it is
constexpr uint64_t kHold = limits::kMaxGuardHoldBytes - 4;  // a code point is not cut: up to three bytes more
constexpr uint64_t kFoldAhead = 512;                        // of the original, read before the folder decides on a byte

constexpr std::string_view kMixedScript = "MIXED_SCRIPT";

bool IsContinuation(char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; }

}  // namespace

// Findings of a view, at their place in the original.
class Stream::ViewSink final : public LaneSink {
 public:
  ViewSink(Stream& stream, View view, size_t depth, uint64_t& view_bytes)
      : stream_(stream), view_(view), depth_(depth), view_bytes_(view_bytes) {}
  void SetRange(uint64_t start, uint64_t end) {
    start_ = start;
    end_ = end;
    ranged_ = true;
  }
  void OnMatch(Scanner scanner, std::string_view type, uint64_t start, uint64_t end, float score) override {
    // A guess at a disguise reaches back over text that has gone out: it is looked at for orders to a model alone.
    const bool guess =
        view_ == View::kRot13 || view_ == View::kReversed || view_ == View::kSpaced || view_ == View::kLeet;
    if (guess && scanner != Scanner::kInjection) return;
    const auto [s, e] = Raw(start, end);
    stream_.Add(scanner, type, view_, s, e, score);
  }
  void OnEncoded(View view, const std::string& text, uint64_t start, uint64_t end) override {
    const auto [s, e] = Raw(start, end);
    stream_.ScanView(view, text, s, e, depth_ + 1, view_bytes_);
  }
  void OnToken(std::string_view token, std::string_view, uint64_t start) override {
    if (const uint64_t size = stream_.CanaryAt(token); size > 0) {
      const auto [s, e] = Raw(start, start + size);
      stream_.Add(Scanner::kCanary, "CANARY", view_, s, e, 1);
    }
  }

 private:
  std::pair<uint64_t, uint64_t> Raw(uint64_t start, uint64_t end) const {
    if (ranged_) return {start_, end_};
    const uint64_t e = stream_.RawOf(end);
    return {std::min(std::max(stream_.RawOf(start), stream_.FoldedFloor()), e), e};
  }
  Stream& stream_;
  View view_;
  size_t depth_;
  uint64_t& view_bytes_;  // of the reading of the text that this view began in
  bool ranged_ = false;
  uint64_t start_ = 0;
  uint64_t end_ = 0;
};

bool Stream::FindingOrder::operator()(const Finding& a, const Finding& b) const {
  return std::tie(a.start, a.end, a.scanner, a.type, a.view, a.score) <
         std::tie(b.start, b.end, b.scanner, b.type, b.view, b.score);
}

Stream::Stream(Worker& worker, const Clock& clock, const StreamOptions& options)
    : worker_(worker),
      clock_(clock),
      options_(options),
      hidden_(*this),
      raw_(worker.engine(), worker, *this, LaneFor(0)) {
  if (options_.session != nullptr && options_.channel == Channel::kOutput && options_.session->has_prompt()) {
    leak_.emplace(*options_.session);
  }
}
Stream::~Stream() = default;

LaneOptions Stream::LaneFor(size_t depth) const {
  LaneOptions o;
  o.model = options_.use_model ? worker_.engine().model(options_.channel) : nullptr;
  o.recorder = depth == 0 ? options_.recorder : nullptr;
  o.least_pii = options_.least_pii;
  o.all_pii = options_.all_pii;
  o.decode = depth < limits::kMaxGuardViewDepth;
  o.tokens = options_.session != nullptr;
  return o;
}

Result<std::string> Stream::Feed(std::string_view bytes) {
  const MonoTime begin = clock_.Mono();
  std::string out;
  MonoTime last = begin;
  while (!bytes.empty() && !GaveUp()) {
    const std::string_view slice = bytes.substr(0, limits::kMaxGuardSliceBytes);
    bytes.remove_prefix(slice.size());
    RETURN_IF_ERROR(Step(slice));
    Release(Hold(), out);
    const MonoTime now = clock_.Mono();
    spent_ += now - last;
    last = now;
    CheckBudget();
  }
  return out;
}

Status Stream::Step(std::string_view slice) {
  hidden_.Feed(slice);
  RETURN_IF_ERROR(raw_.Feed(slice));
  if (leak_.has_value()) {
    leak_->Feed(slice, leaks_);
    ReportLeaks();
  }
  Fold(slice, false);
  if (!status_.ok()) return status_.error();
  return Ok();
}

Result<std::string> Stream::Finish() {
  if (GaveUp()) return std::string();
  const MonoTime begin = clock_.Mono();
  hidden_.Finish();
  RETURN_IF_ERROR(raw_.Finish());
  Fold({}, true);
  if (leak_.has_value()) {
    leak_->Finish(leaks_);
    ReportLeaks();
  }
  if (!status_.ok()) return status_.error();
  best_logit_ = std::max(best_logit_, raw_.best_logit());
  if (folded_ != nullptr) best_logit_ = std::max(best_logit_, folded_->best_logit());
  spent_ += clock_.Mono() - begin;
  CheckBudget();
  std::string out;
  Release(raw_.size(), out);
  return out;
}

void Stream::Fold(std::string_view slice, bool at_end) {
  if (!at_end && !folder_.Needs(slice)) {
    folder_.SkipPlain(slice);
    return;
  }
  FoldedText out;
  const bool was_active = folder_.active();
  if (at_end)
    folder_.Finish(out);
  else
    folder_.Feed(slice, out);
  for (const auto& word : folder_.mixed_words())
    Add(Scanner::kUnicode, kMixedScript, View::kRaw, word.folded, word.raw, 0.6F);
  folder_.mixed_words().clear();
  if (!folder_.active()) return;
  Status fed = Ok();
  if (!was_active) {
    fold_sink_ = std::make_unique<ViewSink>(*this, View::kFolded, 0, folded_view_bytes_);
    folded_ = std::make_unique<Lane>(worker_.engine(), worker_, *fold_sink_, LaneFor(0));
    const uint64_t at = folder_.activated_at();
    const uint64_t from = at - std::min(at, kFoldContext);
    const std::string context(raw_.Text(from, at));
    fold_shift_ = context.size();
    anchors_.push_back({0, at - context.size()});
    fed = folded_->Feed(context);
  }
  for (const auto& a : out.anchors) {
    // Of several at one place the last counts: invisible text without end is one anchor.
    if (!anchors_.empty() && anchors_.back().folded == a.folded + fold_shift_) anchors_.pop_back();
    anchors_.push_back({a.folded + fold_shift_, a.raw});
  }
  if (fed.ok()) fed = folded_->Feed(out.text);
  if (fed.ok() && at_end) fed = folded_->Finish();
  if (!fed.ok() && status_.ok()) status_ = fed;
}

uint64_t Stream::RawOf(uint64_t folded) const {
  const auto it = std::upper_bound(anchors_.begin(), anchors_.end(), folded,
                                   [](uint64_t f, const FoldedText::Anchor& a) { return f < a.folded; });
  if (it == anchors_.begin()) return anchors_.empty() ? folded : anchors_.front().raw;
  const auto& a = *std::prev(it);
  return a.raw + (folded - a.folded);
}

// What the folded view finds may start far back in the original, over text without end that folds to nothing. That much
// is not held: at this place of its reading, everything before has gone out, however the text was cut.
uint64_t Stream::FoldedFloor() const {
  const uint64_t at = RawOf(folded_->position()) + kFoldAhead;
  return at - std::min(at, kHold);
}

uint64_t Stream::Hold() const {
  uint64_t h = std::min(raw_.hold(), hidden_.hold());
  h = std::min(h, folder_.consumed());
  if (folded_ != nullptr) h = std::min(h, RawOf(folded_->hold()));
  return std::max(h, raw_.size() - std::min(raw_.size(), kHold));
}

void Stream::OnMatch(Scanner scanner, std::string_view type, uint64_t start, uint64_t end, float score) {
  Add(scanner, type, View::kRaw, start, end, score);
}

void Stream::OnEncoded(View view, const std::string& text, uint64_t start, uint64_t end) {
  ScanView(view, text, start, end, 1, raw_view_bytes_);
}

void Stream::OnToken(std::string_view token, std::string_view before, uint64_t start) {
  Session& session = *options_.session;
  if (const uint64_t size = CanaryAt(token); size > 0)
    Add(Scanner::kCanary, "CANARY", View::kRaw, start, start + size, 1);
  const GroundedName name = NameOf(token, before);
  if (name.type == nullptr) return;
  if (options_.channel != Channel::kOutput)
    session.Learn(name.name);
  else if (!session.Knows(name.name))
    Add(Scanner::kGrounding, name.type, View::kRaw, start, start + token.size(), 0.4F);
}

// How much of `token` ends with a planted canary; 0 when it holds none.
uint64_t Stream::CanaryAt(std::string_view token) const {
  constexpr size_t kSize = kCanaryPrefix.size() + 24;
  const size_t at = token.find(kCanaryPrefix);
  if (at == std::string_view::npos || options_.session == nullptr) return 0;
  return options_.session->IsCanary(token.substr(at, kSize)) ? at + kSize : 0;
}

void Stream::OnHidden(std::string_view type, uint64_t start, uint64_t end, float score) {
  Add(Scanner::kUnicode, type, View::kRaw, start, end, score);
}

void Stream::OnRecovered(std::string_view text, uint64_t start, uint64_t end) {
  ScanView(View::kHidden, std::string(text), start, end, 1, hidden_view_bytes_);
}

void Stream::ReportLeaks() {
  for (const auto& l : leaks_) Add(Scanner::kLeak, "SYSTEM_PROMPT", View::kRaw, l.start, l.end, 0.9F);
  leaks_.clear();
}

void Stream::ScanView(View view, const std::string& text, uint64_t start, uint64_t end, size_t depth,
                      uint64_t& view_bytes) {
  if (depth > limits::kMaxGuardViewDepth || GaveUp()) return;
  view_bytes += text.size() + kViewCost;
  if (view_bytes > limits::kMaxGuardViewBytes + end * limits::kMaxGuardViewBytesPerByte) {
    Overrun();
    return;
  }
  ViewSink sink(*this, view, depth, view_bytes);
  sink.SetRange(start, end);
  Lane lane(worker_.engine(), worker_, sink, LaneFor(depth));
  Status s = lane.Feed(text);
  if (s.ok()) s = lane.Finish();
  if (!s.ok() && status_.ok()) status_ = s;
  best_logit_ = std::max(best_logit_, lane.best_logit());
}

void Stream::Add(Scanner scanner, std::string_view type, View view, uint64_t start, uint64_t end, float score) {
  auto& best = scores_[static_cast<size_t>(scanner)];
  best = std::max(best, score);
  Action action = options_.policy[scanner];
  if (score < kSureScore) action = std::min(action, Action::kFlag);
  // What hidden text said is known after its beginning has gone out: too late to take it out of the text.
  if (view == View::kHidden && action == Action::kRedact) action = Action::kBlock;
  // Letters that are seen are not taken out.
  if (type == kMixedScript && action == Action::kRedact) action = Action::kFlag;
  action_ = std::max(action_, action);
  if (action == Action::kBlock) {
    blocked_ = true;
    block_at_ = std::min(block_at_, start);
  }
  if (action == Action::kRedact && end > released_ && end > start) {
    redactions_.push_back({std::max(start, released_), end, std::string(type), scanner});
  }
  // A leak grows word by word: the longest says it all.
  if (scanner == Scanner::kLeak) {
    const auto shorter = findings_.lower_bound({scanner, view, {}, start, 0, 0});
    if (shorter != findings_.end() && shorter->start == start && shorter->scanner == scanner && shorter->end < end)
      findings_.erase(shorter);
  }
  findings_.insert({scanner, view, std::string(type), start, end, score});
  // The first ones in the text stay, whatever the order in which scanners came upon them.
  if (findings_.size() > limits::kMaxGuardFindings) {
    findings_.erase(std::prev(findings_.end()));
    ++dropped_;
  }
}

void Stream::Release(uint64_t to, std::string& out) {
  to = std::min(to, blocked_ ? std::max(block_at_, released_) : to);
  if (to <= released_) {
    Trim();
    return;
  }
  std::sort(redactions_.begin(), redactions_.end(), [](const Span& a, const Span& b) {
    return std::tie(a.start, b.end, a.scanner, a.type) < std::tie(b.start, a.end, b.scanner, b.type);
  });
  // Never cut inside a redaction, nor inside a code point. Redactions that overlap without end are written all the
  // same.
  worker_.work().steps += redactions_.size();
  for (auto s = redactions_.rbegin(); s != redactions_.rend(); ++s) {
    if (s->start < to && to < s->end && raw_.size() - s->start <= 2 * limits::kMaxGuardHoldBytes) to = s->start;
  }
  if (to < raw_.size()) {
    const std::string_view tail = raw_.Text(to - std::min<uint64_t>(to, 3), to + 1);
    size_t back = 0;
    while (back + 1 < tail.size() && back < 3 && IsContinuation(tail[tail.size() - 1 - back])) ++back;
    if (back < tail.size() && !IsContinuation(tail[tail.size() - 1 - back])) to -= std::min<uint64_t>(to, back);
  }
  size_t used = 0;
  while (released_ < to) {
    const Span* next = used < redactions_.size() && redactions_[used].start < to ? &redactions_[used] : nullptr;
    if (next == nullptr) {
      out.append(raw_.Text(released_, to));
      released_ = to;
      break;
    }
    if (next->start > released_) out.append(raw_.Text(released_, next->start));
    // Overlapping findings are one redaction, named after the leftmost and longest.
    uint64_t end = next->end;
    const Span first = *next;
    for (++used; used < redactions_.size() && redactions_[used].start < end; ++used)
      end = std::max(end, redactions_[used].end);
    const bool continues = redacted_to_ == first.start && redacted_type_ == first.type && first.start > 0;
    if (!continues) out.append(Replacement(first, end));
    redacted_to_ = end;
    redacted_type_ = first.type;
    released_ = end;
  }
  redactions_.erase(redactions_.begin(), redactions_.begin() + static_cast<std::ptrdiff_t>(used));
  Trim();
}

void Stream::Trim() {
  // A blocked stream lets nothing go any more: its text is kept for the scanners alone.
  raw_.Trim(blocked_ && released_ >= block_at_ ? Hold() : released_);
  if (folded_ != nullptr) {
    folded_->Trim(folded_->hold());
    // Anchors before the kept text are of no use any more; one of them still says where it starts.
    const uint64_t keep = folded_->hold() - std::min<uint64_t>(folded_->hold(), kLookBackAnchors);
    size_t n = 0;
    while (n + 1 < anchors_.size() && anchors_[n + 1].folded <= keep) ++n;
    worker_.work().steps += n;
    if (n > 64) anchors_.erase(anchors_.begin(), anchors_.begin() + static_cast<std::ptrdiff_t>(n));
  }
}

std::string Stream::Replacement(const Span& span, uint64_t end) {
  if (span.scanner == Scanner::kUnicode) return {};
  if (options_.session != nullptr) {
    auto placeholder = options_.session->vault().Placeholder(span.type, raw_.Text(span.start, end));
    if (placeholder.ok()) return std::move(placeholder).value();
  }
  return "[REDACTED_" + span.type + "]";
}

void Stream::CheckBudget() {
  const auto allowed = options_.budget + options_.budget_per_kib * static_cast<int64_t>(raw_.size() / 1024);
  if (spent_ > allowed) Overrun();
}

void Stream::Overrun() {
  if (over_budget_) return;
  over_budget_ = true;
  action_ = std::max(action_, options_.policy.on_overrun);
  if (options_.policy.on_overrun == Action::kBlock) {
    blocked_ = true;
    block_at_ = std::min(block_at_, released_);
  }
}

Verdict Stream::TakeVerdict() {
  Verdict v;
  v.action = action_;
  v.valid = action_ < Action::kRedact;
  v.over_budget = over_budget_;
  v.bytes_scanned = raw_.size();
  v.elapsed_us = static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(spent_).count());
  v.scanners = scores_;
  v.risk = over_budget_ ? 1.0 : 0.0;
  for (const float s : scores_) v.risk = std::max(v.risk, static_cast<double>(s));
  v.findings_dropped = dropped_;
  // One thing seen in several views, or by several windows, is one finding: the plainest view's.
  for (const Finding& f : findings_) {
    const auto same = [&](const Finding& k) {
      return k.scanner == f.scanner && k.type == f.type && f.start < k.end && k.start < f.end;
    };
    const auto it = std::find_if(v.findings.begin(), v.findings.end(), same);
    if (it == v.findings.end()) {
      v.findings.push_back(f);
    } else {
      it->score = std::max(it->score, f.score);
      it->view = std::min(it->view, f.view);
      if (f.scanner == Scanner::kInjection || f.scanner == Scanner::kLeak) it->end = std::max(it->end, f.end);
    }
  }
  return v;
}

size_t Stream::StateBytes() const {
  size_t n = sizeof *this + raw_.StateBytes() - sizeof raw_ + anchors_.capacity() * sizeof(FoldedText::Anchor);
  if (folded_ != nullptr) n += folded_->StateBytes();
  return n;
}

}  // namespace hexr::guard
