#include "guard/views/folder.h"

#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "guard/ascii.h"

namespace hexr::guard {
namespace {

constexpr size_t kLookAhead = 32;  // the longest escape with its nesting
constexpr int kMaxNesting = 3;

struct NamedEntity {
  std::string_view name;
  uint32_t cp;
};
// Entities that hide a word or a separator; the long list of HTML's letters is of no use to an attacker beyond these.
constexpr std::array<NamedEntity, 24> kNamedEntities = {
    {{"amp", '&'},  {"lt", '<'},       {"gt", '>'},     {"quot", '"'},   {"apos", '\''},  {"nbsp", ' '},
     {"shy", 0xAD}, {"zwnj", 0x200C},  {"zwj", 0x200D}, {"lrm", 0x200E}, {"rlm", 0x200F}, {"colon", ':'},
     {"sol", '/'},  {"num", '#'},      {"excl", '!'},   {"period", '.'}, {"comma", ','},  {"lpar", '('},
     {"rpar", ')'}, {"NewLine", '\n'}, {"Tab", '\t'},   {"lowbar", '_'}, {"equals", '='}, {"commat", '@'}}};

bool BeginsEscape(char c) { return c == '%' || c == '&' || c == '\\' || c == '='; }

// Bytes that may stand for something else, or for nothing.
constexpr std::array<bool, 256> kSpecial = [] {
  std::array<bool, 256> t{};
  for (size_t c = 0x80; c < 256; ++c) t[c] = true;
  for (const char c : std::string_view("%&\\=<")) t[static_cast<uint8_t>(c)] = true;
  return t;
}();
bool IsSpecial(char c) { return kSpecial[static_cast<uint8_t>(c)]; }

// `digits` hexadecimal digits at the start of `in`; -1 when there are not that many.
int64_t Hex(std::string_view in, size_t digits) {
  if (in.size() < digits) return -1;
  int64_t v = 0;
  for (size_t i = 0; i < digits; ++i) {
    const int h = HexValue(in[i]);
    if (h < 0) return -1;
    v = v * 16 + h;
  }
  return v;
}

struct Read {
  uint32_t cp = 0;
  uint32_t size = 0;
};

// `intro` and two digits a byte: %41, %C3%A9, =41.
Read Bytes(std::string_view in, char intro) {
  std::array<char, 4> bytes{};
  size_t n = 0;
  while (n < 4 && in.size() >= (n + 1) * 3 && in[n * 3] == intro) {
    const int64_t v = Hex(in.substr(n * 3 + 1), 2);
    if (v < 0) break;
    bytes[n++] = static_cast<char>(v);
    const Decoded d = DecodeUtf8({bytes.data(), n});
    if (d.size == 0) continue;
    if (d.cp == kInvalidCodePoint) return {};
    return {d.cp, static_cast<uint32_t>(n * 3)};
  }
  return {};
}

Read Backslash(std::string_view in) {
  if (in.size() < 2) return {};
  switch (in[1]) {
    case 'n': return {'\n', 2};
    case 'r': return {'\r', 2};
    case 't': return {'\t', 2};
    case '"':
    case '/':
    case '\\':
    case '\'': return {static_cast<uint8_t>(in[1]), 2};
    case 'x': {
      const int64_t v = Hex(in.substr(2), 2);
      return v < 0 || v > 0x7F ? Read{} : Read{static_cast<uint32_t>(v), 4};
    }
    case 'u': {
      const int64_t v = Hex(in.substr(2), 4);
      if (v < 0) return {};
      if (v < 0xD800 || v > 0xDFFF) return {static_cast<uint32_t>(v), 6};
      if (v > 0xDBFF || in.size() < 12 || in[6] != '\\' || in[7] != 'u') return {};
      const int64_t low = Hex(in.substr(8), 4);
      if (low < 0xDC00 || low > 0xDFFF) return {};
      return {static_cast<uint32_t>(0x10000 + ((v - 0xD800) << 10) + (low - 0xDC00)), 12};
    }
    default: return {};
  }
}

Read Entity(std::string_view in) {
  if (in.size() > 2 && in[1] == '#') {
    const bool hex = in[2] == 'x' || in[2] == 'X';
    size_t i = hex ? 3 : 2;
    const size_t first = i;
    uint32_t v = 0;
    for (; i < in.size() && i - first < 7; ++i) {
      const int h = HexValue(in[i]);
      if (h < 0 || (!hex && h > 9)) break;
      v = v * (hex ? 16 : 10) + static_cast<uint32_t>(h);
    }
    if (i == first || v == 0 || v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF)) return {};
    return {v, static_cast<uint32_t>(i < in.size() && in[i] == ';' ? i + 1 : i)};
  }
  for (const NamedEntity& n : kNamedEntities) {
    if (in.size() > n.name.size() + 1 && in.substr(1, n.name.size()) == n.name && in[n.name.size() + 1] == ';') {
      return {n.cp, static_cast<uint32_t>(n.name.size() + 2)};
    }
  }
  return {};
}

}  // namespace

