// JSON as RFC 8259 has it and nothing more: one text, one value. Values, thread-compatible.
// A text that two parsers could read differently (duplicate keys, lone surrogates, bytes after the end) is refused,
// since policy decides on one reading and the peer acts on its own.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/limits/json.h"
#include "base/result.h"

namespace hexr::wire {

class Json;
struct JsonMember;
using JsonArray = std::vector<Json>;

// Members in the order they were written or set; keys are unique.
class JsonObject {
 public:
  JsonObject() noexcept;
  JsonObject(std::initializer_list<JsonMember> members);
  JsonObject(const JsonObject&);
  JsonObject(JsonObject&&) noexcept;
  JsonObject& operator=(const JsonObject&);
  JsonObject& operator=(JsonObject&&) noexcept;
  ~JsonObject();

  // Null when there is no such key. Linear: objects on our paths are small.
  const Json* Find(std::string_view key) const;
  Json* Find(std::string_view key);
  // Replaces in place, or appends.
  void Set(std::string_view key, Json value);
  bool Erase(std::string_view key);

  bool empty() const;
  size_t size() const;
  std::vector<JsonMember>::const_iterator begin() const;
  std::vector<JsonMember>::const_iterator end() const;
  std::vector<JsonMember>::iterator begin();
  std::vector<JsonMember>::iterator end();
  // Objects are equal when they hold the same members, in any order.
  bool operator==(const JsonObject& other) const;

 private:
  friend class JsonParser;  // appends after its own duplicate check
  std::vector<JsonMember> members_;
};

class Json {
 public:
  enum class Kind : uint8_t { kNull, kBool, kInteger, kBigInteger, kDouble, kString, kArray, kObject };
  // An integer that 64 signed bits cannot hold: its decimal digits, never rounded.
  class BigInteger {
   public:
    const std::string& digits() const { return digits_; }
    bool operator==(const BigInteger&) const = default;

   private:
    friend class Json;
    friend class JsonParser;
    explicit BigInteger(std::string digits) : digits_(std::move(digits)) {}
    std::string digits_;
  };

  Json() = default;
  Json(std::nullptr_t) {}                           // NOLINT: literals read as JSON does
  Json(std::same_as<bool> auto b) : v_(b) {}        // NOLINT
  Json(double d) : v_(d) {}                         // NOLINT: NaN and infinities become null
  Json(std::string s) : v_(std::move(s)) {}         // NOLINT
  Json(std::string_view s) : v_(std::string(s)) {}  // NOLINT
  Json(const char* s) : v_(std::string(s)) {}       // NOLINT
  Json(JsonArray a) : v_(std::move(a)) {}           // NOLINT
  Json(JsonObject o) : v_(std::move(o)) {}          // NOLINT
  template <std::integral T>
  requires(!std::same_as<T, bool>) Json(T i) {  // NOLINT
    if (std::in_range<int64_t>(i))
      v_ = static_cast<int64_t>(i);
    else
      v_ = BigInteger(std::to_string(i));
  }

  Kind kind() const { return static_cast<Kind>(v_.index()); }
  bool is_null() const { return kind() == Kind::kNull; }
  bool is_object() const { return kind() == Kind::kObject; }
  bool is_array() const { return kind() == Kind::kArray; }
  bool is_string() const { return kind() == Kind::kString; }
  bool is_number() const { return kind() >= Kind::kInteger && kind() <= Kind::kDouble; }

  // Null when the value is of another kind: no conversion happens by itself.
  const bool* as_bool() const { return std::get_if<bool>(&v_); }
  const int64_t* as_integer() const { return std::get_if<int64_t>(&v_); }
  const BigInteger* as_big_integer() const { return std::get_if<BigInteger>(&v_); }
  const double* as_double() const { return std::get_if<double>(&v_); }
  const std::string* as_string() const { return std::get_if<std::string>(&v_); }
  const JsonArray* as_array() const { return std::get_if<JsonArray>(&v_); }
  const JsonObject* as_object() const { return std::get_if<JsonObject>(&v_); }
  std::string* as_string() { return std::get_if<std::string>(&v_); }
  JsonArray* as_array() { return std::get_if<JsonArray>(&v_); }
  JsonObject* as_object() { return std::get_if<JsonObject>(&v_); }

  // Any number as the nearest double; nothing for other kinds.
  std::optional<double> ToDouble() const;

  // The member `key` of an object; null when this is no object or has no such member.
  const Json* Find(std::string_view key) const { return as_object() != nullptr ? as_object()->Find(key) : nullptr; }
  Json* Find(std::string_view key) { return as_object() != nullptr ? as_object()->Find(key) : nullptr; }
  // Member `key` when it is there and of that kind; nothing otherwise.
  std::optional<std::string_view> FindString(std::string_view key) const;
  std::optional<int64_t> FindInteger(std::string_view key) const;
  std::optional<bool> FindBool(std::string_view key) const;
  const JsonArray* FindArray(std::string_view key) const;

  bool operator==(const Json& other) const = default;

 private:
  friend class JsonParser;
  std::variant<std::nullptr_t, bool, int64_t, BigInteger, double, std::string, JsonArray, JsonObject> v_;
};

struct JsonMember {
  std::string key;
  Json value;
  bool operator==(const JsonMember&) const = default;
};

// Defined here because a member holds a Json, which holds an object.
inline JsonObject::JsonObject() noexcept = default;
inline JsonObject::JsonObject(const JsonObject&) = default;
inline JsonObject::JsonObject(JsonObject&&) noexcept = default;
inline JsonObject& JsonObject::operator=(const JsonObject&) = default;
inline JsonObject& JsonObject::operator=(JsonObject&&) noexcept = default;
inline JsonObject::~JsonObject() = default;
inline bool JsonObject::empty() const { return members_.empty(); }
inline size_t JsonObject::size() const { return members_.size(); }
inline std::vector<JsonMember>::const_iterator JsonObject::begin() const { return members_.begin(); }
inline std::vector<JsonMember>::const_iterator JsonObject::end() const { return members_.end(); }
inline std::vector<JsonMember>::iterator JsonObject::begin() { return members_.begin(); }
inline std::vector<JsonMember>::iterator JsonObject::end() { return members_.end(); }

struct JsonOptions {
  size_t max_bytes = limits::kMaxJsonBytes;
  size_t max_depth = limits::kMaxJsonDepth;    // nested arrays and objects
  size_t max_values = limits::kMaxJsonValues;  // bounds memory: a two-byte value costs about 40 bytes parsed
};

// INVALID_ARGUMENT "json LINE:COLUMN: why" (column in bytes, from 1); RESOURCE_EXHAUSTED over a bound. The message
// never quotes the text. Refused besides bad syntax: invalid UTF-8, a byte order mark, lone surrogates, duplicate
// keys, numbers beyond double's range, anything but white space after the value.
Result<Json> ParseJson(std::string_view text, const JsonOptions& options = {});

enum class JsonStyle : uint8_t { kCompact, kPretty };

// ParseJson(ToJson(x)) == x. Doubles are the shortest text that reads back and keep a point or an exponent;
// NaN and infinities are written as null, invalid UTF-8 in strings as U+FFFD.
std::string ToJson(const Json& value, JsonStyle style = JsonStyle::kCompact);

// RFC 8785 (JCS): members sorted by UTF-16 code units, numbers as ECMAScript writes them. INVALID_ARGUMENT for what has
// no canonical form: integers that a double would round, NaN, infinities, invalid UTF-8. A canonical text is its own
// canonical form.
Result<std::string> ToCanonicalJson(const Json& value);

}  // namespace hexr::wire
