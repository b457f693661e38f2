#include "policy/rego/value/number.h"

#include <gmp.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "policy/rego/value/arena.h"

namespace hexr::rego {
namespace {

// A GMP integer that frees itself.
class BigInt {
 public:
  BigInt() { mpz_init(z_); }
  ~BigInt() { mpz_clear(z_); }
  BigInt(const BigInt&) = delete;
  BigInt& operator=(const BigInt&) = delete;
  mpz_ptr get() { return z_; }
  mpz_srcptr get() const { return z_; }

 private:
  mpz_t z_;
};

// Integers beyond this many digits are treated as floats, so that 1e999999999 costs nothing.
constexpr int64_t kMaxIntegerDigits = 4096;

struct Decimal {
  bool negative = false;
  std::string_view digits;
  int64_t exponent = 0;
};

Decimal ToDecimal(const Value& v, char (&buffer)[24]) {
  if (v.kind == Kind::kNum) return {v.num->negative, v.num->digits, v.num->exponent};
  auto end = std::to_chars(buffer, buffer + sizeof buffer, v.i).ptr;
  std::string_view t(buffer, static_cast<size_t>(end - buffer));
  Decimal d;
  if (t[0] == '-') {
    d.negative = true;
    t.remove_prefix(1);
  }
  if (t == "0") return {};
  d.exponent = static_cast<int64_t>(t.size());
  while (t.back() == '0') t.remove_suffix(1);
  d.digits = t;
  return d;
}

Value Make(Arena& arena, std::string_view text, Decimal d) {
  auto* n = arena.New<Num>();
  *n = Num{arena.Copy(text), arena.Copy(d.digits), d.exponent, d.negative};
  return Value::Of(n);
}

// Whole number with |value| small enough to hold exactly.
bool ToBig(const Value& v, BigInt& out) {
  if (v.kind == Kind::kInt) {
    mpz_set_si(out.get(), v.i);
    return true;
  }
  const Num& n = *v.num;
  if (n.digits.empty()) {
    mpz_set_si(out.get(), 0);
    return true;
  }
  if (!IsInteger(v) || n.exponent > kMaxIntegerDigits) return false;
  std::string t(n.digits);
  t.append(static_cast<size_t>(n.exponent) - n.digits.size(), '0');
  mpz_set_str(out.get(), t.c_str(), 10);
  if (n.negative) mpz_neg(out.get(), out.get());
  return true;
}

std::string BigText(const BigInt& z, int base = 10) {
  std::string t(mpz_sizeinbase(z.get(), base) + 2, '\0');
  mpz_get_str(t.data(), base, z.get());
  t.resize(std::strlen(t.c_str()));
  return t;
}

Value FromBig(Arena& arena, const BigInt& z) {
  if (mpz_fits_slong_p(z.get())) return Value::Int(mpz_get_si(z.get()));
  return *ParseNumber(arena, BigText(z));
}

long double ToLong(const Value& v) {
  if (v.kind == Kind::kInt) return static_cast<long double>(v.i);
  return std::strtold(std::string(v.num->text).c_str(), nullptr);
}

// The shortest decimal that reads back as the same value, in Go's 'g' form (or 'f' for whole numbers).
Value FromLong(Arena& arena, long double x) {
  if (x == 0) return Value::Int(0);
  if (std::isinf(x) || std::isnan(x)) return *ParseNumber(arena, x < 0 ? "-1e4932" : "1e4932");
  char text[64];
  int precision = 0;
  for (precision = 1; precision <= 21; ++precision) {
    std::snprintf(text, sizeof text, "%.*Le", precision - 1, x);
    if (std::strtold(text, nullptr) == x) break;
  }
  std::string_view t(text);
  bool negative = t[0] == '-';
  if (negative) t.remove_prefix(1);
  size_t e = t.find('e');
  int64_t exponent = std::atoi(std::string(t.substr(e + 1)).c_str());
  std::string digits;
  for (char c : t.substr(0, e)) {
    if (IsDigit(c)) digits += c;
  }
  while (digits.size() > 1 && digits.back() == '0') digits.pop_back();
  auto count = static_cast<int64_t>(digits.size());
  std::string out = negative ? "-" : "";
  bool whole = x == std::trunc(x);
  // Go: %e is used when the exponent is below -4 or at least 21 (for the shortest form).
  if (!whole && (exponent < -4 || exponent >= std::max<int64_t>(count, 21))) {
    out += digits[0];
    if (count > 1) out += "." + digits.substr(1);
    out += exponent < 0 ? "e-" : "e+";
    std::string ex = std::to_string(exponent < 0 ? -exponent : exponent);
    out += (ex.size() < 2 ? "0" : "") + ex;
  } else if (exponent < 0) {
    out += "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  } else if (count <= exponent + 1) {
    out += digits + std::string(static_cast<size_t>(exponent + 1 - count), '0');
  } else {
    out += digits.substr(0, static_cast<size_t>(exponent) + 1) + "." + digits.substr(static_cast<size_t>(exponent) + 1);
  }
  return *ParseNumber(arena, out);
}

}  // namespace

std::optional<Value> ParseNumber(Arena& arena, std::string_view text) {
  if (text.size() <= 18 && !text.empty()) {
    // The usual case: a short integer.
    int64_t n = 0;
    auto r = std::from_chars(text.data(), text.data() + text.size(), n);
    if (r.ec == std::errc() && r.ptr == text.data() + text.size()) {
      std::string_view digits = text[0] == '-' ? text.substr(1) : text;
      if (digits.size() > 1 && digits[0] == '0') return std::nullopt;
      if (text == "-0") return Make(arena, text, {});
      return Value::Int(n);
    }
  }
  std::string_view t = text;
  Decimal d;
  if (!t.empty() && t[0] == '-') {
    d.negative = true;
    t.remove_prefix(1);
  }
  size_t i = 0;
  std::string digits;
  while (i < t.size() && IsDigit(t[i])) digits += t[i++];
  if (i == 0 || (i > 1 && t[0] == '0')) return std::nullopt;
  auto whole = static_cast<int64_t>(i);
  bool plain = true;
  if (i < t.size() && t[i] == '.') {
    plain = false;
    size_t start = ++i;
    while (i < t.size() && IsDigit(t[i])) digits += t[i++];
    if (i == start) return std::nullopt;
  }
  int64_t exponent = 0;
  if (i < t.size() && (t[i] == 'e' || t[i] == 'E')) {
    plain = false;
    ++i;
    bool minus = false;
    if (i < t.size() && (t[i] == '+' || t[i] == '-')) minus = t[i++] == '-';
    size_t start = i;
    while (i < t.size() && IsDigit(t[i]))
      exponent = exponent * 10 + (t[i++] - '0'), exponent = std::min<int64_t>(exponent, 9999999999);
    if (i == start || exponent > 999999999) return std::nullopt;
    if (minus) exponent = -exponent;
  }
  if (i != t.size()) return std::nullopt;
  size_t zeros = std::min(digits.find_first_not_of('0'), digits.size());
  size_t last = digits.find_last_not_of('0');
  if (last == std::string::npos) return plain && !d.negative ? Value::Int(0) : Make(arena, text, {});
  d.exponent = whole + exponent - static_cast<int64_t>(zeros);
  std::string core = digits.substr(zeros, last + 1 - zeros);
  d.digits = core;
  if (plain && d.exponent <= 19) {
    int64_t n = 0;
    auto r = std::from_chars(text.data(), text.data() + text.size(), n);
    if (r.ec == std::errc() && r.ptr == text.data() + text.size()) return Value::Int(n);
  }
  return Make(arena, text, d);
}

void AppendNumber(const Value& number, std::string& out) {
  if (number.kind == Kind::kNum) {
    out += number.num->text;
    return;
  }
  char buffer[24];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, number.i).ptr;
  out.append(buffer, static_cast<size_t>(end - buffer));
}

