#include "guard/unicode/hidden.h"

#include <algorithm>
#include <cstring>

#include "base/limits/guard.h"

namespace hexr::guard {
namespace {

constexpr uint32_t Bit(CodeClass c) { return 1U << static_cast<uint32_t>(c); }
constexpr uint64_t kRecoveryGap = 256;  // visible bytes between two runs of the same hidden text
constexpr size_t kMaxLineBidi = 16;

bool IsRtl(CodeClass c) { return c == CodeClass::kRtl || c == CodeClass::kRtlJoining; }
bool IsJoining(CodeClass c) {
  return c == CodeClass::kJoining || c == CodeClass::kRtlJoining || c == CodeClass::kMongolian ||
         c == CodeClass::kSpaceless;
}
bool IsEmojiBase(CodeClass c) {
  return c == CodeClass::kEmoji || c == CodeClass::kEmojiModifier || c == CodeClass::kRegional;
}
bool IsLetterClass(CodeClass c) { return c == CodeClass::kLatin || c == CodeClass::kLetter; }
bool IsAsciiText(uint32_t cp) { return cp >= 0x20 && cp < 0x7F; }

// The only tag sequences in use: U+1F3F4, a country and a subdivision, U+E007F (UTS 51, ED-14a).
bool IsFlagTags(std::string_view text) {
  if (text.size() < 3 || text.size() > 6) return false;
  for (const char c : text) {
    if ((c < 'a' || c > 'z') && (c < '0' || c > '9')) return false;
  }
  return true;
}

// StandardizedVariants.txt and emoji-variation-sequences.txt, by class of the base instead of one by one.
bool SelectorFits(uint32_t selector, CodeClass base, uint32_t base_cp) {
  if (selector >= 0xE0100) return base == CodeClass::kIdeograph;
  if (selector >= 0x180B && selector <= 0x180F) return base == CodeClass::kMongolian;
  if (base == CodeClass::kIdeograph || base == CodeClass::kJoining || base == CodeClass::kSpaceless) return true;
  if (selector >= 0xFE0E && (base_cp == '#' || base_cp == '*' || (base_cp >= '0' && base_cp <= '9'))) return true;
  if (selector == 0xFE00 && base_cp == '0') return true;  // a zero with a slash
  return base_cp > 0x7F && (base == CodeClass::kVisible || base == CodeClass::kEmoji || base == CodeClass::kLetter);
}

// The first byte of `s` that is not printable ASCII, tab or line end.
size_t SkipPlain(std::string_view s) {
  constexpr uint64_t kHigh = 0x8080808080808080ULL;
  constexpr uint64_t kOnes = 0x0101010101010101ULL;
  size_t i = 0;
  for (;;) {
    for (; i + 8 <= s.size(); i += 8) {
      uint64_t w;
      std::memcpy(&w, s.data() + i, 8);
      // Below 0x20, above 0x7F, or 0x7F itself. Borrows can only raise a false alarm, looked at byte by byte below.
      if (((w | (w - kOnes * 0x20) | (w + kOnes)) & kHigh) != 0) break;
    }
    const size_t stop = std::min(s.size(), i + 8);
    for (; i < stop; ++i) {
      const auto c = static_cast<uint8_t>(s[i]);
      if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c >= 0x7F) return i;
    }
    if (i == s.size()) return i;
  }
}

}  // namespace

void HiddenTextScanner::Feed(std::string_view bytes) {
  while (!partial_.empty() && !bytes.empty()) {
    partial_.push_back(bytes.front());
    bytes.remove_prefix(1);
    const Decoded d = DecodeUtf8(partial_);
    if (d.size == 0) continue;
    // An ill-formed sequence gives back everything after its first byte.
    const std::string rest = partial_.substr(d.size);
    partial_.clear();
    OnCodePoint(d.cp, d.size);
    for (size_t i = 0; i < rest.size();) {
      const Decoded e = DecodeUtf8(std::string_view(rest).substr(i));
      if (e.size == 0) {
        partial_ = rest.substr(i);
        break;
      }
      OnCodePoint(e.cp, e.size);
      i += e.size;
    }
  }
  size_t i = 0;
  while (i < bytes.size()) {
    if (!in_run_) {
      const size_t n = SkipPlain(bytes.substr(i));
      if (n > 0) {
        const std::string_view plain = bytes.substr(i, n);
        const size_t line = plain.rfind('\n');
        if (line != std::string_view::npos) EndLine();
        size_t word = n;
        while (word > 0 && ClassOf(static_cast<uint8_t>(plain[word - 1])) == CodeClass::kLatin && n - word < 8) --word;
        letters_ = static_cast<uint32_t>(word == 0 ? letters_ + n : n - word);
        prev_cp_ = static_cast<uint8_t>(plain.back());
        prev_ = ClassOf(prev_cp_);
        offset_ += n;
        i += n;
        continue;
      }
    }
    const Decoded d = DecodeUtf8(bytes.substr(i));
    if (d.size == 0) {
      partial_ = bytes.substr(i);
      return;
    }
    OnCodePoint(d.cp, d.size);
    i += d.size;
  }
}

