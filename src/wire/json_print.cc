#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/bytes.h"
#include "base/log.h"
#include "wire/json.h"

namespace hexr::wire {
namespace {

// ECMAScript Number::toString (ECMA-262 6.1.6.1.20), for finite values.
std::string EcmaScriptNumber(double d) {
  if (d == 0) return "0";
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, std::fabs(d), std::chars_format::scientific).ptr;
  const std::string_view text(buffer, static_cast<size_t>(end - buffer));  // D[.DDD]e±XX, shortest digits
  const size_t e = text.find('e');
  std::string digits(1, text[0]);
  if (e > 2) digits.append(text.substr(2, e - 2));
  const int exponent = std::atoi(std::string(text.substr(e + 1)).c_str());
  const int k = static_cast<int>(digits.size());
  const int n = exponent + 1;  // the point stands behind the n-th digit
  std::string out = d < 0 ? "-" : "";
  const auto zeros = [](int count) { return std::string(static_cast<size_t>(count), '0'); };
  if (k <= n && n <= 21) {
    out += digits + zeros(n - k);
  } else if (0 < n && n <= 21) {
    out += digits.substr(0, static_cast<size_t>(n)) + "." + digits.substr(static_cast<size_t>(n));
  } else if (-6 < n && n <= 0) {
    out += "0." + zeros(-n) + digits;
  } else {
    out += digits[0];
    if (k > 1) out += "." + digits.substr(1);
    out += n - 1 < 0 ? "e-" : "e+";
    out += std::to_string(std::abs(n - 1));
  }
  return out;
}

void AppendQuoted(std::string_view s, std::string& out) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  size_t run = 0;
  for (size_t i = 0; i < s.size(); ++i) {
    const auto c = static_cast<uint8_t>(s[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(s, run, i - run);
    run = i + 1;
    out += '\\';
    switch (c) {
      case '"': out += '"'; break;
      case '\\': out += '\\'; break;
      case '\b': out += 'b'; break;
      case '\f': out += 'f'; break;
      case '\n': out += 'n'; break;
      case '\r': out += 'r'; break;
      case '\t': out += 't'; break;
      default:
        out += "u00";
        out += kHex[c >> 4];
        out += kHex[c & 15];
    }
  }
  out.append(s, run);
  out += '"';
}

class Printer {
 public:
  explicit Printer(JsonStyle style) : pretty_(style == JsonStyle::kPretty) {}

  void Print(const Json& v, size_t depth) {
    switch (v.kind()) {
      case Json::Kind::kNull: out_ += "null"; return;
      case Json::Kind::kBool: out_ += *v.as_bool() ? "true" : "false"; return;
      case Json::Kind::kInteger: out_ += std::to_string(*v.as_integer()); return;
      case Json::Kind::kBigInteger: out_ += v.as_big_integer()->digits(); return;
      case Json::Kind::kDouble: PrintDouble(*v.as_double()); return;
      case Json::Kind::kString: PrintString(*v.as_string()); return;
      case Json::Kind::kArray: {
        bool first = true;
        out_ += '[';
        for (const Json& item : *v.as_array()) {
          Separate(first, depth + 1);
          Print(item, depth + 1);
        }
        Close(']', first, depth);
        return;
      }
      case Json::Kind::kObject: {
        bool first = true;
        out_ += '{';
        for (const JsonMember& member : *v.as_object()) {
          Separate(first, depth + 1);
          PrintString(member.key);
          out_ += pretty_ ? ": " : ":";
          Print(member.value, depth + 1);
        }
        Close('}', first, depth);
        return;
      }
    }
  }
  std::string Take() { return std::move(out_); }

 private:
  void Separate(bool& first, size_t depth) {
    if (!first) out_ += ',';
    first = false;
    NewLine(depth);
  }
  void Close(char bracket, bool empty, size_t depth) {
    if (!empty) NewLine(depth);
    out_ += bracket;
  }
  void NewLine(size_t depth) {
    if (!pretty_) return;
    out_ += '\n';
    out_.append(depth * 2, ' ');
  }
  void PrintString(const std::string& s) {
    if (IsUtf8(s))
      AppendQuoted(s, out_);
    else
      out_ += JsonQuote(s);
  }
  void PrintDouble(double d) {
    if (!std::isfinite(d)) {
      out_ += "null";
      return;
    }
    if (d == 0 && std::signbit(d)) out_ += '-';
    const std::string text = EcmaScriptNumber(d);
    out_ += text;
    // A double stays one: without a point or an exponent it would read back as an integer.
    if (text.find_first_of(".e") == std::string::npos) out_ += ".0";
  }

  bool pretty_;
  std::string out_;
};

// RFC 8785 3.2.3: order of UTF-16 code units. UTF-8 bytes order code points; the two differ only where a supplementary
// character (lead byte F0 and up, surrogates D800 and up) meets one of U+E000 to U+FFFF (lead byte EE or EF).
bool Utf16Less(std::string_view a, std::string_view b) {
  const size_t n = std::min(a.size(), b.size());
  for (size_t i = 0; i < n; ++i) {
    const auto x = static_cast<uint8_t>(a[i]);
    const auto y = static_cast<uint8_t>(b[i]);
    if (x == y) continue;
    if (x >= 0xEE && y >= 0xEE && (x >= 0xF0) != (y >= 0xF0)) return x >= 0xF0;
    return x < y;
  }
  return a.size() < b.size();
}

Status Canonicalize(const Json& v, std::string& out) {
  switch (v.kind()) {
    case Json::Kind::kNull: out += "null"; return Ok();
    case Json::Kind::kBool: out += *v.as_bool() ? "true" : "false"; return Ok();
    case Json::Kind::kInteger:
    case Json::Kind::kBigInteger: {
      const std::string digits = ToJson(v);
      if (EcmaScriptNumber(v.ToDouble().value_or(0)) != digits)
        return InvalidArgument("canonical json: inexact integer");
      out += digits;
      return Ok();
    }
    case Json::Kind::kDouble:
      if (!std::isfinite(*v.as_double())) return InvalidArgument("canonical json: not a finite number");
      out += EcmaScriptNumber(*v.as_double());
      return Ok();
    case Json::Kind::kString:
      if (!IsUtf8(*v.as_string())) return InvalidArgument("canonical json: invalid UTF-8");
      AppendQuoted(*v.as_string(), out);
      return Ok();
    case Json::Kind::kArray: {
      char before = '[';
      for (const Json& item : *v.as_array()) {
        out += before;
        before = ',';
        RETURN_IF_ERROR(Canonicalize(item, out));
      }
      out += before == '[' ? "[]" : "]";
      return Ok();
    }
    case Json::Kind::kObject: break;
  }
  std::vector<const JsonMember*> members;
  for (const JsonMember& m : *v.as_object()) members.push_back(&m);
  std::sort(members.begin(), members.end(),
            [](const JsonMember* a, const JsonMember* b) { return Utf16Less(a->key, b->key); });
  char before = '{';
  for (const JsonMember* m : members) {
    if (!IsUtf8(m->key)) return InvalidArgument("canonical json: invalid UTF-8");
    out += before;
    before = ',';
    AppendQuoted(m->key, out);
    out += ':';
    RETURN_IF_ERROR(Canonicalize(m->value, out));
  }
  out += before == '{' ? "{}" : "}";
  return Ok();
}

}  // namespace

std::string ToJson(const Json& value, JsonStyle style) {
  Printer p(style);
  p.Print(value, 0);
  return p.Take();
}

Result<std::string> ToCanonicalJson(const Json& value) {
  std::string out;
  RETURN_IF_ERROR(Canonicalize(value, out));
  return out;
}

}  // namespace hexr::wire