std::string NumberText(const Value& number) {
  std::string out;
  AppendNumber(number, out);
  return out;
}

int CompareNumbers(const Value& a, const Value& b) {
  if (a.kind == Kind::kInt && b.kind == Kind::kInt) return a.i < b.i ? -1 : a.i > b.i;
  char ba[24], bb[24];
  Decimal x = ToDecimal(a, ba), y = ToDecimal(b, bb);
  int sx = x.digits.empty() ? 0 : x.negative ? -1 : 1, sy = y.digits.empty() ? 0 : y.negative ? -1 : 1;
  if (sx != sy) return sx < sy ? -1 : 1;
  if (sx == 0) return 0;
  int c = 0;
  if (x.exponent != y.exponent) {
    c = x.exponent < y.exponent ? -1 : 1;
  } else {
    c = x.digits.compare(y.digits);
    c = c < 0 ? -1 : c > 0;
  }
  return c * sx;
}

uint32_t HashNumber(const Value& num) {
  if (auto n = ToInt64(num)) return Hash(Value::Int(*n));
  return HashPair(HashText(num.num->digits), static_cast<uint64_t>(num.num->exponent) * 2 + num.num->negative);
}

std::optional<int64_t> ToInt64(const Value& number) {
  if (number.kind == Kind::kInt) return number.i;
  if (number.kind != Kind::kNum || !IsInteger(number) || number.num->exponent > 19) return std::nullopt;
  const Num& n = *number.num;
  if (n.digits.empty()) return 0;
  char t[24];
  size_t at = 0;
  if (n.negative) t[at++] = '-';
  for (char c : n.digits) t[at++] = c;
  for (auto k = static_cast<int64_t>(n.digits.size()); k < n.exponent; ++k) t[at++] = '0';
  int64_t out = 0;
  auto r = std::from_chars(t, t + at, out);
  if (r.ec != std::errc()) return std::nullopt;
  return out;
}

