#include "policy/rego/value/value.h"

#include <cstring>

#include "base/random.h"
#include "policy/rego/value/arena.h"
#include "policy/rego/value/number.h"

namespace hexr::rego {
namespace {

int Rank(Kind k) { return k == Kind::kNum ? static_cast<int>(Kind::kInt) : static_cast<int>(k); }

// Drawn once a process. Agents choose keys; who could choose their hashes as well would have tables of keys that all
// meet in one slot, and a decision of quadratic time.
const uint64_t kSecretA = SystemRandom().Next64();
const uint64_t kSecretB = SystemRandom().Next64();

uint64_t Mix(uint64_t a, uint64_t b) {
  const __uint128_t m = static_cast<__uint128_t>(a ^ kSecretA) * (b ^ kSecretB);
  return static_cast<uint64_t>(m) ^ static_cast<uint64_t>(m >> 64);
}
uint32_t Fold(uint64_t h) { return static_cast<uint32_t>(h ^ (h >> 32)); }

int CompareSpans(std::span<const Value> a, std::span<const Value> b) {
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    if (int c = Compare(a[i], b[i]); c != 0) return c;
  }
  return a.size() < b.size() ? -1 : a.size() > b.size();
}

int CompareObjects(const Obj& a, const Obj& b) {
  for (uint32_t i = 0; i < a.size && i < b.size; ++i) {
    if (int c = Compare(a.keys[i], b.keys[i]); c != 0) return c;
    if (int c = Compare(a.values[i], b.values[i]); c != 0) return c;
  }
  return a.size < b.size ? -1 : a.size > b.size;
}

template <class Holder>
int64_t FindIndexed(const Holder& h, const Value* keys, const Value& key, uint32_t hash) {
  for (uint32_t slot = hash & h.index_mask;; slot = (slot + 1) & h.index_mask) {
    uint32_t at = h.index[slot];
    if (at == 0) return -1;
    if (Equal(keys[at - 1], key)) return at - 1;
  }
}

template <class Holder>
int64_t FindIn(const Holder& h, const Value* keys, const Value& key) {
  if (h.index != nullptr) return FindIndexed(h, keys, key, Hash(key));
  for (uint32_t i = 0; i < h.size; ++i) {
    if (Equal(keys[i], key)) return i;
  }
  return -1;
}

}  // namespace

Value Value::String(Arena& arena, std::string_view text) {
  const size_t bytes = (offsetof(Str, data) + text.size() + sizeof(Str) - 1) / sizeof(Str) * sizeof(Str);
  auto* memory = static_cast<char*>(arena.Allocate(bytes));
  std::memset(memory + bytes - sizeof(Str), 0, sizeof(Str));
  const auto size = static_cast<uint32_t>(text.size());
  std::memcpy(memory, &size, sizeof size);
  if (!text.empty()) std::memcpy(memory + offsetof(Str, data), text.data(), text.size());
  Value v = Of(Kind::kString);
  v.tag = HashText(text);
  v.str = reinterpret_cast<const Str*>(memory);
  return v;
}

uint32_t HashText(std::string_view text) {
  uint64_t h = text.size() * 0x9E3779B97F4A7C15u;
  const char* p = text.data();
  size_t n = text.size();
  while (n >= 8) {
    uint64_t w;
    std::memcpy(&w, p, 8);
    h = Mix(h, w);
    p += 8;
    n -= 8;
  }
  if (n > 0) {
    uint64_t w = 0;
    std::memcpy(&w, p, n);
    h = Mix(h, w);
  }
  return Fold(h);
}

uint32_t HashPair(uint64_t a, uint64_t b) { return Fold(Mix(Mix(17, a), b)); }

uint32_t Hash(const Value& v) {
  switch (v.kind) {
    case Kind::kString: return v.tag;
    case Kind::kInt: return Fold(Mix(1, v.bits));
    case Kind::kNum: return HashNumber(v);
    case Kind::kArray: {
      uint64_t h = 7;
      for (const Value& x : v.arr->view()) h = Mix(h, Hash(x));
      return Fold(h);
    }
    case Kind::kObject: {
      uint64_t h = 11;
      for (uint32_t i = 0; i < v.obj->size; ++i) h = Mix(Mix(h, Hash(v.obj->keys[i])), Hash(v.obj->values[i]));
      return Fold(h);
    }
    case Kind::kSet: {
      uint64_t h = 13;
      for (const Value& x : v.set->view()) h = Mix(h, Hash(x));
      return Fold(h);
    }
    case Kind::kUndefined:
    case Kind::kNull:
    case Kind::kBool:
    case Kind::kNode: return Fold(Mix(static_cast<uint64_t>(v.kind), v.bits));
  }
  return 0;
}

