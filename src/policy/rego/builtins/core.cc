// Comparison, sets, arrays, aggregates, types and conversions.
#include <algorithm>

#include "policy/rego/builtins/support.h"

namespace hexr::rego {
namespace {

Value SetUnion(Arena& arena, const Set& a, const Set& b) {
  auto* out = arena.New<Value>(a.size + b.size);
  uint32_t n = 0, i = 0, j = 0;
  while (i < a.size || j < b.size) {
    int c = i == a.size ? 1 : j == b.size ? -1 : Compare(a.items[i], b.items[j]);
    out[n++] = c <= 0 ? a.items[i] : b.items[j];
    i += c <= 0;
    j += c >= 0;
  }
  return MakeSortedSet(arena, out, n);
}
Value SetIntersection(Arena& arena, const Set& a, const Set& b) {
  auto* out = arena.New<Value>(std::min(a.size, b.size));
  uint32_t n = 0;
  for (uint32_t i = 0; i < a.size; ++i) {
    if (Find(b, a.items[i]) >= 0) out[n++] = a.items[i];
  }
  return MakeSortedSet(arena, out, n);
}
Value SetDifference(Arena& arena, const Set& a, const Set& b) {
  auto* out = arena.New<Value>(a.size);
  uint32_t n = 0;
  for (uint32_t i = 0; i < a.size; ++i) {
    if (Find(b, a.items[i]) < 0) out[n++] = a.items[i];
  }
  return MakeSortedSet(arena, out, n);
}

Value Eq(Call& c) { return Value::Bool(Equal(c[0], c[1])); }
Value Neq(Call& c) { return Value::Bool(!Equal(c[0], c[1])); }
Value Lt(Call& c) { return Value::Bool(Compare(c[0], c[1]) < 0); }
Value Lte(Call& c) { return Value::Bool(Compare(c[0], c[1]) <= 0); }
Value Gt(Call& c) { return Value::Bool(Compare(c[0], c[1]) > 0); }
Value Gte(Call& c) { return Value::Bool(Compare(c[0], c[1]) >= 0); }

Value And(Call& c) {
  const Set *a, *b;
  if (!TakeSet(c, 0, a) || !TakeSet(c, 1, b)) return Value();
  return SetIntersection(c.arena, *a, *b);
}
Value Or(Call& c) {
  const Set *a, *b;
  if (!TakeSet(c, 0, a) || !TakeSet(c, 1, b)) return Value();
  return SetUnion(c.arena, *a, *b);
}
Value SetDiff(Call& c) {
  const Set *a, *b;
  if (!TakeSet(c, 0, a) || !TakeSet(c, 1, b)) return Value();
  return SetDifference(c.arena, *a, *b);
}
Value Minus(Call& c) {
  if (c[0].is_number() && c[1].is_number()) {
    ArithError e;
    return Arithmetic(c.arena, Arith::kSub, c[0], c[1], e);
  }
  if (c[0].is_set() && c[1].is_set()) return SetDifference(c.arena, *c[0].set, *c[1].set);
  if (!c[0].is_number() && !c[0].is_set()) return c.WrongType(0, "one of {number, set}");
  return c.WrongType(1, c[1].is_number() ? "set" : "number");
}

// The sets inside a set.
bool SetOfSets(Call& c, const Set*& outer) {
  if (!TakeSet(c, 0, outer)) return false;
  for (const Value& v : outer->view()) {
    if (!v.is_set()) {
      WrongElement(c, 0, v, "set");
      return false;
    }
  }
  return true;
}
Value Union(Call& c) {
  const Set* outer;
  if (!SetOfSets(c, outer)) return Value();
  Value out = EmptySet();
  for (const Value& v : outer->view()) out = SetUnion(c.arena, *out.set, *v.set);
  return out;
}
Value Intersection(Call& c) {
  const Set* outer;
  if (!SetOfSets(c, outer)) return Value();
  if (outer->size == 0) return EmptySet();
  Value out = outer->items[0];
  for (uint32_t i = 1; i < outer->size; ++i) out = SetIntersection(c.arena, *out.set, *outer->items[i].set);
  return out;
}

Value ArrayConcat(Call& c) {
  const Arr *a, *b;
  if (!TakeArray(c, 0, a) || !TakeArray(c, 1, b) || !c.Reserve((a->size + size_t{b->size}) * sizeof(Value)))
    return Value();
  ArrayBuilder out(c.arena, a->size + b->size);
  for (const Value& v : a->view()) out.Add(v);
  for (const Value& v : b->view()) out.Add(v);
  return out.Finish();
}
Value ArrayFlatten(Call& c) {
  const Arr* a;
  if (!TakeArray(c, 0, a)) return Value();
  ArrayBuilder out(c.arena, a->size);
  for (const Value& v : a->view()) {
    if (!v.is_array()) {
      out.Add(v);
      continue;
    }
    for (const Value& inner : v.arr->view()) out.Add(inner);
  }
  return out.Finish();
}
Value ArraySlice(Call& c) {
  const Arr* a;
  int64_t from = 0, to = 0;
  if (!TakeArray(c, 0, a) || !TakeInt(c, 1, from) || !TakeInt(c, 2, to)) return Value();
  to = std::clamp<int64_t>(to, 0, a->size);
  from = std::clamp<int64_t>(from, 0, to);
  return MakeArray(c.arena, a->view().subspan(static_cast<size_t>(from), static_cast<size_t>(to - from)));
}
Value ArrayReverse(Call& c) {
  const Arr* a;
  if (!TakeArray(c, 0, a)) return Value();
  ArrayBuilder out(c.arena, a->size);
  for (uint32_t i = a->size; i > 0; --i) out.Add(a->items[i - 1]);
  return out.Finish();
}

Value Count(Call& c) {
  const Value& v = c[0];
  switch (v.kind) {
    case Kind::kArray: return Value::Int(v.arr->size);
    case Kind::kObject: return Value::Int(v.obj->size);
    case Kind::kSet: return Value::Int(v.set->size);
    case Kind::kString: return Value::Int(static_cast<int64_t>(RuneCount(v.text())));
    default: return c.WrongType(0, "one of {array, object, set, string}");
  }
}
Value FoldNumbers(Call& c, Arith op, int64_t start) {
  bool ok = false;
  auto items = Elements(c[0], ok);
  if (!ok) return c.WrongType(0, "one of {set, array}");
  Value out = Value::Int(start);
  for (const Value& v : items) {
    if (!v.is_number()) return WrongElement(c, 0, v, "number");
    ArithError e;
    out = Arithmetic(c.arena, op, out, v, e);
  }
  return out;
}
Value Sum(Call& c) { return FoldNumbers(c, Arith::kAdd, 0); }
Value Product(Call& c) { return FoldNumbers(c, Arith::kMul, 1); }
Value Extreme(Call& c, int sign) {
  bool ok = false;
  auto items = Elements(c[0], ok);
  if (!ok) return c.WrongType(0, "one of {set, array}");
  if (items.empty()) return Value();
  Value best = items[0];
  for (const Value& v : items) {
    if (Compare(v, best) * sign >= 0) best = v;
  }
  return best;
}
Value Max(Call& c) { return Extreme(c, 1); }
Value Min(Call& c) { return Extreme(c, -1); }
Value Sort(Call& c) {
  bool ok = false;
  auto items = Elements(c[0], ok);
  if (!ok) return c.WrongType(0, "one of {set, array}");
  ArrayBuilder out(c.arena, items.size());
  for (const Value& v : items) out.Add(v);
  if (items.size() > 1)
    std::stable_sort(&out[0], &out[0] + items.size(), [](const Value& a, const Value& b) { return Compare(a, b) < 0; });
  return out.Finish();
}
Value All(Call& c) {
  bool ok = false;
  auto items = Elements(c[0], ok);
  if (!ok) return c.WrongType(0, "one of {array, set}");
  return Value::Bool(std::all_of(items.begin(), items.end(), [](const Value& v) { return v.is_true(); }));
}
Value Any(Call& c) {
  bool ok = false;
  auto items = Elements(c[0], ok);
  if (!ok) return c.WrongType(0, "one of {array, set}");
  return Value::Bool(std::any_of(items.begin(), items.end(), [](const Value& v) { return v.is_true(); }));
}
Value Member2(Call& c) {
  const Value& in = c[1];
  if (in.is_set()) return Value::Bool(Find(*in.set, c[0]) >= 0);
  std::span<const Value> items;
  if (in.is_array()) items = in.arr->view();
  if (in.is_object()) items = {in.obj->values, in.obj->size};
  return Value::Bool(std::any_of(items.begin(), items.end(), [&](const Value& v) { return Equal(v, c[0]); }));
}
Value Member3(Call& c) {
  Value found = Lookup(c[2], c[0]);
  return Value::Bool(found.defined() && Equal(found, c[1]));
}

Value TypeName(Call& c) { return c.Text(KindName(c[0])); }
template <Kind k>
Value Is(Call& c) {
  return Value::Bool(c[0].kind == k);
}
Value IsNumber(Call& c) { return Value::Bool(c[0].is_number()); }

Value ToNumber(Call& c) {
  const Value& v = c[0];
  if (v.kind == Kind::kNull) return Value::Int(0);
  if (v.kind == Kind::kBool) return Value::Int(v.i);
  if (v.is_number()) return v;
  if (!v.is_string()) return c.WrongType(0, "one of {null, boolean, number, string}");
  std::string_view t = v.text();
  std::string_view bare = t;
  while (!bare.empty() && (bare[0] == '+' || bare[0] == '-')) bare.remove_prefix(1);
  std::string lower(bare);
  for (char& ch : lower) ch = static_cast<char>(ch >= 'A' && ch <= 'Z' ? ch + 32 : ch);
  if (lower == "inf" || lower == "infinity" || lower == "nan") return c.WrongType(0, "valid number string");
  // Go's ParseFloat is laxer than JSON: a leading plus or zeros, a bare point.
  std::string fixed(t);
  if (!fixed.empty() && fixed[0] == '+') fixed.erase(0, 1);
  bool negative = !fixed.empty() && fixed[0] == '-';
  if (negative) fixed.erase(0, 1);
  while (fixed.size() > 1 && fixed[0] == '0' && fixed[1] >= '0' && fixed[1] <= '9') fixed.erase(0, 1);
  if (!fixed.empty() && fixed[0] == '.') fixed.insert(0, "0");
  if (size_t dot = fixed.find('.');
      dot != std::string::npos && (dot + 1 == fixed.size() || fixed[dot + 1] == 'e' || fixed[dot + 1] == 'E')) {
    fixed.insert(dot + 1, "0");
  }
  if (negative) fixed.insert(0, "-");
  if (auto n = ParseNumber(c.arena, fixed)) return *n;
  std::string quoted;
  AppendGoQuoted(t, quoted);
  return c.Fail("strconv.ParseFloat: parsing " + quoted + ": invalid syntax");
}
template <Kind k>
Value Cast(Call& c) {
  static constexpr std::string_view kNames[] = {"",       "null",  "boolean", "number", "number",
                                                "string", "array", "object",  "set"};
  return c[0].kind == k ? c[0] : c.WrongType(0, kNames[static_cast<size_t>(k)]);
}
Value CastArray(Call& c) {
  bool ok = false;
  auto items = Elements(c[0], ok);
  return ok ? MakeArray(c.arena, items) : c.WrongType(0, "one of {array, set}");
}
Value CastSet(Call& c) {
  bool ok = false;
  auto items = Elements(c[0], ok);
  return ok ? MakeSet(c.arena, items) : c.WrongType(0, "one of {array, set}");
}

}  // namespace

std::span<const Builtin> CoreBuiltins() {
  static constexpr Builtin kTable[] = {
      {.name = "eq", .arity = 2, .fn = Eq},
      {.name = "assign", .arity = 2, .fn = Eq},
      {.name = "equal", .arity = 2, .fn = Eq},
      {.name = "neq", .arity = 2, .fn = Neq},
      {.name = "lt", .arity = 2, .fn = Lt},
      {.name = "lte", .arity = 2, .fn = Lte},
      {.name = "gt", .arity = 2, .fn = Gt},
      {.name = "gte", .arity = 2, .fn = Gte},
      {.name = "and", .arity = 2, .fn = And},
      {.name = "or", .arity = 2, .fn = Or},
      {.name = "minus", .arity = 2, .fn = Minus},
      {.name = "set_diff", .arity = 2, .fn = SetDiff, .deprecated = true},
      {.name = "union", .arity = 1, .fn = Union},
      {.name = "intersection", .arity = 1, .fn = Intersection},
      {.name = "array.concat", .arity = 2, .fn = ArrayConcat},
      {.name = "array.flatten", .arity = 1, .fn = ArrayFlatten},
      {.name = "array.slice", .arity = 3, .fn = ArraySlice},
      {.name = "array.reverse", .arity = 1, .fn = ArrayReverse},
      {.name = "count", .arity = 1, .fn = Count},
      {.name = "sum", .arity = 1, .fn = Sum},
      {.name = "product", .arity = 1, .fn = Product},
      {.name = "max", .arity = 1, .fn = Max},
      {.name = "min", .arity = 1, .fn = Min},
      {.name = "sort", .arity = 1, .fn = Sort},
      {.name = "all", .arity = 1, .fn = All, .deprecated = true},
      {.name = "any", .arity = 1, .fn = Any, .deprecated = true},
      {.name = "internal.member_2", .arity = 2, .fn = Member2},
      {.name = "internal.member_3", .arity = 3, .fn = Member3},
      {.name = "type_name", .arity = 1, .fn = TypeName},
      {.name = "is_null", .arity = 1, .fn = Is<Kind::kNull>},
      {.name = "is_boolean", .arity = 1, .fn = Is<Kind::kBool>},
      {.name = "is_number", .arity = 1, .fn = IsNumber},
      {.name = "is_string", .arity = 1, .fn = Is<Kind::kString>},
      {.name = "is_array", .arity = 1, .fn = Is<Kind::kArray>},
      {.name = "is_object", .arity = 1, .fn = Is<Kind::kObject>},
      {.name = "is_set", .arity = 1, .fn = Is<Kind::kSet>},
      {.name = "to_number", .arity = 1, .fn = ToNumber},
      {.name = "cast_array", .arity = 1, .fn = CastArray, .deprecated = true},
      {.name = "cast_set", .arity = 1, .fn = CastSet, .deprecated = true},
      {.name = "cast_string", .arity = 1, .fn = Cast<Kind::kString>, .deprecated = true},
      {.name = "cast_boolean", .arity = 1, .fn = Cast<Kind::kBool>, .deprecated = true},
      {.name = "cast_null", .arity = 1, .fn = Cast<Kind::kNull>, .deprecated = true},
      {.name = "cast_object", .arity = 1, .fn = Cast<Kind::kObject>, .deprecated = true},
  };
  return kTable;
}

}  // namespace hexr::rego