bool Folder::Needs(std::string_view raw) const {
  if (active_ || !pending_.empty()) return true;
  for (const char c : raw) {
    if (IsSpecial(c)) return true;
  }
  return false;
}

Folder::Escape Folder::ReadEscape(std::string_view in, int depth) {
  Read r;
  switch (in.front()) {
    case '%': r = Bytes(in, '%'); break;
    case '&': r = Entity(in); break;
    case '\\': r = Backslash(in); break;
    case '=':
      if (in.size() > 2 && in[1] == '\r' && in[2] == '\n') return {kInvalidCodePoint, 3};  // a soft line break
      if (in.size() > 1 && in[1] == '\n') return {kInvalidCodePoint, 2};
      r = Bytes(in, '=');
      if (r.cp < 0x20) r = {};
      break;
    default: break;
  }
  if (r.size == 0 || depth >= kMaxNesting || r.cp > 0x7F || !BeginsEscape(static_cast<char>(r.cp)) || r.cp == '=') {
    return {r.cp, r.size};
  }
  const std::string inner = static_cast<char>(r.cp) + std::string(in.substr(r.size));
  const Escape e = ReadEscape(inner, depth + 1);
  if (e.size <= 1) return {r.cp, r.size};
  return {e.cp, r.size + e.size - 1};
}

void Folder::Feed(std::string_view raw, FoldedText& out) {
  if (pending_.empty()) {
    Run(raw, false, out);
  } else {
    const std::string joined = pending_ + std::string(raw);
    pending_.clear();
    Run(joined, false, out);
  }
}

void Folder::Finish(FoldedText& out) {
  const std::string rest = std::move(pending_);
  pending_.clear();
  Run(rest, true, out);
  EndWord(offset_);
}

void Folder::SkipPlain(std::string_view raw) {
  FoldedText none;
  Plain(raw, none);
}

void Folder::Run(std::string_view in, bool at_end, FoldedText& out) {
  size_t i = 0;
  while (i < in.size()) {
    size_t n = i;
    while (n < in.size() && !IsSpecial(in[n])) ++n;
    if (n > i) {
      Plain(in.substr(i, n - i), out);
      i = n;
      continue;
    }
    const std::string_view rest = in.substr(i);
    if (static_cast<uint8_t>(in[i]) >= 0x80) {
      const Decoded d = DecodeUtf8(rest);
      if (d.size == 0 && !at_end) {
        pending_ = rest;
        return;
      }
      const uint32_t size = d.size == 0 ? 1 : d.size;
      if (d.size == 0 || d.cp == kInvalidCodePoint)
        Emit(rest.substr(0, size), size, false, out);
      else
        CodePoint(d.cp, size, false, out);
      i += size;
      continue;
    }
    if (in[i] == '<') {
      const HtmlTag tag = ReadHtmlTag(rest, at_end);
      if (tag.more) {
        pending_ = rest;
        return;
      }
      if (tag.size == 0)
        Plain(rest.substr(0, 1), out);
      else
        Tag(tag, out);
      i += std::max<size_t>(tag.size, 1);
      continue;
    }
    if (rest.size() < kLookAhead && !at_end) {
      pending_ = rest;
      return;
    }
    const Escape e = ReadEscape(rest.substr(0, kLookAhead), 0);
    if (e.size == 0) {
      Plain(rest.substr(0, 1), out);
      i += 1;
    } else {
      if (e.cp == kInvalidCodePoint)
        Emit({}, e.size, true, out);
      else
        CodePoint(e.cp, e.size, true, out);
      i += e.size;
    }
  }
}