int Compare(const Value& a, const Value& b) {
  if (int ra = Rank(a.kind), rb = Rank(b.kind); ra != rb) return ra < rb ? -1 : 1;
  switch (a.kind) {
    case Kind::kInt:
    case Kind::kNum: return CompareNumbers(a, b);
    case Kind::kBool: return a.i < b.i ? -1 : a.i > b.i;
    case Kind::kString: {
      int c = a.text().compare(b.text());
      return c < 0 ? -1 : c > 0;
    }
    case Kind::kArray: return a.arr == b.arr ? 0 : CompareSpans(a.arr->view(), b.arr->view());
    case Kind::kObject: return a.obj == b.obj ? 0 : CompareObjects(*a.obj, *b.obj);
    case Kind::kSet: return a.set == b.set ? 0 : CompareSpans(a.set->view(), b.set->view());
    case Kind::kUndefined:
    case Kind::kNull:
    case Kind::kNode: return a.bits < b.bits ? -1 : a.bits > b.bits;
  }
  return 0;
}

bool EqualSlow(const Value& a, const Value& b) {
  switch (a.kind) {
    case Kind::kString: return SameText(*a.str, *b.str);
    case Kind::kArray: {
      if (a.arr->size != b.arr->size) return false;
      for (uint32_t i = 0; i < a.arr->size; ++i) {
        if (!Equal(a.arr->items[i], b.arr->items[i])) return false;
      }
      return true;
    }
    case Kind::kObject: {
      if (a.obj->size != b.obj->size) return false;
      for (uint32_t i = 0; i < a.obj->size; ++i) {
        if (!Equal(a.obj->keys[i], b.obj->keys[i]) || !Equal(a.obj->values[i], b.obj->values[i])) return false;
      }
      return true;
    }
    case Kind::kSet: {
      if (a.set->size != b.set->size) return false;
      for (uint32_t i = 0; i < a.set->size; ++i) {
        if (!Equal(a.set->items[i], b.set->items[i])) return false;
      }
      return true;
    }
    default: return Compare(a, b) == 0;
  }
}

int64_t Find(const Obj& o, const Value& key) { return FindIn(o, o.keys, key); }
int64_t Find(const Set& s, const Value& key) { return FindIn(s, s.items, key); }

int64_t FindText(const Obj& o, std::string_view key) {
  uint32_t hash = HashText(key);
  auto same = [&](const Value& v) { return v.kind == Kind::kString && v.tag == hash && v.text() == key; };
  if (o.index == nullptr) {
    for (uint32_t i = 0; i < o.size; ++i) {
      if (same(o.keys[i])) return i;
    }
    return -1;
  }
  for (uint32_t slot = hash & o.index_mask;; slot = (slot + 1) & o.index_mask) {
    uint32_t at = o.index[slot];
    if (at == 0) return -1;
    if (same(o.keys[at - 1])) return at - 1;
  }
}

Value Lookup(const Value& composite, const Value& key) {
  switch (composite.kind) {
    case Kind::kObject: {
      int64_t at = Find(*composite.obj, key);
      return at < 0 ? Value() : composite.obj->values[at];
    }
    case Kind::kArray: {
      int64_t at = key.i;
      if (key.kind == Kind::kNum) {
        auto whole = ToInt64(key);
        if (!whole) return Value();
        at = *whole;
      } else if (key.kind != Kind::kInt) {
        return Value();
      }
      return at < 0 || at >= composite.arr->size ? Value() : composite.arr->items[at];
    }
    case Kind::kSet: {
      int64_t at = Find(*composite.set, key);
      return at < 0 ? Value() : composite.set->items[at];
    }
    default: return Value();
  }
}

std::string_view KindName(const Value& v) {
  switch (v.kind) {
    case Kind::kNull: return "null";
    case Kind::kBool: return "boolean";
    case Kind::kInt:
    case Kind::kNum: return "number";
    case Kind::kString: return "string";
    case Kind::kArray: return "array";
    case Kind::kSet: return "set";
    case Kind::kObject:
    case Kind::kNode: return "object";
    case Kind::kUndefined: return "undefined";
  }
  return "";
}

}  // namespace hexr::rego
