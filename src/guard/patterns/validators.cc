#include "guard/patterns/validators.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include "guard/ascii.h"
#include "guard/views/decode.h"

namespace hexr::guard {
std::string DigitsOf(std::string_view text) {
  std::string out;
  std::copy_if(text.begin(), text.end(), std::back_inserter(out), IsDigit);
  return out;
}

bool Luhn(std::string_view digits) {
  uint32_t sum = 0;
  bool twice = false;
  for (size_t i = digits.size(); i-- > 0; twice = !twice) {
    if (!IsDigit(digits[i])) return false;
    auto d = static_cast<uint32_t>(digits[i] - '0');
    if (twice && (d *= 2) > 9) d -= 9;
    sum += d;
  }
  return digits.size() >= 2 && sum % 10 == 0;
}

bool Mod97(std::string_view iban) {
  if (iban.size() < 5) return false;
  uint32_t rest = 0;
  for (size_t i = 0; i < iban.size(); ++i) {
    const char c = iban[(i + 4) % iban.size()];
    if (IsDigit(c))
      rest = rest * 10 + static_cast<uint32_t>(c - '0');
    else if (IsUpper(c))
      rest = rest * 100 + static_cast<uint32_t>(c - 'A' + 10);
    else if (IsLower(c))
      rest = rest * 100 + static_cast<uint32_t>(c - 'a' + 10);
    else
      return false;
    rest %= 97;
  }
  return rest == 1;
}

bool Verhoeff(std::string_view digits) {
  // The dihedral group of order ten and the permutation (1 5 8 9 4 2 7 0)(3 6), Verhoeff 1969.
  static constexpr std::array<std::array<uint8_t, 10>, 10> kTimes = {{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
                                                                      {1, 2, 3, 4, 0, 6, 7, 8, 9, 5},
                                                                      {2, 3, 4, 0, 1, 7, 8, 9, 5, 6},
                                                                      {3, 4, 0, 1, 2, 8, 9, 5, 6, 7},
                                                                      {4, 0, 1, 2, 3, 9, 5, 6, 7, 8},
                                                                      {5, 9, 8, 7, 6, 0, 4, 3, 2, 1},
                                                                      {6, 5, 9, 8, 7, 1, 0, 4, 3, 2},
                                                                      {7, 6, 5, 9, 8, 2, 1, 0, 4, 3},
                                                                      {8, 7, 6, 5, 9, 3, 2, 1, 0, 4},
                                                                      {9, 8, 7, 6, 5, 4, 3, 2, 1, 0}}};
  static constexpr std::array<uint8_t, 10> kPermute = {1, 5, 7, 6, 2, 8, 3, 0, 9, 4};
  uint8_t c = 0;
  for (size_t i = 0; i < digits.size(); ++i) {
    const char ch = digits[digits.size() - 1 - i];
    if (!IsDigit(ch)) return false;
    auto p = static_cast<uint8_t>(ch - '0');
    for (size_t k = 0; k < i % 8; ++k) p = kPermute[p];
    c = kTimes[c][p];
  }
  return c == 0;
}

bool Mod11_10(std::string_view digits) {
  uint32_t p = 10;
  for (size_t i = 0; i + 1 < digits.size(); ++i) {
    if (!IsDigit(digits[i])) return false;
    p = (p + static_cast<uint32_t>(digits[i] - '0')) % 10;
    p = (p == 0 ? 10 : p) * 2 % 11;
  }
  return !digits.empty() && IsDigit(digits.back()) && (p + static_cast<uint32_t>(digits.back() - '0')) % 10 == 1;
}

uint32_t WeightedSum(std::string_view digits, std::string_view weights, uint32_t m) {
  uint32_t sum = 0;
  for (size_t i = 0; i < digits.size() && i < weights.size(); ++i) {
    const char w = weights[i];  // '0' to '9', then 'A' for 10 on
    sum += static_cast<uint32_t>(digits[i] - '0') * static_cast<uint32_t>(IsDigit(w) ? w - '0' : w - 'A' + 10);
  }
  return sum % m;
}

double Entropy(std::string_view text) {
  if (text.empty()) return 0;
  std::array<uint32_t, 256> counts{};
  for (const char c : text) ++counts[static_cast<uint8_t>(c)];
  double bits = 0;
  const double n = static_cast<double>(text.size());
  for (const uint32_t k : counts) {
    if (k > 0) bits -= k / n * std::log2(k / n);
  }
  return bits;
}

bool LooksLikePlaceholder(std::string_view value) {
  if (value.empty()) return true;
  const char f = value.front();
  const char b = value.back();
  if (value.size() > 2) {
    if ((f == '<' && b == '>') || (f == '{' && b == '}') || (f == '[' && b == ']') || (f == '%' && b == '%') ||
        (f == '(' && b == ')'))
      return true;
    if (value.substr(0, 2) == "${" || value.substr(0, 2) == "$(" || value.substr(0, 2) == "{{" ||
        value.substr(0, 2) == "#{")
      return true;
  }
  if (f == '$' && std::all_of(value.begin() + 1, value.end(),
                              [](char c) { return IsUpper(c) || IsLower(c) || IsDigit(c) || c == '_'; })) {
    return true;
  }
  size_t longest = 1;
  size_t run = 1;
  for (size_t i = 1; i < value.size(); ++i) {
    run = value[i] == value[i - 1] ? run + 1 : 1;
    longest = std::max(longest, run);
  }
  if (longest >= 6 || longest == value.size()) return true;
  const std::string low = Lowered(value);
  static constexpr std::array<std::string_view, 34> kWords = {
      "example",  "placeholder", "changeme",  "change_me",   "change-me", "your_",     "your-",
      "yourapi",  "yourkey",     "yourtoken", "yoursecret",  "<your",     "insert",    "replace_",
      "replace-", "dummy",       "redacted",  "xxxx",        "****",      "....",      "sample",
      "notreal",  "not-real",    "my_secret", "mysecret",    "my-secret", "123456789", "abcdefgh",
      "qwerty",   "testtest",    "foobar",    "secret_here", "_here",     "undefined"};
  return std::any_of(kWords.begin(), kWords.end(),
                     [&](std::string_view w) { return low.find(w) != std::string::npos; });
}

bool LooksLikeIdentifier(std::string_view value) {
  // Words of letters, put together as programmers do; digits only at the end of a word.
  size_t words = 0;
  size_t length = 0;
  size_t vowels = 0;
  size_t digits = 0;
  for (size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    if (c == '_' || c == '-' || c == '.' || c == '/' || c == ':') {
      if (length == 1 && i > 1 && IsDigit(value[i - 1])) return false;
      length = 0;
      continue;
    }
    if (IsDigit(c)) {
      if (++digits > 4) return false;
      length = 0;
      continue;
    }
    if (!IsUpper(c) && !IsLower(c)) return false;
    const bool start = length == 0 || (IsUpper(c) && IsLower(value[i - 1]));
    if (start) {
      ++words;
      length = 0;
    }
    ++length;
    const char l = Lower(c);
    vowels += l == 'a' || l == 'e' || l == 'i' || l == 'o' || l == 'u' || l == 'y';
  }
  const size_t letters = value.size() - digits;
  // English names have a vowel in three letters and words of three letters and more; keys have neither.
  return words > 0 && vowels * 5 >= letters && words * 3 <= letters + 2;
}

bool GitHubChecksum(std::string_view token) {
  const size_t body = token.find('_');
  if (body == std::string_view::npos || token.size() < body + 8) return false;
  const std::string_view payload = token.substr(body + 1, token.size() - body - 7);
  uint32_t crc = 0xFFFFFFFF;  // ISO-HDLC, the CRC of zlib
  for (const char ch : payload) {
    crc ^= static_cast<uint8_t>(ch);
    for (int k = 0; k < 8; ++k) crc = (crc >> 1) ^ (0xEDB88320U & (0U - (crc & 1U)));
  }
  crc = ~crc;
  static constexpr std::string_view kBase62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::array<char, 6> text{};
  for (size_t i = 6; i-- > 0; crc /= 62) text[i] = kBase62[crc % 62];
  return std::string_view(text.data(), 6) == token.substr(token.size() - 6);
}

bool IsJwt(std::string_view token) {
  const size_t dot = token.find('.');
  if (dot == std::string_view::npos || token.find('.', dot + 1) == std::string_view::npos) return false;
  const auto header = DecodeBase64Text(token.substr(0, dot));
  return header.has_value() && header->front() == '{' && header->find("\"alg\"") != std::string::npos;
}

}  // namespace hexr::guard
