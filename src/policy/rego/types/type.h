// Static types of Rego, as OPA infers them. Types are made in a pool and live as long as it does; a null pointer is a
// type that nobody knows. One thread.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hexr::rego {

struct Type {
  // In the order in which unions list them.
  enum class Kind : uint8_t { kNull, kBool, kNumber, kString, kArray, kObject, kSet, kAny, kFunction } kind;
  // kArray: of the first elements. kAny: alternatives, none: anything. kFunction: arguments.
  std::vector<const Type*> items = {};
  std::vector<std::string> names = {};                            // kFunction: of the arguments, and of the result
  std::vector<std::pair<std::string, const Type*>> members = {};  // kObject: by key, as Rego text ("\"a\"", "1")
  const Type* key = nullptr;                                      // kObject: of further keys
  const Type* rest = nullptr;  // kArray, kSet: of further elements; kObject: of further values; kFunction: the result
  bool variadic = false;       // kFunction: any further arguments
};
using TypeKind = Type::Kind;

class TypePool {
 public:
  const Type* Null() { return &null_; }
  const Type* Bool() { return &bool_; }
  const Type* Number() { return &number_; }
  const Type* String() { return &string_; }
  const Type* Any() { return &any_; }
  const Type* Make(Type t) { return &types_.emplace_back(std::move(t)); }
  const Type* Array(std::vector<const Type*> items, const Type* rest) {
    return Make({.kind = TypeKind::kArray, .items = std::move(items), .rest = rest});
  }
  const Type* SetOf(const Type* of) { return Make({.kind = TypeKind::kSet, .rest = of}); }
  const Type* ObjectOf(const Type* key, const Type* value) {
    return Make({.kind = TypeKind::kObject, .key = key, .rest = value});
  }
  // Either; a null side gives the other.
  const Type* Or(const Type* a, const Type* b);
  // Of what can be looked up in `t`, of what is found; null when nothing can.
  const Type* Keys(const Type* t);
  const Type* Values(const Type* t);
  // What is found under a constant, given as Rego text and by its type; null when nothing is.
  const Type* Select(const Type* t, const std::string& constant, const Type* of);

 private:
  std::deque<Type> types_;
  Type null_{TypeKind::kNull}, bool_{TypeKind::kBool}, number_{TypeKind::kNumber}, string_{TypeKind::kString},
      any_{TypeKind::kAny};
};

inline bool IsAny(const Type* t) { return t != nullptr && t->kind == TypeKind::kAny && t->items.empty(); }
// A part is unknown.
bool HasUnknown(const Type* t);
int CompareTypes(const Type* a, const Type* b);
// Some value can be of both.
bool Unifies(const Type* a, const Type* b);
// As OPA prints it: "array<number, string>", "???" when unknown.
std::string TypeText(const Type* t);
// "(x: number, y: number)", of arguments and then the result.
std::string ArgumentsText(const Type& function, bool with_result);

// The type of a built-in; null when there is none of that name.
const Type* SignatureOf(TypePool& pool, std::string_view builtin);

}  // namespace hexr::rego
