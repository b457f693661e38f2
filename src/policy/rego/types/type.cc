#include "policy/rego/types/type.h"

#include <algorithm>

#include "base/limits/rego.h"

namespace hexr::rego {
namespace {

int CompareLists(const std::vector<const Type*>& a, const std::vector<const Type*>& b) {
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (int c = CompareTypes(a[i], b[i]); c != 0) return c;
  }
  return a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : 0;
}

const Type* MemberType(const Type& object, const std::string& key) {
  for (const auto& [name, type] : object.members) {
    if (name == key) return type;
  }
  return nullptr;
}

const Type* ElementAt(const Type& array, size_t i) { return i < array.items.size() ? array.items[i] : array.rest; }

bool ArraysUnify(const Type& a, const Type& b) {
  for (size_t i = 0; i < std::max(a.items.size(), b.items.size()); ++i) {
    if (!Unifies(ElementAt(a, i), ElementAt(b, i))) return false;
  }
  return a.rest == nullptr || b.rest == nullptr || Unifies(a.rest, b.rest);
}

bool MembersUnify(const Type& a, const Type& b) {
  for (const auto& [name, type] : a.members) {
    const Type* other = MemberType(b, name);
    if (other == nullptr && b.key != nullptr && Unifies(b.key, b.key)) other = b.rest;
    if (other == nullptr) {
      if (a.rest != nullptr || b.rest != nullptr) continue;
      return false;
    }
    if (!Unifies(type, other)) return false;
  }
  return true;
}

bool AnyUnifies(const Type& any, const Type* t) {
  if (t->kind == TypeKind::kFunction) return false;
  return any.items.empty() ||
         std::any_of(any.items.begin(), any.items.end(), [&](const Type* i) { return Unifies(i, t); });
}

}  // namespace

int CompareTypes(const Type* a, const Type* b) {
  if (a == b) return 0;
  if (a == nullptr || b == nullptr) return a == nullptr ? -1 : 1;
  if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
  if (int c = CompareLists(a->items, b->items); c != 0) return c;
  for (size_t i = 0; i < std::min(a->members.size(), b->members.size()); ++i) {
    if (int c = a->members[i].first.compare(b->members[i].first); c != 0) return c;
    if (int c = CompareTypes(a->members[i].second, b->members[i].second); c != 0) return c;
  }
  if (a->members.size() != b->members.size()) return a->members.size() < b->members.size() ? -1 : 1;
  if (int c = CompareTypes(a->key, b->key); c != 0) return c;
  return CompareTypes(a->rest, b->rest);
}

bool HasUnknown(const Type* t) {
  if (t == nullptr) return true;
  auto unknown = [](const Type* x) { return HasUnknown(x); };
  if (std::any_of(t->items.begin(), t->items.end(), unknown)) return true;
  if (t->kind == TypeKind::kObject) {
    return std::any_of(t->members.begin(), t->members.end(), [](const auto& m) { return HasUnknown(m.second); }) ||
           (t->key != nullptr && HasUnknown(t->key)) || (t->key != nullptr && HasUnknown(t->rest));
  }
  return t->kind == TypeKind::kSet ? HasUnknown(t->rest) : t->rest != nullptr && HasUnknown(t->rest);
}

const Type* TypePool::Or(const Type* a, const Type* b) {
  if (a == nullptr || b == nullptr) return a == nullptr ? b : a;
  if (CompareTypes(a, b) == 0) return a;
  if (IsAny(a) || IsAny(b)) return Any();
  std::vector<const Type*> all;
  for (const Type* t : {a, b}) {
    if (t->kind == TypeKind::kAny)
      all.insert(all.end(), t->items.begin(), t->items.end());
    else
      all.push_back(t);
  }
  std::sort(all.begin(), all.end(), [](const Type* x, const Type* y) { return CompareTypes(x, y) < 0; });
  all.erase(std::unique(all.begin(), all.end(), [](const Type* x, const Type* y) { return CompareTypes(x, y) == 0; }),
            all.end());
  if (all.size() > limits::kMaxRegoTypeChoices) return Any();
  return Make({.kind = TypeKind::kAny, .items = std::move(all)});
}

const Type* TypePool::Keys(const Type* t) {
  if (t == nullptr) return nullptr;
  const Type* out = nullptr;
  switch (t->kind) {
    case TypeKind::kArray: return Number();
    case TypeKind::kSet: return t->rest;
    case TypeKind::kObject:
      for (const auto& [name, type] : t->members) {
        out = Or(out, name[0] == '"'                      ? String()
                      : name == "true" || name == "false" ? Bool()
                      : name == "null"                    ? Null()
                      : name[0] == '[' || name[0] == '{'  ? Any()
                                                          : Number());
      }
      return Or(out, t->key);
    case TypeKind::kAny:
      if (t->items.empty()) return Any();
      for (const Type* i : t->items) out = Or(out, Keys(i));
      return out;
    default: return nullptr;
  }
}

