#include "guard/views/decode.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "guard/ascii.h"
#include "guard/unicode/classes.h"

namespace hexr::guard {
namespace {

constexpr size_t kMinDecoded = 8;
constexpr size_t kMinInside = 16;
constexpr size_t kMinEdge = 6;
constexpr size_t kProbe = 24;  // decoded bytes that must look like text before the rest is worth the work

constexpr std::array<int8_t, 256> kBase64 = [] {
  std::array<int8_t, 256> t{};
  t.fill(-1);
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t i = 0; i < 64; ++i) t[static_cast<uint8_t>(kAlphabet[i])] = static_cast<int8_t>(i);
  t['-'] = 62;
  t['_'] = 63;
  return t;
}();

char LeetLetter(char c) {
  switch (c) {
    case '0': return 'o';
    case '1':
    case '!':
    case '|': return 'i';
    case '2': return 'z';
    case '3': return 'e';
    case '4':
    case '@': return 'a';
    case '5':
    case '$': return 's';
    case '6':
    case '9': return 'g';
    case '7':
    case '+': return 't';
    case '8': return 'b';
    default: return c;
  }
}

bool IsReadable(char c) { return (c >= 0x20 && c < 0x7F) || c == '\n' || c == '\r' || c == '\t'; }

// Nothing when `token` is not base64, or `go_on` says no of the bytes so far.
template <class F>
std::optional<std::string> DecodeBase64(std::string_view token, F&& go_on) {
  while (!token.empty() && (token.back() == '=' || token.back() == '.')) token.remove_suffix(1);
  std::string out;
  out.reserve(token.size() * 3 / 4);
  uint32_t acc = 0;
  int bits = 0;
  for (const char c : token) {
    const int8_t v = kBase64[static_cast<uint8_t>(c)];
    if (v < 0) return std::nullopt;
    acc = acc << 6 | static_cast<uint32_t>(v);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out.push_back(static_cast<char>(acc >> bits & 0xFF));
      if (!go_on(out)) return std::nullopt;
    }
  }
  return out;
}

}  // namespace

bool IsMostlyText(std::string_view bytes) {
  size_t good = 0;
  for (size_t i = 0; i < bytes.size();) {
    const auto c = static_cast<uint8_t>(bytes[i]);
    if (c < 0x80) {
      good += (c >= 0x20 && c < 0x7F) || c == '\n' || c == '\r' || c == '\t';
      ++i;
      continue;
    }
    const Decoded d = DecodeUtf8(bytes.substr(i));
    const size_t n = d.size == 0 ? bytes.size() - i : d.size;
    if (d.size == 0 || d.cp != kInvalidCodePoint) good += n;
    i += n;
  }
  return good * 10 >= bytes.size() * 9;
}

std::optional<std::string> DecodeBase64Text(std::string_view token) {
  auto out =
      DecodeBase64(token, [](const std::string& bytes) { return bytes.size() != kProbe || IsMostlyText(bytes); });
  if (!out.has_value() || out->size() < kMinDecoded || !IsMostlyText(*out)) return std::nullopt;
  return out;
}

std::vector<TextInside> TextInsideBase64(std::string_view token) {
  std::vector<TextInside> out;
  const auto bytes = DecodeBase64(token, [](const std::string&) { return true; });
  if (!bytes.has_value()) return out;
  size_t i = 0;
  while (i < bytes->size()) {
    size_t end = i;
    size_t letters = 0;
    while (end < bytes->size() && IsReadable((*bytes)[end])) {
      letters += IsLetter((*bytes)[end]) || (*bytes)[end] == ' ';
      ++end;
    }
    // Sixteen in a row are no accident among random bytes; text at an edge may be the end of some more.
    const bool edge = i == 0 || end == bytes->size();
    if (end - i >= (edge ? kMinEdge : kMinInside) && letters * 4 >= (end - i) * 3)
      out.push_back({bytes->substr(i, end - i), i == 0, end == bytes->size()});
    i = std::max(end, i) + 1;
  }
  return out;
}

std::optional<std::string> DecodeHexText(std::string_view token) {
  std::string out;
  size_t i = 0;
  while (i < token.size()) {
    if (token[i] == ':' || token[i] == '-' || token[i] == ' ' || token[i] == ',') {
      ++i;
      continue;
    }
    if (i + 1 < token.size() && (token[i] == '\\' || token[i] == '0') && token[i + 1] == 'x') {
      i += 2;
      continue;
    }
    if (i + 1 >= token.size()) break;
    const int high = HexValue(token[i]);
    const int low = HexValue(token[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<char>(high * 16 + low));
    if (out.size() == kProbe && !IsMostlyText(out)) return std::nullopt;
    i += 2;
  }
  if (out.size() < kMinDecoded || !IsMostlyText(out)) return std::nullopt;
  return out;
}

std::string Rot13(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (IsLower(c))
      c = static_cast<char>('a' + (c - 'a' + 13) % 26);
    else if (IsUpper(c))
      c = static_cast<char>('A' + (c - 'A' + 13) % 26);
  }
  return out;
}

std::string ReverseText(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  size_t end = text.size();
  while (end > 0) {
    size_t start = end - 1;
    while (start > 0 && end - start < 4 && (static_cast<uint8_t>(text[start]) & 0xC0) == 0x80) --start;
    out.append(text.substr(start, end - start));
    end = start;
  }
  return out;
}

std::string JoinSpacedLetters(std::string_view text) {
  std::string out;
  size_t gap = 0;
  for (const char c : text) {
    if (IsLetter(c) || IsDigit(c) || static_cast<uint8_t>(c) >= 0x80) {
      if (gap > 1) out.push_back(' ');
      out.push_back(c);
      gap = 0;
    } else {
      ++gap;
    }
  }
  return out;
}

std::string UndoLeet(std::string_view text) {
  std::string out(text);
  size_t i = 0;
  while (i < out.size()) {
    size_t end = i;
    size_t letters = 0;
    while (end < out.size() && (IsLetter(LeetLetter(out[end])) && out[end] != '|')) letters += IsLetter(out[end++]);
    if (letters > 0) {
      for (size_t k = i; k < end; ++k) out[k] = LeetLetter(out[k]);
      while (end > i && end < out.size() + 1 && text[end - 1] == '!') out[--end] = '!';  // a shout at the end of a word
    } else if (end - i == 1) {
      out[i] = LeetLetter(out[i]);
    }
    i = std::max(end, i) + 1;
  }
  return out;
}

}  // namespace hexr::guard
