// Amounts with units, semantic versions, UUIDs.
#include <gmp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/bytes.h"
#include "policy/rego/builtins/support.h"

namespace hexr::rego {
namespace {

// "10.2gb" into number and unit. False when the exponent has too many digits.
bool SplitUnit(std::string_view s, std::string_view& number, std::string_view& unit) {
  constexpr size_t kMaxExponentDigits = 6;
  size_t end = s.size();
  for (size_t i = 0; i < s.size(); ++i) {
    char c = s[i];
    if (!IsDigit(c) && c != '.' && c != 'e' && c != 'E' && c != '+' && c != '-') {
      end = i;
      break;
    }
    if (c != 'e' && c != 'E') continue;
    if (i + 1 == s.size() || (!IsDigit(s[i + 1]) && s[i + 1] != '+' && s[i + 1] != '-')) {
      end = i;
      break;
    }
    if (s[i + 1] == '+' || s[i + 1] == '-') ++i;
    size_t k = i + 1;
    while (k < s.size() && IsDigit(s[k])) ++k;
    if (k - (i + 1) > kMaxExponentDigits) return false;
  }
  number = s.substr(0, end);
  unit = s.substr(end);
  return true;
}

// A rational number that frees itself.
class Rational {
 public:
  Rational() { mpq_init(q_); }
  ~Rational() { mpq_clear(q_); }
  Rational(const Rational&) = delete;
  Rational& operator=(const Rational&) = delete;
  mpq_ptr get() { return q_; }

  // "12", "1.5e3": decimal text; false when malformed or out of hand.
  bool Set(std::string_view text) {
    bool negative = false;
    if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
      negative = text[0] == '-';
      text.remove_prefix(1);
    }
    std::string digits;
    int64_t scale = 0;
    size_t i = 0;
    bool dot = false;
    for (; i < text.size() && (IsDigit(text[i]) || (text[i] == '.' && !dot)); ++i) {
      if (text[i] == '.') {
        dot = true;
      } else {
        digits += text[i];
        scale += dot;
      }
    }
    if (digits.empty()) return false;
    int64_t exponent = 0;
    if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
      ++i;
      if (i < text.size() && text[i] == '+') ++i;
      auto r = std::from_chars(text.data() + i, text.data() + text.size(), exponent);
      if (r.ec != std::errc() || r.ptr != text.data() + text.size()) return false;
      i = text.size();
    }
    if (i != text.size()) return false;
    exponent -= scale;
    if (exponent > 1000000 || exponent < -1000000) return false;
    mpz_set_str(mpq_numref(q_), digits.c_str(), 10);
    mpz_t power;
    mpz_init(power);
    mpz_ui_pow_ui(power, 10, static_cast<unsigned long>(exponent < 0 ? -exponent : exponent));
    if (exponent >= 0)
      mpz_mul(mpq_numref(q_), mpq_numref(q_), power);
    else
      mpz_set(mpq_denref(q_), power);
    mpz_clear(power);
    mpq_canonicalize(q_);
    if (negative) mpq_neg(q_, q_);
    return true;
  }

 private:
  mpq_t q_;
};

std::string IntegerText(mpz_srcptr z) {
  std::string t(mpz_sizeinbase(z, 10) + 2, '\0');
  mpz_get_str(t.data(), 10, z);
  t.resize(std::char_traits<char>::length(t.c_str()));
  return t;
}

// `digits` after the point, half away from zero (big.Rat.FloatString).
std::string FixedText(mpq_srcptr q, unsigned digits) {
  mpz_t n, d;
  mpz_init(n);
  mpz_init(d);
  mpz_ui_pow_ui(n, 10, digits);
  mpz_mul(n, n, mpq_numref(q));
  mpz_mul_2exp(n, n, 1);
  mpz_mul_2exp(d, mpq_denref(q), 1);
  bool negative = mpz_sgn(n) < 0;
  mpz_abs(n, n);
  mpz_add(n, n, mpq_denref(q));
  mpz_tdiv_q(n, n, d);
  std::string t = IntegerText(n);
  mpz_clear(n);
  mpz_clear(d);
  if (t.size() <= digits) t.insert(0, digits + 1 - t.size(), '0');
  t.insert(t.size() - digits, ".");
  return (negative ? "-" : "") + t;
}

