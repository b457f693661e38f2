// The values of Rego, immutable once built: 16 bytes each, scalars inline, the rest behind a pointer into an arena
// that outlives them. Copying one copies no data. Shared freely between threads (no counts, no caches inside).
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace hexr::rego {

class Arena;
struct Str;
struct Num;
struct Arr;
struct Obj;
struct Set;
struct Node;  // a place in the data tree with rules below it (vm/): never inside another value

// In the order OPA sorts values of different kinds (kInt and kNum are one kind: number).
enum class Kind : uint8_t { kUndefined, kNull, kBool, kInt, kNum, kString, kArray, kObject, kSet, kNode };

struct Value {
  Kind kind = Kind::kUndefined;
  uint8_t reserved[3] = {0, 0, 0};
  uint32_t tag = 0;  // strings: hash of the content; otherwise 0
  union {
    int64_t i = 0;
    const Str* str;
    const Num* num;
    const Arr* arr;
    const Obj* obj;
    const Set* set;
    const Node* node;
    uint64_t bits;
  };

  static Value Null() { return Of(Kind::kNull); }
  static Value Bool(bool b) {
    Value v = Of(Kind::kBool);
    v.i = b;
    return v;
  }
  static Value Int(int64_t n) {
    Value v = Of(Kind::kInt);
    v.i = n;
    return v;
  }
  static Value Of(const Arr* a) {
    Value v = Of(Kind::kArray);
    v.arr = a;
    return v;
  }
  static Value Of(const Obj* o) {
    Value v = Of(Kind::kObject);
    v.obj = o;
    return v;
  }
  static Value Of(const Set* s) {
    Value v = Of(Kind::kSet);
    v.set = s;
    return v;
  }
  static Value Of(const Num* n) {
    Value v = Of(Kind::kNum);
    v.num = n;
    return v;
  }
  static Value Of(const Node* n) {
    Value v = Of(Kind::kNode);
    v.node = n;
    return v;
  }
  static Value Of(Kind k) {
    Value v;
    v.kind = k;
    return v;
  }
  // A string whose bytes are copied into `arena`.
  static Value String(Arena& arena, std::string_view text);

  bool defined() const { return kind != Kind::kUndefined; }
  bool is_false() const { return kind == Kind::kBool && i == 0; }
  bool is_true() const { return kind == Kind::kBool && i != 0; }
  bool is_number() const { return kind == Kind::kInt || kind == Kind::kNum; }
  bool is_string() const { return kind == Kind::kString; }
  bool is_array() const { return kind == Kind::kArray; }
  bool is_object() const { return kind == Kind::kObject; }
  bool is_set() const { return kind == Kind::kSet; }
  bool is_composite() const { return kind >= Kind::kArray && kind <= Kind::kSet; }
  // The content; only for strings.
  std::string_view text() const;
  // The first eight bytes as one word: different words are different values unless both are numbers.
  uint64_t word() const { return static_cast<uint64_t>(kind) | static_cast<uint64_t>(tag) << 32; }
};
static_assert(sizeof(Value) == 16);

// Filled up with zeros to a multiple of 16 bytes, so that short strings compare as two words.
struct alignas(16) Str {
  static constexpr uint32_t kInWords = 12;
  uint32_t size;
  char data[kInWords];  // `size` bytes, more or fewer than these
};

// A number that is not an int64: a larger integer or one with a fraction or exponent. `text` is what the source said
// and what is printed; the value is 0.DIGITS × 10^exponent, DIGITS without leading or trailing zeros ("" is zero).
struct Num {
  std::string_view text;
  std::string_view digits;
  int64_t exponent;
  bool negative;
};

struct Arr {
  uint32_t size;
  Value* items;
  std::span<const Value> view() const { return {items, size}; }
};

// Sorted by key. Beyond kLinear entries `index` is an open-addressing table of positions + 1 (0 is free), of
// index_mask + 1 slots, by Hash(key).
struct Obj {
  uint32_t size;
  uint32_t index_mask;
  const uint32_t* index;
  Value* keys;
  Value* values;
};
struct Set {
  uint32_t size;
  uint32_t index_mask;
  const uint32_t* index;
  Value* items;
  std::span<const Value> view() const { return {items, size}; }
};
inline constexpr uint32_t kLinear = 8;

inline std::string_view Value::text() const { return {str->data, str->size}; }

inline bool SameText(const Str& a, const Str& b) {
  uint64_t x[2], y[2];
  std::memcpy(x, &a, sizeof x);
  std::memcpy(y, &b, sizeof y);
  if (((x[0] ^ y[0]) | (x[1] ^ y[1])) != 0) return false;
  return a.size <= Str::kInWords || std::memcmp(a.data, b.data, a.size) == 0;
}

// Total order of OPA: null < boolean < number < string < array < object < set. Numbers compare by exact value.
int Compare(const Value& a, const Value& b);
bool EqualSlow(const Value& a, const Value& b);
inline bool Equal(const Value& a, const Value& b) {
  if (a.word() != b.word()) return a.is_number() && b.is_number() && EqualSlow(a, b);
  return a.bits == b.bits || (a.kind >= Kind::kNum && EqualSlow(a, b));
}
// Equal values have equal hashes, within this process: each draws its own secret.
uint32_t Hash(const Value& v);
uint32_t HashText(std::string_view text);
uint32_t HashPair(uint64_t a, uint64_t b);

// Position of `key`, or -1.
int64_t Find(const Obj& o, const Value& key);
int64_t Find(const Set& s, const Value& key);
int64_t FindText(const Obj& o, std::string_view key);
// The element of a composite under `key` (arrays: integer index; sets: the member itself); undefined when none.
Value Lookup(const Value& composite, const Value& key);

// "null", "boolean", "number", "string", "array", "object", "set".
std::string_view KindName(const Value& v);

}  // namespace hexr::rego