void HiddenTextScanner::OnCodePoint(uint32_t cp, uint32_t size) {
  if (cp == kInvalidCodePoint) {
    if (in_run_) EndRun(CodeClass::kVisible);
    Report("INVALID_UTF8", offset_, offset_ + size, 0.4F);
    prev_ = CodeClass::kVisible;
    prev_cp_ = 0;
    offset_ += size;
    return;
  }
  const CodeClass c = ClassOf(cp);
  if (IsInvisible(c)) {
    AddInvisible(cp, c, size);
    offset_ += size;
    if (offset_ - run_.start >= limits::kMaxGuardRunBytes) EndRun(CodeClass::kVisible);
    return;
  }
  if (in_run_) EndRun(c);
  if (c == CodeClass::kControl) Report("CONTROL", offset_, offset_ + size, cp == 0x1B ? 0.8F : 0.6F);
  if (c == CodeClass::kPrivateUse) Report("PRIVATE_USE", offset_, offset_ + size, 0.6F);
  if (c == CodeClass::kUnassigned) Report("UNASSIGNED", offset_, offset_ + size, 0.6F);
  offset_ += size;
  OnVisible(cp, c);
}

void HiddenTextScanner::OnVisible(uint32_t cp, CodeClass c) {
  if (cp == '\n') EndLine();
  if (IsRtl(c)) line_has_rtl_ = true;
  if (c == CodeClass::kMark) return;
  letters_ = IsLetterClass(c) ? letters_ + 1 : 0;
  prev_ = c;
  prev_cp_ = cp;
}

void HiddenTextScanner::AddInvisible(uint32_t cp, CodeClass c, uint32_t size) {
  if (!in_run_) {
    in_run_ = true;
    run_ = Run{};
    run_.start = offset_;
    run_.first_cp = cp;
  }
  run_.end = offset_ + size;
  ++run_.count;
  run_.classes |= Bit(c);
  run_.cancel_tag_last = false;
  switch (c) {
    case CodeClass::kTag:
      ++run_.tags;
      if (cp == 0xE007F) run_.cancel_tag_last = true;
      if (IsAsciiText(cp - 0xE0000)) {
        if (run_.tag_text.size() < 8) run_.tag_text.push_back(static_cast<char>(cp - 0xE0000));
        Recover(tags_, static_cast<uint8_t>(cp - 0xE0000), offset_, run_.end);
      }
      break;
    case CodeClass::kVariationSelector:
      if (run_.selectors++ == 0) run_.first_selector = cp;
      if (cp >= 0xE0100)
        Recover(selectors_, static_cast<uint8_t>(cp - 0xE0100 + 16), offset_, run_.end);
      else if (cp >= 0xFE00)
        Recover(selectors_, static_cast<uint8_t>(cp - 0xFE00), offset_, run_.end);
      break;
    case CodeClass::kJoiner:
    case CodeClass::kZeroWidth:
    case CodeClass::kInvisibleOperator:
      if (c == CodeClass::kJoiner) ++run_.joiners;
      if (bit_zero_ == 0) bit_zero_ = cp;
      bit_byte_ = static_cast<uint8_t>(bit_byte_ << 1 | (cp == bit_zero_ ? 0 : 1));
      if (++bit_count_ % 8 == 0) Recover(bits_, bit_byte_, offset_, run_.end);
      break;
    default: break;
  }
}

