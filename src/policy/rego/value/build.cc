#include "policy/rego/value/build.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

namespace hexr::rego {
namespace {

constexpr Arr kEmptyArray{0, nullptr};
constexpr Obj kEmptyObject{0, 0, nullptr, nullptr, nullptr};
constexpr Set kEmptySet{0, 0, nullptr, nullptr};

// The table of positions for `size` keys, or null when a scan is as good.
const uint32_t* MakeIndex(Arena& arena, const Value* keys, uint32_t size, uint32_t& mask) {
  mask = 0;
  if (size <= kLinear) return nullptr;
  uint32_t slots = std::bit_ceil(size * 2);
  mask = slots - 1;
  auto* index = arena.New<uint32_t>(slots);
  std::memset(index, 0, slots * sizeof(uint32_t));
  for (uint32_t i = 0; i < size; ++i) {
    uint32_t slot = Hash(keys[i]) & mask;
    while (index[slot] != 0) slot = (slot + 1) & mask;
    index[slot] = i + 1;
  }
  return index;
}

bool Less(const Value& a, const Value& b) { return Compare(a, b) < 0; }

// Sorts keys and values together by key. The last of equal keys wins.
Value SortObject(Arena& arena, Value* keys, Value* values, uint32_t size) {
  bool sorted = true;
  for (uint32_t i = 1; i < size && sorted; ++i) sorted = Less(keys[i - 1], keys[i]);
  if (sorted) return MakeSortedObject(arena, keys, values, size);
  auto* order = arena.New<uint32_t>(size);
  std::iota(order, order + size, 0u);
  if (size <= 16) {
    for (uint32_t i = 1; i < size; ++i) {
      uint32_t x = order[i];
      uint32_t j = i;
      for (; j > 0 && Less(keys[x], keys[order[j - 1]]); --j) order[j] = order[j - 1];
      order[j] = x;
    }
  } else {
    std::sort(order, order + size, [&](uint32_t a, uint32_t b) {
      int c = Compare(keys[a], keys[b]);
      return c != 0 ? c < 0 : a < b;
    });
  }
  auto* k = arena.New<Value>(size);
  auto* v = arena.New<Value>(size);
  uint32_t n = 0;
  for (uint32_t i = 0; i < size; ++i) {
    if (n > 0 && Equal(k[n - 1], keys[order[i]])) {
      v[n - 1] = values[order[i]];
      continue;
    }
    k[n] = keys[order[i]];
    v[n++] = values[order[i]];
  }
  return MakeSortedObject(arena, k, v, n);
}

}  // namespace

void ArrayBuilder::Reserve(size_t n) {
  n = std::max<size_t>(n, 4);
  auto* grown = arena_->New<Value>(n);
  if (size_ > 0) std::memcpy(static_cast<void*>(grown), items_, size_ * sizeof(Value));
  items_ = grown;
  capacity_ = n;
}

Value ArrayBuilder::Finish() const {
  if (size_ == 0) return EmptyArray();
  auto* a = arena_->New<Arr>();
  *a = Arr{static_cast<uint32_t>(size_), items_};
  return Value::Of(a);
}

Value SetBuilder::Finish() {
  if (items_.size() == 0) return EmptySet();
  Value* first = &items_[0];
  Value* last = first + items_.size();
  std::sort(first, last, Less);
  last = std::unique(first, last, [](const Value& a, const Value& b) { return Equal(a, b); });
  return MakeSortedSet(*arena_, first, static_cast<uint32_t>(last - first));
}

Value ObjectBuilder::Finish() {
  if (keys_.size() == 0) return EmptyObject();
  return SortObject(*arena_, &keys_[0], &values_[0], static_cast<uint32_t>(keys_.size()));
}

Collector* Collector::Make(Arena& arena) {
  auto* c = arena.New<Collector>();
  c->is_set = false;
  c->size_ = 0;
  c->capacity_ = 0;
  c->mask_ = 0;
  c->index_ = nullptr;
  c->keys_ = nullptr;
  c->values_ = nullptr;
  return c;
}

int64_t Collector::Position(const Value& key, uint32_t hash) const {
  if (index_ == nullptr) {
    for (uint32_t i = 0; i < size_; ++i) {
      if (Equal(keys_[i], key)) return i;
    }
    return -1;
  }
  for (uint32_t slot = hash & mask_;; slot = (slot + 1) & mask_) {
    if (index_[slot] == 0) return -1;
    if (Equal(keys_[index_[slot] - 1], key)) return index_[slot] - 1;
  }
}

void Collector::Grow(Arena& arena) {
  uint32_t capacity = std::max(kLinear, capacity_ * 2);
  auto* k = arena.New<Value>(capacity);
  auto* v = arena.New<Value>(capacity);
  if (size_ > 0) {
    std::memcpy(static_cast<void*>(k), keys_, size_ * sizeof(Value));
    std::memcpy(static_cast<void*>(v), values_, size_ * sizeof(Value));
  }
  keys_ = k;
  values_ = v;
  capacity_ = capacity;
  if (capacity <= kLinear) return;
  mask_ = capacity * 2 - 1;
  index_ = arena.New<uint32_t>(capacity * 2);
  std::memset(index_, 0, capacity * 2 * sizeof(uint32_t));
  for (uint32_t i = 0; i < size_; ++i) {
    uint32_t slot = Hash(keys_[i]) & mask_;
    while (index_[slot] != 0) slot = (slot + 1) & mask_;
    index_[slot] = i + 1;
  }
}

Collector::Outcome Collector::Insert(Arena& arena, const Value& key, const Value& value) {
  uint32_t hash = index_ == nullptr ? 0 : Hash(key);
  if (int64_t at = Position(key, hash); at >= 0) return Equal(values_[at], value) ? Outcome::kSame : Outcome::kConflict;
  if (size_ == capacity_) {
    Grow(arena);
    hash = index_ == nullptr ? 0 : Hash(key);
  }
  keys_[size_] = key;  // NOLINT(clang-analyzer-*): Grow made it
  values_[size_++] = value;
  if (index_ != nullptr) {
    uint32_t slot = hash & mask_;
    while (index_[slot] != 0) slot = (slot + 1) & mask_;
    index_[slot] = size_;
  }
  return Outcome::kAdded;
}

Collector* Collector::Nested(Arena& arena, const Value& key) {
  // A collector in the making hides in an undefined value with a tag: no real value looks like it.
  constexpr uint32_t kMaking = 1;
  if (Value* v = At(key); v != nullptr) {
    if (v->defined() || v->tag != kMaking) return nullptr;
    return reinterpret_cast<Collector*>(v->bits);
  }
  Collector* c = Make(arena);
  Value v;
  v.tag = kMaking;
  v.bits = reinterpret_cast<uint64_t>(c);
  Insert(arena, key, v);
  return c;
}

Value* Collector::At(const Value& key) {
  int64_t at = Position(key, index_ == nullptr ? 0 : Hash(key));
  return at < 0 ? nullptr : values_ + at;
}

void Collector::Append(Arena& arena, const Value& item) {
  if (size_ == capacity_) {
    uint32_t capacity = std::max(kLinear, capacity_ * 2);
    auto* grown = arena.New<Value>(capacity);
    if (size_ > 0) std::memcpy(static_cast<void*>(grown), keys_, size_ * sizeof(Value));
    keys_ = grown;
    capacity_ = capacity;
  }
  keys_[size_++] = item;
}

Value Collector::FinishArray(Arena& arena) const { return MakeArray(arena, {keys_, size_}); }

Value Collector::FinishSet(Arena& arena) const {
  if (size_ == 0) return EmptySet();
  auto* items = arena.New<Value>(size_);
  std::memcpy(static_cast<void*>(items), keys_, size_ * sizeof(Value));
  if (size_ > 1) std::sort(items, items + size_, Less);
  return MakeSortedSet(arena, items, size_);
}

Value Collector::FinishObject(Arena& arena) const {
  if (size_ == 0) return EmptyObject();
  for (uint32_t i = 0; i < size_; ++i) {
    if (values_[i].defined() || values_[i].tag == 0) continue;
    const auto* c = reinterpret_cast<const Collector*>(values_[i].bits);
    values_[i] = c->is_set ? c->FinishSet(arena) : c->FinishObject(arena);
  }
  return SortObject(arena, keys_, values_, size_);
}

Value MakeArray(Arena& arena, std::span<const Value> items) {
  ArrayBuilder b(arena, items.size());
  for (const Value& v : items) b.Add(v);
  return b.Finish();
}

Value MakeSet(Arena& arena, std::span<const Value> items) {
  SetBuilder b(arena, items.size());
  for (const Value& v : items) b.Add(v);
  return b.Finish();
}

Value MakeSortedSet(Arena& arena, Value* items, uint32_t size) {
  if (size == 0) return EmptySet();
  auto* s = arena.New<Set>();
  uint32_t mask = 0;
  const uint32_t* index = MakeIndex(arena, items, size, mask);
  *s = Set{size, mask, index, items};
  return Value::Of(s);
}

Value MakeSortedObject(Arena& arena, Value* keys, Value* values, uint32_t size) {
  if (size == 0) return EmptyObject();
  auto* o = arena.New<Obj>();
  uint32_t mask = 0;
  const uint32_t* index = MakeIndex(arena, keys, size, mask);
  *o = Obj{size, mask, index, keys, values};
  return Value::Of(o);
}

Value EmptyArray() { return Value::Of(&kEmptyArray); }
Value EmptyObject() { return Value::Of(&kEmptyObject); }
Value EmptySet() { return Value::Of(&kEmptySet); }

Value DeepCopy(Arena& arena, const Value& v) {
  auto copy_all = [&](const Value* from, uint32_t size) {
    auto* to = arena.New<Value>(size);
    for (uint32_t i = 0; i < size; ++i) to[i] = DeepCopy(arena, from[i]);
    return to;
  };
  switch (v.kind) {
    case Kind::kString: return Value::String(arena, v.text());
    case Kind::kNum: {
      auto* n = arena.New<Num>();
      *n = Num{arena.Copy(v.num->text), arena.Copy(v.num->digits), v.num->exponent, v.num->negative};
      return Value::Of(n);
    }
    case Kind::kArray: {
      if (v.arr->size == 0) return EmptyArray();
      auto* a = arena.New<Arr>();
      *a = Arr{v.arr->size, copy_all(v.arr->items, v.arr->size)};
      return Value::Of(a);
    }
    case Kind::kSet: return MakeSortedSet(arena, copy_all(v.set->items, v.set->size), v.set->size);
    case Kind::kObject: {
      Value* keys = copy_all(v.obj->keys, v.obj->size);
      Value* values = copy_all(v.obj->values, v.obj->size);
      return MakeSortedObject(arena, keys, values, v.obj->size);
    }
    default: return v;
  }
}

Value WithPath(Arena& arena, const Value& base, std::span<const Value> path, const Value& value) {
  if (path.empty()) return value;
  bool object = base.is_object();
  Value inner = WithPath(arena, object ? Lookup(base, path[0]) : Value(), path.subspan(1), value);
  ObjectBuilder b(arena, object ? base.obj->size + 1 : 1);
  if (object) {
    for (uint32_t i = 0; i < base.obj->size; ++i) b.Add(base.obj->keys[i], base.obj->values[i]);
  }
  b.Add(path[0], inner);
  return b.Finish();
}

}  // namespace hexr::rego
