#include "policy/rego/builtins/text_codecs.h"

#include "policy/rego/value/json.h"

namespace hexr::rego {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

int Base64Digit(char c, bool url) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == (url ? '-' : '+')) return 62;
  if (c == (url ? '_' : '/')) return 63;
  return -1;
}

}  // namespace

bool GoBase64Decode(std::string_view s, bool url, bool padded, std::string& out, std::string& error) {
  out.clear();
  auto bad = [&](size_t at) {
    error = "illegal base64 data at input byte " + std::to_string(at);
    return false;
  };
  auto skip = [&](size_t& i) {
    while (i < s.size() && (s[i] == '\n' || s[i] == '\r')) ++i;
  };
  size_t i = 0;
  while (true) {
    skip(i);
    if (i >= s.size()) return true;
    size_t start = i;
    uint32_t bits = 0;
    int n = 0;
    while (n < 4) {
      skip(i);
      if (i >= s.size()) {
        if (padded || n == 1)
          return bad(start + static_cast<size_t>(n) == s.size() ? s.size() - static_cast<size_t>(n) : start);
        break;
      }
      char c = s[i];
      if (c == '=' && padded) {
        if (n < 2) return bad(i);
        ++i;
        if (n == 2) {
          skip(i);
          if (i >= s.size()) return bad(s.size());
          if (s[i] != '=') return bad(i);
          ++i;
        }
        skip(i);
        if (i < s.size()) return bad(i);
        break;
      }
      int d = Base64Digit(c, url);
      if (d < 0) return bad(i);
      bits = bits << 6 | static_cast<uint32_t>(d);
      ++n;
      ++i;
    }
    bits <<= 6 * (4 - n);
    for (int k = 0; k < n - 1; ++k) out += static_cast<char>(bits >> (16 - 8 * k) & 0xFF);
    if (n < 4) {
      return true;
    }
  }
}

bool GoBase64UrlDecodeLax(std::string_view s, std::string& out, std::string& error) {
  std::string t(s);
  if (!t.ends_with('=')) {
    switch (t.size() % 4) {
      case 0: break;
      case 2: t += "=="; break;
      case 3: t += "="; break;
      default: error = "illegal base64url string: " + t; return false;
    }
  }
  return GoBase64Decode(t, true, true, out, error);
}

std::string QueryEscape(std::string_view s) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (char c : s) {
    bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
                 c == '.' || c == '~';
    if (plain) {
      out += c;
    } else if (c == ' ') {
      out += '+';
    } else {
      out += '%';
      out += kHex[(c >> 4) & 15];
      out += kHex[c & 15];
    }
  }
  return out;
}

bool PercentDecode(std::string_view s, bool plus_is_space, std::string& out, std::string& error) {
  out.clear();
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (s[i] == '%') {
      if (i + 2 >= s.size() || HexDigit(s[i + 1]) < 0 || HexDigit(s[i + 2]) < 0) {
        std::string quoted;
        AppendGoQuoted(s.substr(i, 3), quoted);
        error = "invalid URL escape " + quoted;
        return false;
      }
      out += static_cast<char>(HexDigit(s[i + 1]) * 16 + HexDigit(s[i + 2]));
      i += 2;
    } else {
      out += s[i];
    }
  }
  return true;
}

bool QueryUnescape(std::string_view s, std::string& out, std::string& error) {
  return PercentDecode(s, true, out, error);
}

}  // namespace hexr::rego
