// The JSON of JOSE headers and key sets: strict (RFC 8259, no duplicate names at any depth, bounded depth), read one
// level at a time. Internal to crypto, which stands below wire's JSON codec; documents of any other kind belong there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hexr::crypto {

enum class JsonKind : uint8_t { kString, kNumber, kTrue, kFalse, kNull, kObject, kArray };

struct JsonValue {
  JsonKind kind;
  std::string text;      // of a string, decoded; else empty
  std::string_view raw;  // as written: a view into the input
};

struct JsonMember {
  std::string name;
  JsonValue value;
};

class JsonObject {
 public:
  // The whole of `text` is one object. INVALID_ARGUMENT otherwise.
  static Result<JsonObject> Parse(std::string_view text);

  const std::vector<JsonMember>& members() const { return members_; }
  const JsonValue* Find(std::string_view name) const;
  // The string of this name; an error when there is one of another kind. Null when there is none.
  Result<const std::string*> FindString(std::string_view name) const;

 private:
  std::vector<JsonMember> members_;
};

// The elements of an array, as JsonValue::raw has it.
Result<std::vector<JsonValue>> ParseJsonArray(std::string_view text);

}  // namespace hexr::crypto
