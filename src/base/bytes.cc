#include "base/bytes.h"

#include <array>

namespace hexr {
namespace {

constexpr std::string_view kStandard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrl = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::array<int8_t, 256> Reverse(std::string_view alphabet) {
  std::array<int8_t, 256> table{};
  for (auto& v : table) v = -1;
  for (size_t i = 0; i < alphabet.size(); ++i) table[static_cast<uint8_t>(alphabet[i])] = static_cast<int8_t>(i);
  return table;
}
constexpr auto kStandardReverse = Reverse(kStandard);
constexpr auto kUrlReverse = Reverse(kUrl);

std::string Encode(ByteView in, std::string_view alphabet, bool pad) {
  std::string out;
  out.reserve((in.size() + 2) / 3 * 4);
  size_t i = 0;
  const auto put = [&](uint32_t v, int chars) {
    for (int c = 0; c < chars; ++c) out += alphabet[(v >> (18 - 6 * c)) & 63];
    if (pad) out.append(static_cast<size_t>(4 - chars), '=');
  };
  for (; i + 3 <= in.size(); i += 3) {
    put(uint32_t{in[i]} << 16 | uint32_t{in[i + 1]} << 8 | in[i + 2], 4);
  }
  if (in.size() - i == 1) put(uint32_t{in[i]} << 16, 2);
  if (in.size() - i == 2) put(uint32_t{in[i]} << 16 | uint32_t{in[i + 1]} << 8, 3);
  return out;
}

// `text` without padding. The bits that a final short group does not use have to be zero: one value, one text.
Result<Bytes> Decode(std::string_view text, const std::array<int8_t, 256>& reverse) {
  if (text.size() % 4 == 1) return InvalidArgument("base64: impossible length");
  Bytes out;
  out.reserve(text.size() / 4 * 3 + 2);
  uint32_t buffer = 0;
  int bits = 0;
  for (const char c : text) {
    const int8_t v = reverse[static_cast<uint8_t>(c)];
    if (v < 0) return InvalidArgument("base64: character outside the alphabet");
    buffer = buffer << 6 | static_cast<uint8_t>(v);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out.push_back(static_cast<uint8_t>(buffer >> bits));
    }
  }
  if ((buffer & ((1U << bits) - 1)) != 0) return InvalidArgument("base64: trailing bits are not zero");
  return out;
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string HexEncode(ByteView bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const uint8_t b : bytes) {
    out += kDigits[b >> 4];
    out += kDigits[b & 15];
  }
  return out;
}

Result<Bytes> HexDecode(std::string_view text) {
  if (text.size() % 2 != 0) return InvalidArgument("hex: odd length");
  Bytes out;
  out.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const int hi = HexValue(text[i]);
    const int lo = HexValue(text[i + 1]);
    if (hi < 0 || lo < 0) return InvalidArgument("hex: not a hexadecimal digit");
    out.push_back(static_cast<uint8_t>(hi << 4 | lo));
  }
  return out;
}

std::string Base64Encode(ByteView bytes) { return Encode(bytes, kStandard, true); }
std::string Base64UrlEncode(ByteView bytes) { return Encode(bytes, kUrl, false); }

Result<Bytes> Base64Decode(std::string_view text) {
  if (text.size() % 4 != 0) return InvalidArgument("base64: length is not a multiple of four");
  size_t pad = 0;
  while (pad < 2 && pad < text.size() && text[text.size() - 1 - pad] == '=') ++pad;
  return Decode(text.substr(0, text.size() - pad), kStandardReverse);
}

Result<Bytes> Base64UrlDecode(std::string_view text) { return Decode(text, kUrlReverse); }

bool IsUtf8(std::string_view s) {
  size_t i = 0;
  const auto tail = [&](size_t at) { return at < s.size() && (static_cast<uint8_t>(s[at]) & 0xC0) == 0x80; };
  while (i < s.size()) {
    const auto c = static_cast<uint8_t>(s[i]);
    if (c < 0x80) {
      ++i;
    } else if (c >= 0xC2 && c <= 0xDF) {
      if (!tail(i + 1)) return false;
      i += 2;
    } else if (c >= 0xE0 && c <= 0xEF) {
      if (!tail(i + 1) || !tail(i + 2)) return false;
      const auto second = static_cast<uint8_t>(s[i + 1]);
      if ((c == 0xE0 && second < 0xA0) || (c == 0xED && second > 0x9F)) return false;
      i += 3;
    } else if (c >= 0xF0 && c <= 0xF4) {
      if (!tail(i + 1) || !tail(i + 2) || !tail(i + 3)) return false;
      const auto second = static_cast<uint8_t>(s[i + 1]);
      if ((c == 0xF0 && second < 0x90) || (c == 0xF4 && second > 0x8F)) return false;
      i += 4;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace hexr
