// json.filter, json.remove, json.patch (RFC 6902 with sets and non-string keys).
#include <algorithm>
#include <optional>

#include "base/limits/rego.h"
#include "policy/rego/builtins/support.h"

namespace hexr::rego {
namespace {

using PatchPath = std::vector<Value>;

// Values below values are calls within calls, here and wherever the result goes.
bool TooDeep(Call& c) {
  c.Error("eval_cancel_error", "more than " + std::to_string(limits::kMaxRegoDocumentDepth) + " values within values");
  c.set_halts();
  return false;
}

// A JSON pointer or an array of steps.
bool ParsePath(Call& c, const Value& v, PatchPath& out) {
  out.clear();
  if (v.is_array()) {
    if (v.arr->size > limits::kMaxRegoDocumentDepth) return TooDeep(c);
    out.assign(v.arr->items, v.arr->items + v.arr->size);
    return true;
  }
  if (!v.is_string()) {
    c.TypeError("operand 2 must be one of {set, array} containing string paths or array of path segments but got " +
                std::string(KindName(v)));
    return false;
  }
  std::string_view t = v.text();
  if (t.empty()) return true;
  while (!t.empty() && t[0] == '/') t.remove_prefix(1);
  while (true) {
    size_t slash = t.find('/');
    std::string_view part = t.substr(0, slash);
    std::string step;
    for (size_t i = 0; i < part.size(); ++i) {
      if (part[i] == '~' && i + 1 < part.size() && (part[i + 1] == '0' || part[i + 1] == '1'))
        step += part[++i] == '1' ? '/' : '~';
      else
        step += part[i];
    }
    if (out.size() == limits::kMaxRegoDocumentDepth) return TooDeep(c);
    out.push_back(Value::String(c.arena, step));
    if (slash == std::string_view::npos) return true;
    t.remove_prefix(slash + 1);
  }
}

// The paths as one tree of objects with null leaves.
bool PathTree(Call& c, Value& tree) {
  bool ok = false;
  auto items = Elements(c[1], ok);
  if (!ok) {
    c.WrongType(1, "one of {set, array}");
    return false;
  }
  tree = EmptyObject();
  for (const Value& item : items) {
    PatchPath path;
    if (!ParsePath(c, item, path)) return false;
    if (path.empty()) continue;
    // A shorter path covers the longer ones.
    bool covered = false;
    Value at = tree;
    for (size_t i = 0; i + 1 < path.size() && !covered; ++i) {
      at = Lookup(at, path[i]);
      covered = at.kind == Kind::kNull;
      if (!at.defined()) break;
    }
    if (!covered) tree = WithPath(c.arena, tree, path, Value::Null());
  }
  return true;
}

Value IndexText(Arena& arena, uint32_t i) { return Value::String(arena, std::to_string(i)); }

// What is left of `v` without the tree's leaves; undefined when nothing is.
Value Without(Call& c, const Value& v, const Value& tree) {
  if (tree.kind == Kind::kNull) return Value();
  if (!tree.is_object()) return v;
  switch (v.kind) {
    case Kind::kObject: {
      ObjectBuilder out(c.arena, v.obj->size);
      for (uint32_t i = 0; i < v.obj->size; ++i) {
        Value left = Without(c, v.obj->values[i], Lookup(tree, v.obj->keys[i]));
        if (left.defined()) out.Add(v.obj->keys[i], left);
      }
      return out.Finish();
    }
    case Kind::kSet: {
      SetBuilder out(c.arena, v.set->size);
      for (const Value& x : v.set->view()) {
        Value left = Without(c, x, Lookup(tree, x));
        if (left.defined()) out.Add(left);
      }
      return out.Finish();
    }
    case Kind::kArray: {
      ArrayBuilder out(c.arena, v.arr->size);
      for (uint32_t i = 0; i < v.arr->size; ++i) {
        Value left = Without(c, v.arr->items[i], Lookup(tree, IndexText(c.arena, i)));
        if (left.defined()) out.Add(left);
      }
      return out.Finish();
    }
    default: return v;
  }
}

// Only what the tree names.
Value Only(Call& c, const Value& v, const Value& tree) {
  if (tree.kind == Kind::kNull || !tree.is_object()) return v;
  switch (v.kind) {
    case Kind::kObject: {
      ObjectBuilder out(c.arena, v.obj->size);
      for (uint32_t i = 0; i < v.obj->size; ++i) {
        Value filter = Lookup(tree, v.obj->keys[i]);
        if (filter.defined()) out.Add(v.obj->keys[i], Only(c, v.obj->values[i], filter));
      }
      return out.Finish();
    }
    case Kind::kSet: {
      SetBuilder out(c.arena, v.set->size);
      for (const Value& x : v.set->view()) {
        Value filter = Lookup(tree, x);
        if (filter.defined()) out.Add(Only(c, x, filter));
      }
      return out.Finish();
    }
    case Kind::kArray: {
      ArrayBuilder out(c.arena, v.arr->size);
      for (uint32_t i = 0; i < v.arr->size; ++i) {
        Value filter = Lookup(tree, IndexText(c.arena, i));
        if (filter.defined()) out.Add(Only(c, v.arr->items[i], filter));
      }
      return out.Finish();
    }
    default: return v;
  }
}

Value JsonRemove(Call& c) {
  const Obj* o;
  Value tree;
  if (!TakeObject(c, 0, o) || !PathTree(c, tree)) return Value();
  return Without(c, c[0], tree);
}
Value JsonFilter(Call& c) {
  const Obj* o;
  Value tree;
  if (!TakeObject(c, 0, o) || !PathTree(c, tree)) return Value();
  return Only(c, c[0], tree);
}

// A position in an array from a path step: a number or its decimal text.
std::optional<size_t> ArrayIndex(Call& c, const Value& step, size_t limit, bool insert) {
  if (step.is_string() && step.text() == "-" && insert) return limit;
  int64_t at = -1;
  if (step.is_number()) {
    auto n = ToInt64(step);
    if (!n) {
      c.Fail("invalid number type for indexing");
      return std::nullopt;
    }
    at = *n;
  } else if (step.is_string()) {
    std::string_view t = step.text();
    if (t.size() > 1 && t[0] == '0') {
      c.Fail("leading zeros are not allowed in JSON paths");
      return std::nullopt;
    }
    if (t.empty() || t.size() > 9 || t.find_first_not_of("0123456789") != std::string_view::npos) {
      c.Fail("invalid string for indexing");
      return std::nullopt;
    }
    at = std::stol(std::string(t));
  } else {
    c.Fail("invalid type for indexing");
    return std::nullopt;
  }
  if (at < 0 || static_cast<size_t>(at) > limit || (!insert && static_cast<size_t>(at) == limit)) {
    c.Fail("index for array out of bounds");
    return std::nullopt;
  }
  return static_cast<size_t>(at);
}

Value Read(Call& c, const Value& doc, std::span<const Value> path) {
  Value at = doc;
  for (const Value& step : path) {
    Value next;
    if (at.is_array()) {
      auto i = ArrayIndex(c, step, at.arr->size, false);
      if (!i) return Value();
      next = at.arr->items[*i];
    } else if (at.is_composite()) {
      next = Lookup(at, step);
    }
    if (!next.defined()) {
      c.Fail("path " + ToRego(step) + " does not exist in " + std::string(KindName(at)) + " term " + ToRego(at));
      return Value();
    }
    at = next;
  }
  return at;
}

// False after failing: what is put into the document once more would make it deeper than documents are, or larger than
// the budget when it is written out. A copy takes no memory, and copies of copies double.
bool MayCopy(Call& c, const Value& v, size_t depth, size_t& nodes) {
  if (!v.is_composite()) return true;
  if (depth >= limits::kMaxRegoDocumentDepth) return TooDeep(c);
  const std::span<const Value> below = v.is_array() ? v.arr->view()
                                       : v.is_set() ? v.set->view()
                                                    : std::span<const Value>(v.obj->values, v.obj->size);
  nodes += below.size();
  if (!c.Spend(1 + below.size() / 16) || !c.Reserve(nodes * sizeof(Value))) return false;
  return std::all_of(below.begin(), below.end(), [&](const Value& x) { return MayCopy(c, x, depth + 1, nodes); });
}

enum class Edit { kInsert, kDelete };

// `doc` after the change at `path`; undefined after failing.
Value Change(Call& c, const Value& doc, std::span<const Value> path, Edit how, const Value& value) {
  if (path.empty()) return how == Edit::kInsert ? value : Value::Null();
  const Value& step = path[0];
  bool last = path.size() == 1;
  Value child;
  if (!last) {
    child = Read(c, doc, path.subspan(0, 1));
    if (c.failed()) return Value();
    child = Change(c, child, path.subspan(1), how, value);
    if (c.failed()) return Value();
  }
  switch (doc.kind) {
    case Kind::kObject: {
      if (last && how == Edit::kDelete && Find(*doc.obj, step) < 0) {
        return c.Fail("cannot delete child key " + ToRego(step) + " that does not exist");
      }
      ObjectBuilder out(c.arena, doc.obj->size + 1);
      for (uint32_t i = 0; i < doc.obj->size; ++i) {
        if (!Equal(doc.obj->keys[i], step)) out.Add(doc.obj->keys[i], doc.obj->values[i]);
      }
      if (!last)
        out.Add(step, child);
      else if (how == Edit::kInsert)
        out.Add(step, value);
      return out.Finish();
    }
    case Kind::kArray: {
      auto at = ArrayIndex(c, step, doc.arr->size, last && how == Edit::kInsert);
      if (!at) return Value();
      ArrayBuilder out(c.arena, doc.arr->size + 1);
      for (uint32_t i = 0; i <= doc.arr->size; ++i) {
        if (i == *at && !last) out.Add(child);
        if (i == *at && last && how == Edit::kInsert) out.Add(value);
        if (i < doc.arr->size && (i != *at || (last && how == Edit::kInsert))) out.Add(doc.arr->items[i]);
      }
      return out.Finish();
    }
    case Kind::kSet: {
      if (last && how == Edit::kInsert && !Equal(step, value)) {
        return c.Fail("set key " + ToRego(step) + " does not equal value to be inserted " + ToRego(value));
      }
      if (last && how == Edit::kDelete && Find(*doc.set, step) < 0) {
        return c.Fail("cannot delete child key " + ToRego(step) + " that does not exist");
      }
      SetBuilder out(c.arena, doc.set->size + 1);
      for (const Value& v : doc.set->view()) {
        if (!Equal(v, step)) out.Add(v);
      }
      if (!last)
        out.Add(child);
      else if (how == Edit::kInsert)
        out.Add(value);
      return out.Finish();
    }
    default: return c.Fail("expected composite type, found value: " + ToRego(doc));
  }
}

// Applies one operation; false after failing.
bool ApplyOne(Call& c, const Value& op, Value& doc) {
  auto missing = [&](std::string_view what) {
    c.Fail("missing required attribute '" + std::string(what) + "'");
    return false;
  };
  if (!op.is_object()) {
    c.Fail("must be an array of JSON-Patch objects, but at least one element is not an object");
    return false;
  }
  Value path_value = Get(*op.obj, "path"), name = Get(*op.obj, "op"), from_value = Get(*op.obj, "from"),
        value = Get(*op.obj, "value");
  if (!path_value.defined()) return missing("path");
  if (!name.defined()) return missing("op");
  if (!name.is_string()) {
    c.Fail("attribute 'op' must be a string but found: " + std::string(KindName(name)));
    return false;
  }
  PatchPath path, from;
  if (!ParsePath(c, path_value, path)) return false;
  std::string_view kind = name.text();
  if (kind == "add" || kind == "replace") {
    if (kind == "replace") doc = Change(c, doc, path, Edit::kDelete, Value());
    if (c.failed()) return false;
    if (!value.defined()) return missing("value");
    doc = Change(c, doc, path, Edit::kInsert, value);
  } else if (kind == "remove") {
    doc = Change(c, doc, path, Edit::kDelete, Value());
  } else if (kind == "move" || kind == "copy") {
    if (!from_value.defined()) return missing("from");
    if (!ParsePath(c, from_value, from)) return false;
    Value chunk = Read(c, doc, from);
    size_t nodes = 0;
    if (c.failed() || !MayCopy(c, chunk, 0, nodes)) return false;
    if (kind == "move") doc = Change(c, doc, from, Edit::kDelete, Value());
    if (!c.failed()) doc = Change(c, doc, path, Edit::kInsert, chunk);
  } else if (kind == "test") {
    Value chunk = Read(c, doc, path);
    if (c.failed()) return false;
    if (!value.defined()) return missing("value");
    if (!Equal(chunk, value)) {
      c.Fail("value from EditTree != patch value.\n\nExpected: " + ToRego(value) + "\n\nFound: " + ToRego(chunk));
    }
  } else {
    c.Fail("unrecognized op: '" + std::string(kind) + "'");
  }
  return !c.failed();
}

Value JsonPatch(Call& c) {
  const Arr* operations;
  if (!TakeArray(c, 1, operations)) return Value();
  Value doc = c[0];
  for (const Value& op : operations->view()) {
    if (!c.Reserve(1024) || !ApplyOne(c, op, doc)) return Value();
  }
  return doc;
}

}  // namespace

std::span<const Builtin> JsonPatchBuiltins() {
  static constexpr Builtin kTable[] = {
      {.name = "json.remove", .arity = 2, .fn = JsonRemove},
      {.name = "json.filter", .arity = 2, .fn = JsonFilter},
      {.name = "json.patch", .arity = 2, .fn = JsonPatch},
  };
  return kTable;
}

}  // namespace hexr::rego