void HiddenTextScanner::EndRun(CodeClass next) {
  in_run_ = false;
  const Run& r = run_;
  const auto report = [&](std::string_view type, float score) { Report(type, r.start, r.end, score); };
  const bool emoji_join = r.count <= 2 && r.joiners == 1 && r.selectors == r.count - 1 && IsEmojiBase(prev_) &&
                          IsEmojiBase(next) && r.tags == 0;
  if ((r.classes & Bit(CodeClass::kTag)) != 0) {
    const bool flag = prev_cp_ == 0x1F3F4 && r.cancel_tag_last && r.tags == r.count && IsFlagTags(r.tag_text);
    if (!flag)
      report("TAGS", 1.0F);
    else
      tags_ = Recovery{};
  }
  if (r.selectors > 0 && !emoji_join) {
    const bool fits =
        r.selectors == 1 && r.first_cp == r.first_selector &&
        (SelectorFits(r.first_selector, prev_, prev_cp_) || (IsEmojiBase(prev_) && r.first_selector >= 0xFE0E));
    if (!fits) report("VARIATION_SELECTORS", 1.0F);
  }
  if ((r.classes & Bit(CodeClass::kJoiner)) != 0 && !emoji_join) {
    const bool script = r.joiners <= 2 && (IsJoining(prev_) || IsJoining(next));
    if (!script) report("JOINERS", 0.9F);
  }
  if ((r.classes & Bit(CodeClass::kZeroWidth)) != 0) {
    const bool mark_at_start = r.first_cp == 0xFEFF && r.start == 0 && r.count == 1;
    const bool script = r.count <= 2 && (IsJoining(prev_) || IsJoining(next) || prev_ == CodeClass::kIdeograph ||
                                         next == CodeClass::kIdeograph);
    if (!mark_at_start && !script) report("ZERO_WIDTH", 0.9F);
  }
  if ((r.classes & Bit(CodeClass::kBidiOverride)) != 0) report("BIDI", 1.0F);
  if ((r.classes & (Bit(CodeClass::kBidiMark) | Bit(CodeClass::kBidiEmbed))) != 0) {
    if (r.count > 4 || line_bidi_.size() >= kMaxLineBidi)
      report("BIDI", 0.9F);
    else if (!line_has_rtl_ && !IsRtl(next))
      line_bidi_.push_back({r.start, r.end});
  }
  if ((r.classes & Bit(CodeClass::kSoftHyphen)) != 0) {
    if (r.count > 1 || letters_ < 2 || !(IsLetterClass(next) || next == CodeClass::kVisible))
      report("SOFT_HYPHEN", 0.8F);
    letters_ = 0;
  }
  if ((r.classes & Bit(CodeClass::kFiller)) != 0) {
    const bool jamo = (r.first_cp == 0x115F || r.first_cp == 0x1160) &&
                      (prev_ == CodeClass::kHangulJamo || next == CodeClass::kHangulJamo);
    const bool braille = r.first_cp == 0x2800 && (prev_ == CodeClass::kBraille || next == CodeClass::kBraille);
    const bool cgj = r.first_cp == 0x034F && r.count == 1 && prev_cp_ > 0x7F && prev_ != CodeClass::kLatin;
    if (!jamo && !braille && !cgj) report("FILLER", 0.9F);
  }
  if ((r.classes & Bit(CodeClass::kInvisibleOperator)) != 0) report("INVISIBLE_OPERATOR", 0.9F);
  if ((r.classes & Bit(CodeClass::kAnnotation)) != 0) report("ANNOTATION", 0.9F);
}

void HiddenTextScanner::EndLine() {
  if (!line_has_rtl_) {
    for (const Pending& p : line_bidi_) Report("BIDI", p.start, p.end, 0.9F);
  }
  line_bidi_.clear();
  line_has_rtl_ = false;
}

void HiddenTextScanner::Recover(Recovery& r, uint8_t byte, uint64_t start, uint64_t end) {
  if (!r.text.empty() && (start > r.end + kRecoveryGap || r.text.size() >= limits::kMaxGuardRunBytes)) Flush(r);
  if (r.text.empty()) r.start = start;
  r.text.push_back(static_cast<char>(byte));
  r.end = end;
}

void HiddenTextScanner::Flush(Recovery& r) {
  if (r.text.size() >= 4) sink_.OnRecovered(r.text, r.start, r.end);
  r = Recovery{};
}

void HiddenTextScanner::Finish() {
  for (size_t i = 0; i < partial_.size(); ++i) OnCodePoint(kInvalidCodePoint, 1);
  partial_.clear();
  if (in_run_) EndRun(CodeClass::kVisible);
  EndLine();
  Flush(tags_);
  Flush(selectors_);
  Flush(bits_);
}

}  // namespace hexr::guard
