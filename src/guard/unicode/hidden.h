// Text that a reader does not see and a model does: tags, variation selectors, zero width, bidi controls, fillers,
// private use. One scanner a stream, not thread-safe. What it reports does not depend on how the text was cut.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "guard/unicode/classes.h"

namespace hexr::guard {

class HiddenTextSink {
 public:
  virtual ~HiddenTextSink() = default;
  // Names are upper case and fixed: TAGS, VARIATION_SELECTORS, ZERO_WIDTH, JOINERS, BIDI, SOFT_HYPHEN, FILLER,
  // INVISIBLE_OPERATOR, ANNOTATION, PRIVATE_USE, UNASSIGNED, CONTROL, INVALID_UTF8.
  virtual void OnHidden(std::string_view type, uint64_t start, uint64_t end, float score) = 0;
  // Text recovered from invisible code points of [start, end).
  virtual void OnRecovered(std::string_view text, uint64_t start, uint64_t end) = 0;
};

class HiddenTextScanner {
 public:
  explicit HiddenTextScanner(HiddenTextSink& sink) : sink_(sink) {}

  // The next bytes of the text. Pure printable ASCII costs one pass over eight bytes at a time.
  void Feed(std::string_view bytes);
  // The text has ended.
  void Finish();
  // What is reported later starts here or after, but for bidi controls, which wait for the end of their line.
  uint64_t hold() const { return in_run_ ? run_.start : offset_; }

 private:
  struct Run {  // consecutive invisible code points
    uint64_t start = 0;
    uint64_t end = 0;
    uint32_t count = 0;
    uint32_t selectors = 0;
    uint32_t joiners = 0;
    uint32_t tags = 0;
    uint32_t first_cp = 0;
    uint32_t first_selector = 0;
    bool cancel_tag_last = false;
    uint32_t classes = 0;  // bit set of CodeClass
    std::string tag_text;
  };
  struct Recovery {  // one channel of hidden text, over runs that are close to each other
    std::string text;
    uint64_t start = 0;
    uint64_t end = 0;
  };
  struct Pending {
    uint64_t start;
    uint64_t end;
  };

  void OnCodePoint(uint32_t cp, uint32_t size);
  void OnVisible(uint32_t cp, CodeClass c);
  void AddInvisible(uint32_t cp, CodeClass c, uint32_t size);
  void EndRun(CodeClass next);
  void EndLine();
  void Recover(Recovery& r, uint8_t byte, uint64_t start, uint64_t end);
  void Flush(Recovery& r);
  void Report(std::string_view type, uint64_t start, uint64_t end, float score) {
    sink_.OnHidden(type, start, end, score);
  }

  HiddenTextSink& sink_;
  uint64_t offset_ = 0;                   // of the next code point
  std::string partial_;                   // a sequence cut by the end of a chunk, at most 3 bytes
  CodeClass prev_ = CodeClass::kVisible;  // of the last base: marks are skipped
  uint32_t prev_cp_ = 0;
  uint32_t letters_ = 0;  // since the last soft hyphen or the start of the word
  bool in_run_ = false;
  Run run_;
  bool line_has_rtl_ = false;
  std::vector<Pending> line_bidi_;  // bidi controls of this line, right only beside right-to-left text
  Recovery tags_;
  Recovery selectors_;
  Recovery bits_;
  uint32_t bit_count_ = 0;
  uint8_t bit_byte_ = 0;
  uint32_t bit_zero_ = 0;  // the zero-width code point that stands for 0: the first one seen
};

}  // namespace hexr::guard
