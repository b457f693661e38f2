// The folded view: what a model makes of a text that was dressed up. Invisible code points go, compatibility forms and
// look-alikes become ASCII, URL, HTML, JSON and quoted-printable escapes are undone (nested twice), HTML's tags are
// left out. One folder a stream, not thread-safe. What it emits does not depend on how the text was cut.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "guard/unicode/classes.h"
#include "guard/views/html.h"

namespace hexr::guard {

// Folded text with the way back to the original. Offsets are absolute in their stream.
struct FoldedText {
  struct Anchor {
    uint64_t folded;
    uint64_t raw;
  };
  std::string text;             // since the last Feed
  std::vector<Anchor> anchors;  // where the distance between the two changes
};

class Folder {
 public:
  // The next bytes of the original. Nothing is emitted until something differs: from then on all is (active()).
  void Feed(std::string_view raw, FoldedText& out);
  // Feed for bytes without escapes and without anything beyond ASCII, while not active.
  void SkipPlain(std::string_view raw);
  void Finish(FoldedText& out);

  // True when `raw` may hold something to fold, or a sequence is open: else SkipPlain does.
  bool Needs(std::string_view raw) const;
  bool active() const { return active_; }
  // Where the first difference was: emitted text starts here.
  uint64_t activated_at() const { return activated_at_; }
  // Everything before this offset of the original has been emitted.
  uint64_t consumed() const { return offset_; }

  // Words that mix Latin letters with look-alikes of another script, as [start, end) of the original; cleared by the
  // caller.
  std::vector<FoldedText::Anchor>& mixed_words() { return mixed_words_; }

 private:
  struct Escape {
    uint32_t cp = 0;
    uint32_t size = 0;  // bytes of the original; 0: no escape here
  };
  static Escape ReadEscape(std::string_view in, int depth);
  void Run(std::string_view in, bool at_end, FoldedText& out);
  void Plain(std::string_view ascii, FoldedText& out);
  void Tag(const HtmlTag& tag, FoldedText& out);
  void CodePoint(uint32_t cp, uint32_t raw_size, bool escaped, FoldedText& out);
  // `text` stands for the next `raw_size` bytes of the original; `changed`: it is not those bytes.
  void Emit(std::string_view text, uint32_t raw_size, bool changed, FoldedText& out);
  void Letters(size_t count, uint64_t at);
  void EndWord(uint64_t end);

  bool active_ = false;
  bool latin_ = true;                // the last letter that belongs to one script only was Latin
  bool after_ascii_letter_ = false;  // a combining mark here decorates ASCII
  uint64_t activated_at_ = 0;
  uint64_t offset_ = 0;  // of the original: everything before it has been emitted
  uint64_t folded_ = 0;  // length of the folded text
  bool anchored_ = false;
  uint64_t distance_ = 0;  // raw minus folded at the last anchor, modulo 2^64
  std::string pending_;    // an escape, a tag or a UTF-8 sequence that is not whole yet
  uint64_t word_start_ = 0;
  uint32_t word_latin_ = 0;
  uint32_t word_lookalikes_ = 0;
  std::vector<FoldedText::Anchor> mixed_words_;
};

}  // namespace hexr::guard
