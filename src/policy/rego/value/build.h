// Builders of composite values in an arena. Each takes entries in any order; Finish() sorts, drops repeats and indexes.
// One thread, no heap: growth copies within the arena.
#pragma once

#include <initializer_list>
#include <span>
#include <string_view>

#include "policy/rego/value/arena.h"
#include "policy/rego/value/value.h"

namespace hexr::rego {

class ArrayBuilder {
 public:
  explicit ArrayBuilder(Arena& arena, size_t reserve = 4) : arena_(&arena) { Reserve(reserve); }
  void Add(const Value& v) {
    if (size_ == capacity_) Reserve(capacity_ * 2);
    items_[size_++] = v;
  }
  size_t size() const { return size_; }
  Value& operator[](size_t i) { return items_[i]; }
  void Truncate(size_t size) { size_ = size; }
  Value Finish() const;

 private:
  void Reserve(size_t n);
  Arena* arena_;
  Value* items_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

// Members may repeat.
class SetBuilder {
 public:
  explicit SetBuilder(Arena& arena, size_t reserve = 4) : items_(arena, reserve), arena_(&arena) {}
  void Add(const Value& v) { items_.Add(v); }
  Value Finish();

 private:
  ArrayBuilder items_;
  Arena* arena_;
};

// A key may repeat: the last value wins, as in JSON readers.
class ObjectBuilder {
 public:
  explicit ObjectBuilder(Arena& arena, size_t reserve = 4)
      : keys_(arena, reserve), values_(arena, reserve), arena_(&arena) {}
  void Add(const Value& key, const Value& value) {
    keys_.Add(key);
    values_.Add(value);
  }
  void Add(std::string_view key, const Value& value) { Add(Value::String(*arena_, key), value); }
  size_t size() const { return keys_.size(); }
  Value Finish();

 private:
  ArrayBuilder keys_;
  ArrayBuilder values_;
  Arena* arena_;
};

// An object under construction that is asked while it grows (rules and comprehensions): insertion by hash. All state
// lives in the arena, so that a collector can be kept in a register of the machine.
class Collector {
 public:
  static Collector* Make(Arena& arena);
  enum class Outcome : uint8_t { kAdded, kSame, kConflict };
  // kConflict: the key is there with another value; nothing was changed.
  Outcome Insert(Arena& arena, const Value& key, const Value& value);
  // As an array builder: no look-up, repeats kept.
  void Append(Arena& arena, const Value& item);
  Value FinishArray(Arena& arena) const;
  // The value under `key` for in-place change, or null.
  Value* At(const Value& key);
  // The collector that builds the object or set under `key`, made when missing; null when a plain value is there.
  Collector* Nested(Arena& arena, const Value& key);
  bool is_set = false;
  uint32_t size() const { return size_; }
  const Value* keys() const { return keys_; }
  Value* values() { return values_; }
  Value FinishSet(Arena& arena) const;
  // Nested collectors are finished too.
  Value FinishObject(Arena& arena) const;

 private:
  void Grow(Arena& arena);
  int64_t Position(const Value& key, uint32_t hash) const;
  uint32_t size_;
  uint32_t capacity_;
  uint32_t mask_;
  uint32_t* index_;
  Value* keys_;
  Value* values_;
};

Value MakeArray(Arena& arena, std::span<const Value> items);
Value MakeSet(Arena& arena, std::span<const Value> items);
// Items are sorted and distinct already.
Value MakeSortedSet(Arena& arena, Value* items, uint32_t size);
Value MakeSortedObject(Arena& arena, Value* keys, Value* values, uint32_t size);
Value EmptyArray();
Value EmptyObject();
Value EmptySet();

// `v` with the values inside copied into `arena`: what outlives a decision.
Value DeepCopy(Arena& arena, const Value& v);
// `base` with `value` at `path`. What is missing or no object on the way is replaced by an object.
Value WithPath(Arena& arena, const Value& base, std::span<const Value> path, const Value& value);

}  // namespace hexr::rego
