#include "policy/rego/builtins/gofmt.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "policy/rego/value/json.h"
#include "policy/rego/value/number.h"

namespace hexr::rego {
namespace {

struct Flags {
  bool plus = false, minus = false, sharp = false, space = false, zero = false;
  int width = -1;
  int precision = -1;
};

struct Argument {
  enum class Type { kInt, kFloat, kString } type = Type::kString;
  Value number;
  double d = 0;
  std::string text;
};

Argument Classify(const Value& v) {
  Argument a;
  if (v.is_number()) {
    bool plain = v.kind == Kind::kInt || (IsInteger(v) && v.num->text.find_first_of(".eE") == std::string_view::npos);
    if (plain) {
      a.type = Argument::Type::kInt;
      a.number = v;
      return a;
    }
    a.d = ToDouble(v);
    if (std::isinf(a.d)) {
      a.text = NumberText(v);
    } else {
      a.type = Argument::Type::kFloat;
    }
    return a;
  }
  a.text = v.is_string() ? std::string(v.text()) : ToRego(v);
  return a;
}

std::string Pad(std::string s, const Flags& f, bool zeros) {
  auto count = static_cast<int>(RuneCount(s));
  if (f.width <= count) return s;
  auto fill = static_cast<size_t>(f.width - count);
  if (f.minus) return s + std::string(fill, ' ');
  if (zeros && f.zero) {
    size_t sign = !s.empty() && (s[0] == '-' || s[0] == '+' || s[0] == ' ') ? 1 : 0;
    return s.substr(0, sign) + std::string(fill, '0') + s.substr(sign);
  }
  return std::string(fill, f.zero && zeros ? '0' : ' ') + s;
}

std::string Hex(std::string_view s, const Flags& f, bool upper) {
  std::string out;
  const char* digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  size_t n = f.precision >= 0 ? std::min<size_t>(s.size(), static_cast<size_t>(f.precision)) : s.size();
  for (size_t i = 0; i < n; ++i) {
    if (f.space && i > 0) out += ' ';
    if (f.sharp && (i == 0 || f.space)) out += upper ? "0X" : "0x";
    out += digits[(s[i] >> 4) & 15];
    out += digits[s[i] & 15];
  }
  return out;
}

std::string Integer(const Value& n, const Flags& f, int base, bool upper) {
  std::string digits = base == 2 || base == 8 || base == 10 || base == 16 ? FormatInteger(n, base) : NumberText(n);
  bool negative = digits[0] == '-';
  if (negative) digits.erase(0, 1);
  if (upper)
    std::transform(digits.begin(), digits.end(), digits.begin(),
                   [](char c) { return static_cast<char>(c >= 'a' ? c - 32 : c); });
  if (f.precision >= 0) {
    if (f.precision == 0 && digits == "0") digits.clear();
    if (static_cast<int>(digits.size()) < f.precision)
      digits.insert(0, static_cast<size_t>(f.precision) - digits.size(), '0');
  } else if (f.zero && !f.minus && f.width >= 0) {
    int room = f.width - (negative || f.plus || f.space ? 1 : 0);
    if (static_cast<int>(digits.size()) < room) digits.insert(0, static_cast<size_t>(room) - digits.size(), '0');
  }
  if (f.sharp) {
    if (base == 2) digits.insert(0, "0b");
    if (base == 8 && digits[0] != '0') digits.insert(0, "0");
    if (base == 16) digits.insert(0, upper ? "0X" : "0x");
  }
  std::string sign = negative ? "-" : f.plus ? "+" : f.space ? " " : "";
  return Pad(sign + digits, f, false);
}

std::string Quote(std::string_view s, const Flags& f) {
  if (f.sharp && s.find('`') == std::string_view::npos && s.find('\n') == std::string_view::npos)
    return "`" + std::string(s) + "`";
  std::string out;
  AppendGoQuoted(s, out);
  if (!f.plus) return out;
  std::string ascii;
  for (size_t i = 0; i < out.size();) {
    char32_t r = NextRune(out, i);
    if (r < 0x80) {
      ascii += static_cast<char>(r);
      continue;
    }
    char buffer[16];
    std::snprintf(buffer, sizeof buffer, r > 0xFFFF ? "\\U%08x" : "\\u%04x", static_cast<unsigned>(r));
    ascii += buffer;
  }
  return ascii;
}

std::string RuneText(const Value& n) {
  auto v = ToInt64(n);
  std::string out;
  AppendRune(v && *v >= 0 && *v <= 0x10FFFF && !(*v >= 0xD800 && *v < 0xE000) ? static_cast<char32_t>(*v) : 0xFFFD,
             out);
  return out;
}

std::string TypeAndValue(const Argument& a) {
  switch (a.type) {
    case Argument::Type::kInt: return (a.number.kind == Kind::kInt ? "int=" : "*big.Int=") + NumberText(a.number);
    case Argument::Type::kFloat: return "float64=" + GoFloat(a.d, 'g', -1);
    case Argument::Type::kString: return "string=" + a.text;
  }
  return "";
}

std::string One(const Argument& a, char32_t verb, const Flags& f);

// A verb that does not fit says so, and prints the value as %v with the same flags.
std::string Bad(char32_t verb, const Argument& a, const Flags& f) {
  std::string out = "%!";
  AppendRune(verb, out);
  const char* type = a.type == Argument::Type::kString  ? "string="
                     : a.type == Argument::Type::kFloat ? "float64="
                     : a.number.kind == Kind::kInt      ? "int="
                                                        : "*big.Int=";
  return out + "(" + type + One(a, 'v', f) + ")";
}

std::string FloatVerb(const Argument& a, char verb, const Flags& f) {
  int precision = f.precision;
  if (precision < 0) precision = verb == 'v' || verb == 'g' || verb == 'G' ? -1 : 6;
  std::string s = GoFloat(a.d, verb == 'v' ? 'g' : verb == 'F' ? 'f' : verb, precision);
  if (s[0] != '-' && (f.plus || f.space)) s.insert(0, f.plus ? "+" : " ");
  if (f.zero && !f.minus && f.width >= 0) return Pad(s, f, true);
  return Pad(s, f, false);
}

std::string One(const Argument& a, char32_t verb, const Flags& f) {
  auto truncated = [&](const std::string& s) {
    if (f.precision < 0) return s;
    size_t at = 0;
    for (int i = 0; i < f.precision && at < s.size(); ++i) NextRune(s, at);
    return s.substr(0, at);
  };
  if (verb == 'T')
    return Pad(a.type == Argument::Type::kInt     ? (a.number.kind == Kind::kInt ? "int" : "*big.Int")
               : a.type == Argument::Type::kFloat ? "float64"
                                                  : "string",
               f, true);
  switch (a.type) {
    case Argument::Type::kInt:
      switch (verb) {
        case 'v':
        case 'd': return Integer(a.number, f, 10, false);
        case 'b': return Integer(a.number, f, 2, false);
        case 'o': return Integer(a.number, f, 8, false);
        case 'O': {
          std::string s = Integer(a.number, Flags{}, 8, false);
          return Pad(s[0] == '-' ? "-0o" + s.substr(1) : "0o" + s, f, false);
        }
        case 'x': return Integer(a.number, f, 16, false);
        case 'X': return Integer(a.number, f, 16, true);
        case 'c':
          if (a.number.kind == Kind::kInt) return Pad(RuneText(a.number), f, true);
          break;
        case 'q':
          if (a.number.kind == Kind::kInt) return Pad("'" + RuneText(a.number) + "'", f, true);
          break;
        case 'U':
          if (a.number.kind == Kind::kInt) {
            char buffer[32];
            std::snprintf(buffer, sizeof buffer, "U+%04llX", static_cast<unsigned long long>(a.number.i));
            return Pad(buffer, f, false);
          }
          break;
        case 's':
          if (a.number.kind != Kind::kInt) return Integer(a.number, f, 10, false);
          break;
        default: break;
      }
      break;
    case Argument::Type::kFloat:
      if (verb < 0x80 && std::string_view("vbgGxXfFeE").find(static_cast<char>(verb)) != std::string_view::npos) {
        return FloatVerb(a, static_cast<char>(verb), f);
      }
      break;
    case Argument::Type::kString:
      switch (verb) {
        case 'v':
          if (f.sharp) return Pad(Quote(a.text, Flags{}), f, true);
          return Pad(truncated(a.text), f, true);
        case 's': return Pad(truncated(a.text), f, true);
        case 'q': return Pad(Quote(truncated(a.text), f), f, true);
        case 'x': return Pad(Hex(a.text, f, false), f, true);
        case 'X': return Pad(Hex(a.text, f, true), f, true);
        default: break;
      }
      break;
  }
  return Bad(verb, a, f);
}

}  // namespace

std::string GoFloat(double d, char verb, int precision) {
  if (std::isnan(d)) return "NaN";
  if (std::isinf(d)) return d > 0 ? "+Inf" : "-Inf";
  char buffer[1024];  // 309 digits, a point and 400 more
  if (precision >= 0) {
    const char format[] = {'%', '.', '*', verb, 0};
    std::snprintf(buffer, sizeof buffer, format, std::min(precision, 400), d);
    return buffer;
  }
  // Shortest digits, laid out by Go's rule for %g: exponent form below 1e-4 and from 1e21 on.
  auto end = std::to_chars(buffer, buffer + sizeof buffer, d, std::chars_format::scientific).ptr;
  std::string s(buffer, end);
  size_t e = s.find('e');
  int exponent = std::atoi(s.c_str() + e + 1);
  if (verb == 'e' || verb == 'E') {
    if (verb == 'E') s[e] = 'E';
    return s;
  }
  if ((verb == 'g' || verb == 'G') && (exponent < -4 || exponent >= 21)) {
    if (verb == 'G') s[e] = 'E';
    return s;
  }
  end = std::to_chars(buffer, buffer + sizeof buffer, d, std::chars_format::fixed).ptr;
  return std::string(buffer, end);
}

std::string GoSprintf(std::string_view format, std::span<const Value> args, size_t most) {
  std::string out;
  size_t next = 0;
  bool reordered = false;
  for (size_t i = 0; i < format.size() && out.size() <= most;) {
    size_t percent = format.find('%', i);
    out += format.substr(i, percent - i);
    if (percent == std::string_view::npos) break;
    i = percent + 1;
    Flags f;
    for (; i < format.size(); ++i) {
      char c = format[i];
      if (c == '+')
        f.plus = true;
      else if (c == '-')
        f.minus = true, f.zero = false;
      else if (c == '#')
        f.sharp = true;
      else if (c == ' ')
        f.space = true;
      else if (c == '0')
        f.zero = !f.minus;
      else
        break;
    }
    bool bad_index = false;
    auto index = [&] {
      if (i >= format.size() || format[i] != '[') return;
      reordered = true;
      size_t close = format.find(']', i);
      if (close == std::string_view::npos) {
        bad_index = true;
        ++i;
        return;
      }
      size_t n = 0;
      auto r = std::from_chars(format.data() + i + 1, format.data() + close, n);
      if (r.ptr != format.data() + close || n == 0 || n > args.size())
        bad_index = true;
      else
        next = n - 1;
      i = close + 1;
    };
    auto number = [&](int& target, std::string_view which) {
      if (i < format.size() && format[i] == '*') {
        ++i;
        auto n = next < args.size() && args[next].is_number() ? ToInt64(args[next]) : std::nullopt;
        ++next;
        if (n && *n >= -kMaxGoFormatWidth && *n <= kMaxGoFormatWidth)
          target = static_cast<int>(*n);
        else
          out += "%!(BAD" + std::string(which) + ")";
        return;
      }
      int n = -1;
      while (i < format.size() && format[i] >= '0' && format[i] <= '9')
        n = std::min(std::max(n, 0) * 10 + (format[i++] - '0'), kMaxGoFormatWidth);
      target = n;
    };
    index();
    number(f.width, "WIDTH");
    if (f.width < -1) {
      f.minus = true;
      f.zero = false;
      f.width = -f.width;
    }
    if (i < format.size() && format[i] == '.') {
      ++i;
      index();
      number(f.precision, "PREC");
      if (f.precision < 0) f.precision = 0;
    }
    index();
    if (i >= format.size()) {
      out += "%!(NOVERB)";
      break;
    }
    char32_t verb = NextRune(format, i);
    if (verb == '%') {
      out += '%';
      continue;
    }
    if (bad_index) {
      out += "%!";
      AppendRune(verb, out);
      out += "(BADINDEX)";
      continue;
    }
    if (next >= args.size()) {
      out += "%!";
      AppendRune(verb, out);
      out += "(MISSING)";
      continue;
    }
    out += One(Classify(args[next++]), verb, f);
  }
  if (!reordered && next < args.size()) {
    out += "%!(EXTRA ";
    for (size_t k = next; k < args.size(); ++k) out += (k > next ? ", " : "") + TypeAndValue(Classify(args[k]));
    out += ")";
  }
  return out;
}

}  // namespace hexr::rego
