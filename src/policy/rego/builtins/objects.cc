// Objects: union, removal, filtering, look-up, subset, walk.
#include <algorithm>
#include <functional>

#include "policy/rego/builtins/support.h"

namespace hexr::rego {
namespace {

// Right wins; objects on both sides are merged.
Value Merge(Arena& arena, const Obj& a, const Obj& b) {
  ObjectBuilder out(arena, a.size + b.size);
  for (uint32_t i = 0; i < a.size; ++i) out.Add(a.keys[i], a.values[i]);
  for (uint32_t i = 0; i < b.size; ++i) {
    int64_t at = Find(a, b.keys[i]);
    Value v = b.values[i];
    if (at >= 0 && v.is_object() && a.values[at].is_object()) v = Merge(arena, *a.values[at].obj, *v.obj);
    out.Add(b.keys[i], v);
  }
  return out.Finish();
}

Value ObjectUnion(Call& c) {
  const Obj *a, *b;
  if (!TakeObject(c, 0, a) || !TakeObject(c, 1, b)) return Value();
  return Merge(c.arena, *a, *b);
}
Value ObjectUnionN(Call& c) {
  const Arr* all;
  if (!TakeArray(c, 0, all)) return Value();
  Value out = EmptyObject();
  for (const Value& v : all->view()) {
    if (!v.is_object()) return WrongElement(c, 0, v, "object");
  }
  for (const Value& v : all->view()) {
    if (!c.Reserve(v.obj->size * 2 * sizeof(Value))) return Value();
    out = Merge(c.arena, *out.obj, *v.obj);
  }
  return out;
}

// The keys that the second operand names.
bool Keys(Call& c, Value& out) {
  const Value& v = c[1];
  if (v.is_set()) {
    out = v;
  } else if (v.is_array()) {
    out = MakeSet(c.arena, v.arr->view());
  } else if (v.is_object()) {
    out = MakeSet(c.arena, {v.obj->keys, v.obj->size});
  } else {
    c.WrongType(1, "one of {object, set, array}");
    return false;
  }
  return true;
}
Value Pick(Call& c, bool wanted) {
  const Obj* o;
  Value keys;
  if (!TakeObject(c, 0, o) || !Keys(c, keys)) return Value();
  ObjectBuilder out(c.arena, o->size);
  for (uint32_t i = 0; i < o->size; ++i) {
    if ((Find(*keys.set, o->keys[i]) >= 0) == wanted) out.Add(o->keys[i], o->values[i]);
  }
  return out.Finish();
}
Value ObjectRemove(Call& c) { return Pick(c, false); }
Value ObjectFilter(Call& c) { return Pick(c, true); }

Value ObjectGet(Call& c) {
  const Obj* o;
  if (!TakeObject(c, 0, o)) return Value();
  Value at = c[0];
  if (c[1].is_array()) {
    for (const Value& step : c[1].arr->view()) {
      at = Lookup(at, step);
      if (!at.defined()) return c[2];
    }
    return at;
  }
  at = Lookup(at, c[1]);
  return at.defined() ? at : c[2];
}
Value ObjectKeys(Call& c) {
  const Obj* o;
  if (!TakeObject(c, 0, o)) return Value();
  return MakeSet(c.arena, {o->keys, o->size});
}

bool Subset(Call& c, const Value& super, const Value& sub);
bool SubsetObject(Call& c, const Obj& super, const Obj& sub) {
  for (uint32_t i = 0; i < sub.size; ++i) {
    int64_t at = Find(super, sub.keys[i]);
    if (at < 0) return false;
    const Value& a = super.values[at];
    const Value& b = sub.values[i];
    if (a.kind == b.kind && a.is_composite() ? !Subset(c, a, b) : !Equal(a, b)) return false;
  }
  return true;
}
// An array within an array: as a run of its elements.
bool SubsetArray(Call& c, std::span<const Value> super, std::span<const Value> sub) {
  if (sub.empty()) return true;
  if (sub.size() > super.size() || !c.Spend((super.size() - sub.size() + 1) * sub.size() / 16)) return false;
  for (size_t start = 0; start + sub.size() <= super.size(); ++start) {
    if (std::equal(sub.begin(), sub.end(), super.begin() + static_cast<std::ptrdiff_t>(start), Equal)) return true;
  }
  return false;
}
bool Subset(Call& c, const Value& super, const Value& sub) {
  if (super.is_object() && sub.is_object()) return SubsetObject(c, *super.obj, *sub.obj);
  if (super.is_array() && sub.is_array()) return SubsetArray(c, super.arr->view(), sub.arr->view());
  if (sub.is_set() && super.is_set()) {
    return std::all_of(sub.set->items, sub.set->items + sub.set->size,
                       [&](const Value& v) { return Find(*super.set, v) >= 0; });
  }
  return false;
}
Value ObjectSubset(Call& c) {
  const Value &super = c[0], &sub = c[1];
  if (super.is_array() && sub.is_set()) {
    auto items = super.arr->view();
    if (!c.Spend(uint64_t{super.arr->size} * sub.set->size / 16)) return Value();
    return Value::Bool(std::all_of(sub.set->items, sub.set->items + sub.set->size, [&](const Value& v) {
      return std::any_of(items.begin(), items.end(), [&](const Value& x) { return Equal(x, v); });
    }));
  }
  bool same = super.kind == sub.kind && super.is_composite();
  if (!same) return c.TypeError("both arguments object.subset must be of the same type or array and set");
  const bool within = Subset(c, super, sub);
  return c.failed() ? Value() : Value::Bool(within);
}

// [path, value] of the document and of everything below it.
Value Walk(Call& c) {
  ArrayBuilder out(c.arena, 16);
  std::vector<Value> path;
  std::function<bool(const Value&)> visit = [&](const Value& v) {
    if (!c.Reserve((path.size() + 8) * sizeof(Value))) return false;
    Value pair[2] = {MakeArray(c.arena, path), v};
    out.Add(MakeArray(c.arena, pair));
    auto step = [&](const Value& key, const Value& value) {
      path.push_back(key);
      bool ok = visit(value);
      path.pop_back();
      return ok;
    };
    if (v.is_array()) {
      for (uint32_t i = 0; i < v.arr->size; ++i) {
        if (!step(Value::Int(i), v.arr->items[i])) return false;
      }
    } else if (v.is_object()) {
      for (uint32_t i = 0; i < v.obj->size; ++i) {
        if (!step(v.obj->keys[i], v.obj->values[i])) return false;
      }
    } else if (v.is_set()) {
      for (uint32_t i = 0; i < v.set->size; ++i) {
        if (!step(v.set->items[i], v.set->items[i])) return false;
      }
    }
    return true;
  };
  return visit(c[0]) ? out.Finish() : Value();
}

}  // namespace

std::span<const Builtin> ObjectBuiltins() {
  static constexpr Builtin kTable[] = {
      {.name = "object.union", .arity = 2, .fn = ObjectUnion},
      {.name = "object.union_n", .arity = 1, .fn = ObjectUnionN},
      {.name = "object.remove", .arity = 2, .fn = ObjectRemove},
      {.name = "object.filter", .arity = 2, .fn = ObjectFilter},
      {.name = "object.get", .arity = 3, .fn = ObjectGet},
      {.name = "object.keys", .arity = 1, .fn = ObjectKeys},
      {.name = "object.subset", .arity = 2, .fn = ObjectSubset},
      {.name = "walk", .arity = 1, .fn = Walk, .relation = true},
  };
  return kTable;
}

}  // namespace hexr::rego
