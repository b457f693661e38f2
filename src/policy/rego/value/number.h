// Numbers as OPA has them: text-preserving, compared exactly; arithmetic on int64, then on integers of any size, then
// on binary floats of 64 bits of mantissa (Go's big.Float default, the x87 long double). Stateless.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "policy/rego/value/value.h"

namespace hexr::rego {

inline bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// A JSON number (RFC 8259 section 6); nothing when `text` is not one, or its exponent has more than 9 digits.
std::optional<Value> ParseNumber(Arena& arena, std::string_view text);
// As printed: the source's text.
std::string NumberText(const Value& number);
void AppendNumber(const Value& number, std::string& out);

int CompareNumbers(const Value& a, const Value& b);
uint32_t HashNumber(const Value& num);
// The value when it is a whole number within int64.
std::optional<int64_t> ToInt64(const Value& number);
// No fraction: 3, 3.0, 1e3.
bool IsInteger(const Value& number);
double ToDouble(const Value& number);
Value FromDouble(Arena& arena, double d);

enum class Arith : uint8_t { kAdd, kSub, kMul, kDiv, kRem };
enum class ArithError : uint8_t { kNone, kDivideByZero, kModuloByZero, kModuloFloat };
// `error` is set and the value undefined when the operation has no result.
Value Arithmetic(Arena& arena, Arith op, const Value& a, const Value& b, ArithError& error);

enum class Rounding : uint8_t { kRound, kCeil, kFloor, kAbs };
Value Round(Arena& arena, Rounding how, const Value& a);

enum class BitOp : uint8_t { kAnd, kOr, kXor, kLeft, kRight, kNegate };
// Two's-complement semantics of Go's big.Int on whole numbers. Shifts are bounded by the caller.
Value Bits(Arena& arena, BitOp op, const Value& a, const Value& b);
// The whole number in base 2, 8, 10 or 16, fraction cut.
std::string FormatInteger(const Value& number, int base);
// An integer literal in `base` (2 to 36) with optional sign; nothing when malformed.
std::optional<Value> ParseInteger(Arena& arena, std::string_view text, int base);

}  // namespace hexr::rego