bool IsInteger(const Value& number) {
  return number.kind == Kind::kInt || static_cast<int64_t>(number.num->digits.size()) <= number.num->exponent ||
         number.num->digits.empty();
}

double ToDouble(const Value& number) {
  if (number.kind == Kind::kInt) return static_cast<double>(number.i);
  return std::strtod(std::string(number.num->text).c_str(), nullptr);
}

Value FromDouble(Arena& arena, double d) {
  if (d == std::trunc(d) && std::fabs(d) < 9e15) return Value::Int(static_cast<int64_t>(d));
  char text[64];
  auto end = std::to_chars(text, text + sizeof text, d).ptr;
  auto v = ParseNumber(arena, {text, static_cast<size_t>(end - text)});
  return v ? *v : Value::Int(0);
}

Value Arithmetic(Arena& arena, Arith op, const Value& a, const Value& b, ArithError& error) {
  error = ArithError::kNone;
  if (a.kind == Kind::kInt && b.kind == Kind::kInt) {
    int64_t r = 0;
    bool over = true;
    switch (op) {
      case Arith::kAdd: over = __builtin_add_overflow(a.i, b.i, &r); break;
      case Arith::kSub: over = __builtin_sub_overflow(a.i, b.i, &r); break;
      case Arith::kMul: over = __builtin_mul_overflow(a.i, b.i, &r); break;
      case Arith::kDiv:
        if (b.i == 0) {
          error = ArithError::kDivideByZero;
          return Value();
        }
        if (b.i != -1 && a.i % b.i == 0) {
          r = a.i / b.i;
          over = false;
        }
        break;
      case Arith::kRem:
        if (b.i == 0) {
          error = ArithError::kModuloByZero;
          return Value();
        }
        r = b.i == -1 ? 0 : a.i % b.i;
        over = false;
        break;
    }
    if (!over) return Value::Int(r);
  }
  BigInt x, y;
  if (ToBig(a, x) && ToBig(b, y)) {
    BigInt r;
    switch (op) {
      case Arith::kAdd: mpz_add(r.get(), x.get(), y.get()); return FromBig(arena, r);
      case Arith::kSub: mpz_sub(r.get(), x.get(), y.get()); return FromBig(arena, r);
      case Arith::kMul: mpz_mul(r.get(), x.get(), y.get()); return FromBig(arena, r);
      case Arith::kRem:
        if (mpz_sgn(y.get()) == 0) {
          error = ArithError::kModuloByZero;
          return Value();
        }
        mpz_tdiv_r(r.get(), x.get(), y.get());
        return FromBig(arena, r);
      case Arith::kDiv:
        if (mpz_sgn(y.get()) == 0) {
          error = ArithError::kDivideByZero;
          return Value();
        }
        if (mpz_divisible_p(x.get(), y.get())) {
          mpz_divexact(r.get(), x.get(), y.get());
          return FromBig(arena, r);
        }
        break;
    }
  }
  if (op == Arith::kRem) {
    error = ArithError::kModuloFloat;
    return Value();
  }
  long double p = ToLong(a), q = ToLong(b);
  switch (op) {
    case Arith::kAdd: return FromLong(arena, p + q);
    case Arith::kSub: return FromLong(arena, p - q);
    case Arith::kMul: return FromLong(arena, p * q);
    case Arith::kDiv:
      if (q == 0) {
        error = ArithError::kDivideByZero;
        return Value();
      }
      return FromLong(arena, p / q);
    case Arith::kRem: break;
  }
  return Value();
}

