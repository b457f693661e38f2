// Arithmetic, bits, ranges, random numbers.
#include "policy/rego/builtins/support.h"

namespace hexr::rego {
namespace {

Value Operate(Call& c, Arith op) {
  Value a, b;
  if (!TakeNumber(c, 0, a) || !TakeNumber(c, 1, b)) return Value();
  ArithError e;
  Value out = Arithmetic(c.arena, op, a, b, e);
  switch (e) {
    case ArithError::kNone: return out;
    case ArithError::kDivideByZero: return c.Fail("divide by zero");
    case ArithError::kModuloByZero: return c.Fail("modulo by zero");
    case ArithError::kModuloFloat: return c.Fail("modulo on floating-point number");
  }
  return Value();
}
Value Plus(Call& c) { return Operate(c, Arith::kAdd); }
Value Mul(Call& c) { return Operate(c, Arith::kMul); }
Value Div(Call& c) { return Operate(c, Arith::kDiv); }
Value Rem(Call& c) { return Operate(c, Arith::kRem); }

template <Rounding how>
Value RoundBy(Call& c) {
  Value a;
  return TakeNumber(c, 0, a) ? Round(c.arena, how, a) : Value();
}

constexpr int64_t kMaxShift = 65536;  // bits of the widest integer a shift may make

template <BitOp op>
Value BitOf(Call& c) {
  Value a, b;
  if (!TakeWhole(c, 0, a)) return Value();
  if (op == BitOp::kNegate) return Bits(c.arena, op, a, a);
  if (!TakeWhole(c, 1, b)) return Value();
  if (op == BitOp::kLeft || op == BitOp::kRight) {
    if (CompareNumbers(b, Value::Int(0)) < 0) {
      return c.TypeError("operand 2 must be an unsigned integer number but got a negative integer");
    }
    if (CompareNumbers(b, Value::Int(kMaxShift)) > 0) {
      if (op == BitOp::kLeft) return c.Fail("shift is too large");
      return Value::Int(CompareNumbers(a, Value::Int(0)) < 0 ? -1 : 0);
    }
  }
  Value out = Bits(c.arena, op, a, b);
  return out.defined() ? out : c.Fail("integer is too large");
}

Value RangeOf(Call& c, const Value& step) {
  Value from, to;
  if (!TakeWhole(c, 0, from) || !TakeWhole(c, 1, to)) return Value();
  bool down = CompareNumbers(from, to) > 0;
  ArrayBuilder out(c.arena);
  ArithError e;
  for (Value v = from; down ? CompareNumbers(v, to) >= 0 : CompareNumbers(v, to) <= 0;
       v = Arithmetic(c.arena, down ? Arith::kSub : Arith::kAdd, v, step, e)) {
    if (!c.Reserve(2 * sizeof(Value))) return Value();
    out.Add(v);
  }
  return out.Finish();
}
Value Range(Call& c) { return RangeOf(c, Value::Int(1)); }
Value RangeStep(Call& c) {
  Value from, to, step;
  if (!TakeWhole(c, 0, from) || !TakeWhole(c, 1, to) || !TakeWhole(c, 2, step)) return Value();
  if (CompareNumbers(step, Value::Int(0)) <= 0) return c.Fail("step must be a positive integer");
  return RangeOf(c, step);
}

Value RandIntn(Call& c) {
  std::string_view name;
  int64_t n = 0;
  if (!TakeString(c, 0, name) || !TakeInt(c, 1, n)) return Value();
  if (n == 0) return Value::Int(0);
  return Value::Int(static_cast<int64_t>(
      c.services.random.Below(n < 0 ? uint64_t{0} - static_cast<uint64_t>(n) : static_cast<uint64_t>(n))));
}

}  // namespace

std::span<const Builtin> NumberBuiltins() {
  static constexpr Builtin kTable[] = {
      {.name = "plus", .arity = 2, .fn = Plus},
      {.name = "mul", .arity = 2, .fn = Mul},
      {.name = "div", .arity = 2, .fn = Div},
      {.name = "rem", .arity = 2, .fn = Rem},
      {.name = "round", .arity = 1, .fn = RoundBy<Rounding::kRound>},
      {.name = "ceil", .arity = 1, .fn = RoundBy<Rounding::kCeil>},
      {.name = "floor", .arity = 1, .fn = RoundBy<Rounding::kFloor>},
      {.name = "abs", .arity = 1, .fn = RoundBy<Rounding::kAbs>},
      {.name = "bits.and", .arity = 2, .fn = BitOf<BitOp::kAnd>},
      {.name = "bits.or", .arity = 2, .fn = BitOf<BitOp::kOr>},
      {.name = "bits.xor", .arity = 2, .fn = BitOf<BitOp::kXor>},
      {.name = "bits.lsh", .arity = 2, .fn = BitOf<BitOp::kLeft>},
      {.name = "bits.rsh", .arity = 2, .fn = BitOf<BitOp::kRight>},
      {.name = "bits.negate", .arity = 1, .fn = BitOf<BitOp::kNegate>},
      {.name = "numbers.range", .arity = 2, .fn = Range},
      {.name = "numbers.range_step", .arity = 3, .fn = RangeStep},
      {.name = "rand.intn", .arity = 2, .fn = RandIntn, .nondeterministic = true},
  };
  return kTable;
}

}  // namespace hexr::rego