std::string WithoutQuotes(std::string_view s) {
  std::string out(s);
  std::erase(out, '"');
  return out;
}

struct UnitPrefix {
  char letter;
  unsigned power;
};
constexpr UnitPrefix kPrefixes[] = {{'k', 1}, {'m', 2}, {'g', 3}, {'t', 4}, {'p', 5}, {'e', 6}};

// Multiplies by the factor of a prefix letter; false when it is none.
bool Scale(Rational& r, char letter, bool binary) {
  for (const UnitPrefix& p : kPrefixes) {
    if (p.letter != letter) continue;
    Rational factor;
    mpz_ui_pow_ui(mpq_numref(factor.get()), binary ? 1024 : 1000, p.power);
    mpq_mul(r.get(), r.get(), factor.get());
    return true;
  }
  return false;
}

Value ParseBytes(Call& c) {
  std::string_view raw;
  if (!TakeString(c, 0, raw)) return Value();
  std::string s = WithoutQuotes(raw);
  std::transform(s.begin(), s.end(), s.begin(),
                 [](char ch) { return static_cast<char>(ch >= 'A' && ch <= 'Z' ? ch + 32 : ch); });
  auto fail = [&](const std::string& why) { return c.Fail("units.parse_bytes: " + why); };
  if (s.find(' ') != std::string::npos) return fail("spaces not allowed in resource strings");
  std::string_view number, unit;
  if (!SplitUnit(s, number, unit)) return fail("exponent too large");
  if (number.empty()) return fail("no byte amount provided");
  std::string_view u = unit;
  if (u.size() > 1 && u.ends_with('b')) u.remove_suffix(1);
  bool binary = u.size() == 2 && u[1] == 'i';
  Rational r, one;
  bool known = unit.empty();
  mpq_set_ui(one.get(), 1, 1);
  if (!known && (u.size() == 1 || binary)) known = Scale(one, u[0], binary);
  if (!known) return fail("byte unit " + std::string(unit) + " not recognized");
  if (!r.Set(number)) return fail("could not parse byte amount to a number");
  mpq_mul(r.get(), r.get(), one.get());
  mpz_t whole;
  mpz_init(whole);
  mpz_tdiv_q(whole, mpq_numref(r.get()), mpq_denref(r.get()));
  std::string text = IntegerText(whole);
  mpz_clear(whole);
  return *ParseNumber(c.arena, text);
}

Value ParseUnits(Call& c) {
  std::string_view raw;
  if (!TakeString(c, 0, raw)) return Value();
  std::string s = WithoutQuotes(raw);
  auto fail = [&](const std::string& why) { return c.Fail("units.parse: " + why); };
  if (s.find(' ') != std::string::npos) return fail("spaces not allowed in resource strings");
  std::string_view number, unit;
  if (!SplitUnit(s, number, unit)) return fail("exponent too large");
  if (number.empty()) return fail("no amount provided");
  // m is milli, M is mega; otherwise case does not matter.
  std::string u(unit);
  for (size_t i = 1; i < u.size(); ++i) u[i] = static_cast<char>(u[i] >= 'A' && u[i] <= 'Z' ? u[i] + 32 : u[i]);
  Rational factor, r;
  mpq_set_ui(factor.get(), 1, 1);
  bool known = u.empty();
  if (u == "m") {
    mpq_set_d(factor.get(), 0.001);
    known = true;
  } else if (u.size() == 1 || (u.size() == 2 && u[1] == 'i')) {
    known = Scale(factor, static_cast<char>(u[0] | 32), u.size() == 2);
  }
  if (!known) return fail("unit " + u + " not recognized");
  if (!r.Set(number)) return fail("could not parse amount to a number");
  mpq_mul(r.get(), r.get(), factor.get());
  std::string text =
      mpz_cmp_ui(mpq_denref(r.get()), 1) == 0 ? IntegerText(mpq_numref(r.get())) : FixedText(r.get(), 10);
  return *ParseNumber(c.arena, text);
}