Value Round(Arena& arena, Rounding how, const Value& a) {
  if (how == Rounding::kAbs) {
    if (a.kind == Kind::kInt && a.i != INT64_MIN) return Value::Int(a.i < 0 ? -a.i : a.i);
    std::string t = NumberText(a);
    if (t[0] == '-') t.erase(0, 1);
    return *ParseNumber(arena, t);
  }
  if (a.kind == Kind::kInt) return a;
  if (IsInteger(a)) {
    BigInt z;
    return ToBig(a, z) ? FromBig(arena, z) : a;
  }
  const Num& n = *a.num;
  // 0.DIGITS × 10^exponent with digits beyond the point: cut, then correct by the fraction.
  auto whole = static_cast<size_t>(std::max<int64_t>(n.exponent, 0));
  std::string cut = whole == 0 ? "0" : std::string(n.digits.substr(0, whole));
  BigInt z;
  mpz_set_str(z.get(), cut.c_str(), 10);
  bool up = false;
  if (how == Rounding::kRound) up = n.exponent >= 0 && n.digits[whole] >= '5';
  if (how == Rounding::kCeil) up = !n.negative;
  if (how == Rounding::kFloor) up = n.negative;
  if (up) mpz_add_ui(z.get(), z.get(), 1);
  if (n.negative) mpz_neg(z.get(), z.get());
  return FromBig(arena, z);
}

Value Bits(Arena& arena, BitOp op, const Value& a, const Value& b) {
  BigInt x, y, r;
  if (!ToBig(a, x) || (op != BitOp::kNegate && !ToBig(b, y))) return Value();
  switch (op) {
    case BitOp::kAnd: mpz_and(r.get(), x.get(), y.get()); break;
    case BitOp::kOr: mpz_ior(r.get(), x.get(), y.get()); break;
    case BitOp::kXor: mpz_xor(r.get(), x.get(), y.get()); break;
    case BitOp::kLeft: mpz_mul_2exp(r.get(), x.get(), mpz_get_ui(y.get())); break;
    case BitOp::kRight: mpz_fdiv_q_2exp(r.get(), x.get(), mpz_get_ui(y.get())); break;
    case BitOp::kNegate: mpz_com(r.get(), x.get()); break;
  }
  return FromBig(arena, r);
}

std::string FormatInteger(const Value& number, int base) {
  BigInt z;
  if (!ToBig(number, z)) {
    const Num& n = *number.num;
    auto whole = static_cast<size_t>(std::clamp<int64_t>(n.exponent, 0, static_cast<int64_t>(n.digits.size())));
    std::string cut(n.digits.substr(0, whole));
    mpz_set_str(z.get(), cut.empty() ? "0" : cut.c_str(), 10);
    if (n.negative) mpz_neg(z.get(), z.get());
  }
  return BigText(z, base);
}

std::optional<Value> ParseInteger(Arena& arena, std::string_view text, int base) {
  if (text.empty() || text.size() > kMaxIntegerDigits) return std::nullopt;
  std::string t(text);
  if (t[0] == '+') t.erase(0, 1);
  BigInt z;
  if (t.empty() || t.find_first_of(" \t\n") != std::string::npos || mpz_set_str(z.get(), t.c_str(), base) != 0)
    return std::nullopt;
  return FromBig(arena, z);
}

}  // namespace hexr::rego