void Folder::Plain(std::string_view ascii, FoldedText& out) {
  const auto first = std::find_if_not(ascii.begin(), ascii.end(), IsLetter);
  const auto head = static_cast<size_t>(first - ascii.begin());
  Letters(head, offset_);
  if (head < ascii.size()) {
    EndWord(offset_ + head);
    size_t tail = ascii.size();
    while (tail > head && IsLetter(ascii[tail - 1])) --tail;
    Letters(ascii.size() - tail, offset_ + tail);
    if (!latin_) latin_ = std::any_of(first, ascii.end(), IsLetter);
  }
  if (!ascii.empty()) after_ascii_letter_ = IsLetter(ascii.back());
  Emit(ascii, static_cast<uint32_t>(ascii.size()), false, out);
}

void Folder::Tag(const HtmlTag& tag, FoldedText& out) {
  const auto size = static_cast<uint32_t>(tag.size);
  if (tag.joins) return Emit({}, size, true, out);
  EndWord(offset_);
  after_ascii_letter_ = false;
  Emit("\n", size, true, out);
}

void Folder::Letters(size_t count, uint64_t at) {
  if (count == 0) return;
  if (word_latin_ == 0 && word_lookalikes_ == 0) word_start_ = at;
  word_latin_ += static_cast<uint32_t>(count);
  latin_ = true;
}

void Folder::CodePoint(uint32_t cp, uint32_t raw_size, bool escaped, FoldedText& out) {
  if (cp < 0x80) {
    const char c = static_cast<char>(cp);
    if (IsLetter(c)) latin_ = true;
    after_ascii_letter_ = IsLetter(c);
    Emit({&c, 1}, raw_size, true, out);
    return;
  }
  const CodeClass c = ClassOf(cp);
  if (IsInvisible(c)) {  // inside a word it stays inside the word
    Emit({}, raw_size, true, out);
    return;
  }
  if (c == CodeClass::kMark && after_ascii_letter_) {
    Emit({}, raw_size, true, out);
    return;
  }
  const Fold* fold = FoldOf(cp);
  if (fold != nullptr && fold->kind == FoldKind::kLookalike) {
    if (!latin_)
      fold = nullptr;
    else if (word_latin_ > 0 || word_lookalikes_ > 0)
      ++word_lookalikes_;
    else
      word_start_ = offset_, word_lookalikes_ = 1;
  } else {
    if (c == CodeClass::kLatin) {
      latin_ = true;
    } else if (c == CodeClass::kLetter || c >= CodeClass::kJoining) {
      if (fold == nullptr) latin_ = false;
      EndWord(offset_);
    } else {
      EndWord(offset_);
    }
  }
  if (fold != nullptr) {
    after_ascii_letter_ = IsLetter(fold->ascii.back());
    // An accent alone is no disguise: it is folded once something else has been.
    if (fold->kind == FoldKind::kAccent && !active_ && !escaped) {
      offset_ += raw_size;
      return;
    }
    Emit(fold->ascii, raw_size, true, out);
    return;
  }
  after_ascii_letter_ = false;
  std::string utf8;
  AppendUtf8(cp, utf8);
  Emit(utf8, raw_size, escaped, out);
}

void Folder::Emit(std::string_view text, uint32_t raw_size, bool changed, FoldedText& out) {
  if (!active_ && changed) {
    active_ = true;
    activated_at_ = offset_;
  }
  if (active_) {
    const auto anchor = [&](uint64_t folded, uint64_t raw) {
      if (anchored_ && raw - folded == distance_) return;
      anchored_ = true;
      distance_ = raw - folded;
      out.anchors.push_back({folded, raw});
    };
    anchor(folded_, offset_);
    out.text.append(text);
    folded_ += text.size();
    offset_ += raw_size;
    anchor(folded_, offset_);
  } else {
    offset_ += raw_size;
  }
}

void Folder::EndWord(uint64_t end) {
  // Two letters of each kind: "µm" and "Δx" are units and symbols, not disguises.
  if (word_lookalikes_ >= 1 && word_latin_ >= 2) mixed_words_.push_back({word_start_, end});
  word_latin_ = 0;
  word_lookalikes_ = 0;
}

}  // namespace hexr::guard