struct Semver {
  std::array<int64_t, 3> parts{};
  std::string_view pre;
};

bool Identifiers(std::string_view s) {
  if (s.empty() || s.front() == '.' || s.back() == '.' || s.find("..") != std::string_view::npos) return false;
  return std::all_of(s.begin(), s.end(),
                     [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.'; });
}

std::optional<Semver> ParseSemver(std::string_view s) {
  Semver v;
  if (s.starts_with('v')) s.remove_prefix(1);
  if (size_t plus = s.find('+'); plus != std::string_view::npos) {
    std::string_view meta = s.substr(plus + 1);
    if (!meta.empty() && !Identifiers(meta)) return std::nullopt;
    s = s.substr(0, plus);
  }
  if (size_t dash = s.find('-'); dash != std::string_view::npos) {
    v.pre = s.substr(dash + 1);
    if (!v.pre.empty() && !Identifiers(v.pre)) return std::nullopt;
    s = s.substr(0, dash);
  }
  if (std::count(s.begin(), s.end(), '.') != 2) return std::nullopt;
  for (size_t i = 0; i < 3; ++i) {
    size_t dot = s.find('.');
    std::string_view part = s.substr(0, dot);
    if (part.starts_with('+')) part.remove_prefix(1);
    auto r = std::from_chars(part.data(), part.data() + part.size(), v.parts[i]);
    if (part.empty() || r.ec != std::errc() || r.ptr != part.data() + part.size()) return std::nullopt;
    s = dot == std::string_view::npos ? std::string_view() : s.substr(dot + 1);
  }
  return v;
}

int ComparePre(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return a.empty() && b.empty() ? 0 : a.empty() ? 1 : -1;
  while (true) {
    std::string_view x = a.substr(0, a.find('.')), y = b.substr(0, b.find('.'));
    bool xn = std::all_of(x.begin(), x.end(), IsDigit), yn = std::all_of(y.begin(), y.end(), IsDigit);
    if (xn != yn) return xn ? -1 : 1;
    if (xn && x.size() != y.size() && x.size() < 18 && y.size() < 18) {
      long long p = std::stoll(std::string(x)), q = std::stoll(std::string(y));
      if (p != q) return p < q ? -1 : 1;
    } else if (int c = x.compare(y); c != 0) {
      return c < 0 ? -1 : 1;
    }
    bool a_end = x.size() == a.size(), b_end = y.size() == b.size();
    if (a_end || b_end) return a_end && b_end ? 0 : a_end ? -1 : 1;
    a.remove_prefix(x.size() + 1);
    b.remove_prefix(y.size() + 1);
  }
}

Value SemverCompare(Call& c) {
  std::string_view a, b;
  if (!TakeString(c, 0, a) || !TakeString(c, 1, b)) return Value();
  auto x = ParseSemver(a), y = ParseSemver(b);
  auto invalid = [&](int operand, const Value& v) {
    return c.Fail("operand " + std::to_string(operand) + ": string " + ToRego(v) + " is not a valid SemVer");
  };
  if (!x) return invalid(1, c[0]);
  if (!y) return invalid(2, c[1]);
  if (x->parts != y->parts) return Value::Int(x->parts < y->parts ? -1 : 1);
  return Value::Int(ComparePre(x->pre, y->pre));
}
Value SemverIsValid(Call& c) { return Value::Bool(c[0].is_string() && ParseSemver(c[0].text()).has_value()); }

std::string UuidText(const std::array<uint8_t, 16>& u) {
  std::string hex = HexEncode(u);
  return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" + hex.substr(16, 4) + "-" +
         hex.substr(20);
}

Value UuidRfc4122(Call& c) {
  std::string_view name;
  if (!TakeString(c, 0, name)) return Value();
  std::array<uint8_t, 16> u;
  c.services.random.Fill(u);
  u[6] = static_cast<uint8_t>((u[6] & 0x0F) | 0x40);
  u[8] = static_cast<uint8_t>((u[8] & 0x3F) | 0x80);
  return c.Text(UuidText(u));
}

// The forms that google/uuid reads: plain, urn:uuid:, braces, and 32 bare digits.
bool ParseUuid(std::string_view s, std::array<uint8_t, 16>& out) {
  std::string lower(s);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char ch) { return static_cast<char>(ch >= 'A' && ch <= 'Z' ? ch + 32 : ch); });
  if (s.size() == 45 && lower.starts_with("urn:uuid:"))
    s.remove_prefix(9);
  else if (s.size() == 38)
    s = s.substr(1, 36);
  std::string hex;
  if (s.size() == 36) {
    if (s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-') return false;
    for (size_t i = 0; i < 36; ++i) {
      if (i != 8 && i != 13 && i != 18 && i != 23) hex += s[i];
    }
  } else if (s.size() == 32) {
    hex = s;
  } else {
    return false;
  }
  auto bytes = HexDecode(hex);
  if (!bytes.ok() || bytes->size() != 16) return false;
  std::copy(bytes->begin(), bytes->end(), out.begin());
  return true;
}

Value UuidParse(Call& c) {
  std::string_view s;
  std::array<uint8_t, 16> u;
  if (!TakeString(c, 0, s) || !ParseUuid(s, u)) return Value();
  ObjectBuilder out(c.arena, 8);
  int version = u[6] >> 4;
  out.Add("version", Value::Int(version));
  std::string_view variant = (u[8] & 0xC0) == 0x80   ? "RFC4122"
                             : (u[8] & 0xE0) == 0xC0 ? "Microsoft"
                             : (u[8] & 0xE0) == 0xE0 ? "Future"
                                                     : "Reserved";
  out.Add("variant", c.Text(variant));
  if (version == 1 || version == 2) {
    auto be = [&](size_t at, size_t n) {
      uint64_t v = 0;
      for (size_t i = 0; i < n; ++i) v = v << 8 | u[at + i];
      return static_cast<int64_t>(v);
    };
    // 100 ns steps since 1582-10-15 (RFC 4122 section 4.1.4).
    constexpr int64_t kEpochSteps = 122192928000000000;
    int64_t steps = be(0, 4) | be(4, 2) << 32 | (be(6, 2) & 0x0FFF) << 48;
    out.Add("time", Value::Int((steps - kEpochSteps) * 100));
    std::string mac;
    for (size_t i = 10; i < 16; ++i) mac += (i > 10 ? "-" : "") + HexEncode(ByteView(&u[i], 1));
    out.Add("nodeid", c.Text(mac));
    std::string_view kinds[] = {"global:unicast", "global:multicast", "local:unicast", "local:multicast"};
    out.Add("macvariables", c.Text(kinds[u[10] & 3]));
    out.Add("clocksequence", Value::Int(be(8, 2) & 0x3FFF));
    if (version == 2) {
      out.Add("id", Value::Int(be(0, 4)));
      std::string_view domains[] = {"Person", "Group", "Org"};
      out.Add("domain", c.Text(u[9] < 3 ? std::string(domains[u[9]]) : "Domain" + std::to_string(u[9])));
    }
  }
  return out.Finish();
}

}  // namespace

std::span<const Builtin> UnitBuiltins() {
  static constexpr Builtin kTable[] = {
      {.name = "units.parse", .arity = 1, .fn = ParseUnits},
      {.name = "units.parse_bytes", .arity = 1, .fn = ParseBytes},
      {.name = "semver.compare", .arity = 2, .fn = SemverCompare},
      {.name = "semver.is_valid", .arity = 1, .fn = SemverIsValid},
      {.name = "uuid.rfc4122", .arity = 1, .fn = UuidRfc4122, .nondeterministic = true},
      {.name = "uuid.parse", .arity = 1, .fn = UuidParse},
  };
  return kTable;
}

}  // namespace hexr::rego
