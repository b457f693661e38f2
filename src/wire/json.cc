#include "wire/json.h"

#include <algorithm>
#include <charconv>

namespace hexr::wire {

JsonObject::JsonObject(std::initializer_list<JsonMember> members) {
  members_.reserve(members.size());
  for (const JsonMember& m : members) Set(m.key, m.value);
}

const Json* JsonObject::Find(std::string_view key) const {
  const auto it = std::find_if(members_.begin(), members_.end(), [key](const JsonMember& m) { return m.key == key; });
  return it == members_.end() ? nullptr : &it->value;
}

Json* JsonObject::Find(std::string_view key) {
  return const_cast<Json*>(static_cast<const JsonObject*>(this)->Find(key));
}

void JsonObject::Set(std::string_view key, Json value) {
  if (Json* old = Find(key); old != nullptr)
    *old = std::move(value);
  else
    members_.push_back({std::string(key), std::move(value)});
}

bool JsonObject::Erase(std::string_view key) {
  return std::erase_if(members_, [key](const JsonMember& m) { return m.key == key; }) != 0;
}

bool JsonObject::operator==(const JsonObject& other) const {
  if (size() != other.size()) return false;
  if (std::equal(begin(), end(), other.begin())) return true;
  const auto sorted = [](const JsonObject& o) {
    std::vector<const JsonMember*> out;
    out.reserve(o.size());
    for (const JsonMember& m : o) out.push_back(&m);
    std::sort(out.begin(), out.end(), [](const JsonMember* a, const JsonMember* b) { return a->key < b->key; });
    return out;
  };
  const auto mine = sorted(*this);
  const auto theirs = sorted(other);
  return std::equal(mine.begin(), mine.end(), theirs.begin(),
                    [](const JsonMember* a, const JsonMember* b) { return *a == *b; });
}

std::optional<double> Json::ToDouble() const {
  if (const double* d = as_double(); d != nullptr) return *d;
  if (const int64_t* i = as_integer(); i != nullptr) return static_cast<double>(*i);
  if (const BigInteger* big = as_big_integer(); big != nullptr) {
    double d = 0;
    const char* end = big->digits().data() + big->digits().size();
    if (std::from_chars(big->digits().data(), end, d).ec == std::errc()) return d;
  }
  return std::nullopt;
}

std::optional<std::string_view> Json::FindString(std::string_view key) const {
  const Json* v = Find(key);
  if (v == nullptr || v->as_string() == nullptr) return std::nullopt;
  return *v->as_string();
}

std::optional<int64_t> Json::FindInteger(std::string_view key) const {
  const Json* v = Find(key);
  if (v == nullptr || v->as_integer() == nullptr) return std::nullopt;
  return *v->as_integer();
}

std::optional<bool> Json::FindBool(std::string_view key) const {
  const Json* v = Find(key);
  if (v == nullptr || v->as_bool() == nullptr) return std::nullopt;
  return *v->as_bool();
}

const JsonArray* Json::FindArray(std::string_view key) const {
  const Json* v = Find(key);
  return v == nullptr ? nullptr : v->as_array();
}

}  // namespace hexr::wire