const Type* TypePool::Values(const Type* t) {
  if (t == nullptr) return nullptr;
  const Type* out = nullptr;
  switch (t->kind) {
    case TypeKind::kArray:
      out = t->rest;
      for (const Type* i : t->items) out = Or(out, i);
      return out;
    case TypeKind::kSet: return t->rest;
    case TypeKind::kObject:
      out = t->rest;
      for (const auto& [name, type] : t->members) out = Or(out, type);
      return out;
    case TypeKind::kAny:
      if (t->items.empty()) return Any();
      for (const Type* i : t->items) out = Or(out, Values(i));
      return out;
    default: return nullptr;
  }
}

const Type* TypePool::Select(const Type* t, const std::string& constant, const Type* of) {
  if (t == nullptr) return nullptr;
  switch (t->kind) {
    case TypeKind::kArray: {
      if (of->kind != TypeKind::kNumber || constant.empty() ||
          constant.find_first_not_of("0123456789") != std::string::npos)
        return nullptr;
      if (constant.size() > 9) return t->rest;
      return ElementAt(*t, static_cast<size_t>(std::stoul(constant)));
    }
    case TypeKind::kObject:
      if (const Type* m = MemberType(*t, constant); m != nullptr) return m;
      return t->key != nullptr && Unifies(t->key, of) ? t->rest : nullptr;
    case TypeKind::kSet:
      if (CompareTypes(t->rest, of) == 0) return of;
      return t->rest != nullptr && t->rest->kind == TypeKind::kAny && Unifies(t->rest, of) ? of : nullptr;
    case TypeKind::kAny: {
      if (t->items.empty()) return Any();
      const Type* out = nullptr;
      for (const Type* i : t->items) out = Or(out, Select(i, constant, of));
      return out;
    }
    default: return nullptr;
  }
}

bool Unifies(const Type* a, const Type* b) {
  if (a == nullptr || b == nullptr) return false;
  if (a->kind == TypeKind::kAny && AnyUnifies(*a, b)) return true;
  if (b->kind == TypeKind::kAny && AnyUnifies(*b, a)) return true;
  if (a->kind == TypeKind::kAny || b->kind == TypeKind::kAny || a->kind != b->kind) return false;
  switch (a->kind) {
    case TypeKind::kArray: return ArraysUnify(*a, *b);
    case TypeKind::kObject:
      return MembersUnify(*a, *b) && MembersUnify(*b, *a) &&
             (a->rest == nullptr || b->rest == nullptr || Unifies(a->rest, b->rest));
    case TypeKind::kSet: return Unifies(a->rest, b->rest);
    case TypeKind::kFunction: return a->items.size() == b->items.size();
    default: return true;
  }
}

std::string TypeText(const Type* t) {
  if (t == nullptr) return "???";
  auto list = [](const std::vector<const Type*>& items) {
    std::string out;
    for (const Type* i : items) out += (out.empty() ? "" : ", ") + TypeText(i);
    return "<" + out + ">";
  };
  switch (t->kind) {
    case TypeKind::kNull: return "null";
    case TypeKind::kBool: return "boolean";
    case TypeKind::kNumber: return "number";
    case TypeKind::kString: return "string";
    case TypeKind::kArray:
      return "array" + (t->items.empty() ? "" : list(t->items)) +
             (t->rest != nullptr ? "[" + TypeText(t->rest) + "]" : "");
    case TypeKind::kSet: return "set[" + TypeText(t->rest) + "]";
    case TypeKind::kObject: {
      std::string out;
      for (const auto& [name, type] : t->members) {
        // Names of members stand without quotes.
        const std::string shown = name[0] == '"' ? name.substr(1, name.size() - 2) : name;
        out += (out.empty() ? "" : ", ") + shown + ": " + TypeText(type);
      }
      if (!out.empty()) out = "<" + out + ">";
      if (t->key != nullptr) out += "[" + TypeText(t->key) + ": " + TypeText(t->rest) + "]";
      return "object" + out;
    }
    case TypeKind::kAny: return t->items.empty() ? "any" : "any" + list(t->items);
    case TypeKind::kFunction: return ArgumentsText(*t, false) + " => " + TypeText(t->rest);
  }
  return "???";
}

std::string ArgumentsText(const Type& function, bool with_result) {
  std::string out;
  auto add = [&](const Type* t, size_t i) {
    out += (out.empty() ? "" : ", ");
    if (i < function.names.size() && !function.names[i].empty()) out += function.names[i] + ": ";
    out += TypeText(t);
  };
  for (size_t i = 0; i < function.items.size(); ++i) add(function.items[i], i);
  if (with_result && function.rest != nullptr) add(function.rest, function.items.size());
  return "(" + out + ")";
}

}  // namespace hexr::rego
