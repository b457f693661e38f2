// One reading of a stream, from bytes to findings: patterns, tokens, numbers, encoded runs, injection windows.
// A lane belongs to one stream, not thread-safe. What it finds does not depend on how its bytes were cut
// (INV-GUARD-01): every decision is taken at a place that the bytes alone choose.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "guard/engine.h"
#include "guard/stream/worker.h"

namespace hexr::guard {

// Offsets are the lane's own.
class LaneSink {
 public:
  virtual ~LaneSink() = default;
  virtual void OnMatch(Scanner scanner, std::string_view type, uint64_t start, uint64_t end, float score) = 0;
  // A stretch that has another reading.
  virtual void OnEncoded(View view, const std::string& text, uint64_t start, uint64_t end) = 0;
  // Each token, with up to 32 bytes before it, when asked for.
  virtual void OnToken(std::string_view token, std::string_view before, uint64_t start) = 0;
};

struct LaneOptions {
  const InjectionModel* model = nullptr;
  FeatureRecorder* recorder = nullptr;
  float least_pii = kPiiReported;
  bool all_pii = false;
  bool decode = true;   // false at the last depth
  bool tokens = false;  // call OnToken
};

class Lane {
 public:
  Lane(const Engine& engine, Worker& worker, LaneSink& sink, LaneOptions options);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // INTERNAL when the pattern engine fails: the text counts as not scanned.
  Status Feed(std::string_view bytes);
  Status Finish();

  // Nothing before this offset can become part of a finding any more.
  uint64_t hold() const;
  uint64_t size() const { return base_ + buf_.size(); }
  // Where the decision at work is taken: called back from here, a sink knows what had to be read for it.
  uint64_t position() const { return position_; }
  // The bytes [from, to), as far as they are still kept: some history before hold() too.
  std::string_view Text(uint64_t from, uint64_t to) const;
  // Lets go of bytes that neither the lane nor its owner (`keep` and after) needs.
  void Trim(uint64_t keep);
  float best_logit() const { return scorer_.best(); }
  // Bytes of memory held for this stream.
  size_t StateBytes() const;

 private:
  struct Trigger {
    uint32_t rule;
    uint64_t end;
  };
  static bool ByEnd(const Trigger& a, const Trigger& b) { return a.end != b.end ? a.end < b.end : a.rule < b.rule; }
  struct Run {  // a stretch to be read in another view once it has ended
    bool open = false;
    uint64_t start = 0;
    uint64_t end = 0;
    uint32_t count = 0;  // tokens that look disguised
    uint32_t gap = 0;    // tokens since, that do not
  };

  static int OnHit(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void* context);
  void Tokens(uint64_t from, uint64_t to);
  void EndToken(uint64_t end);
  void Gap(uint64_t at);
  void Settle(uint64_t end);
  bool Waits(const Trigger& t, uint64_t end) const;
  void Confirm(std::span<const Trigger> hits, uint64_t end);
  void Feature(std::string_view type);
  void ScoreTo(uint64_t end);
  void Chain(uint64_t end);
  void FlushChain(uint64_t seen);
  void Phrase(uint64_t end);
  void FlushPhrase();
  void Decode(std::string_view token, uint64_t end);
  void Disguise(std::string_view token, uint64_t end);
  void CloseRun(Run& run, View view);
  void Transform(uint64_t now, bool at_end);
  void Region(uint64_t end);
  void LongRegion(uint64_t end);
  void CloseRegion(uint64_t end);

  const Engine& engine_;
  Worker& worker_;
  LaneSink& sink_;
  LaneOptions options_;
  hs_stream* stream_ = nullptr;
  std::string buf_;
  uint64_t base_ = 0;              // offset of buf_[0]
  std::vector<Trigger> triggers_;  // by end; those before settled_ are done with
  size_t settled_ = 0;
  std::vector<Trigger> waiting_;  // for the quote that closes their value
  std::vector<Trigger> due_;      // of Settle
  std::vector<Trigger> stale_;    // by rule: the end of its last match that was over before any hit still to come

  bool in_token_ = false;
  uint64_t token_start_ = 0;
  uint32_t token_flags_ = 0;
  uint64_t token_end_ = 0;   // of the last one, or how far a long gap after it has been looked at
  uint64_t position_ = 0;    // see position()
  uint64_t now_ = 0;         // everything before has gone through the tokeniser
  bool continued_ = false;   // the token at work continues one that was cut by force
  std::string sticky_type_;  // a secret that reached such a cut: what follows belongs to it

  bool chain_open_ = false;
  bool chain_look_ = false;  // holds something worth a look
  uint64_t chain_start_ = 0;
  uint64_t chain_end_ = 0;

  bool phrase_open_ = false;
  bool phrase_capital_ = false;
  uint64_t phrase_start_ = 0;
  uint64_t phrase_end_ = 0;

  Run spaced_;
  Run leet_;
  Run rot13_;
  Run reversed_;
  std::string tail_;  // the end of the last decoded run, when the next token may continue it
  uint64_t tail_end_ = 0;

  bool header_open_ = false;  // "-----BEGIN" has been seen, the rest of the line has not
  uint64_t header_start_ = 0;
  bool region_open_ = false;
  uint64_t region_start_ = 0;
  uint64_t region_body_ = 0;
  uint64_t region_reported_ = 0;
  uint32_t region_prose_ = 0;

  InjectionScorer scorer_;
  uint64_t scored_ = 0;
  std::vector<InjectionScorer::Window> hot_;
  uint64_t reported_end_ = 0;  // of the injection window reported last
};

}  // namespace hexr::guard
