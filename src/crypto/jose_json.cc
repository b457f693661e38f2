#include "crypto/jose_json.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/limits/keys.h"
#include "base/utf8.h"

namespace hexr::crypto {
namespace {

Error BadJson(std::string_view what) { return InvalidArgument("JSON: " + std::string(what)); }

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  Result<JsonValue> Value(size_t depth) {
    if (depth > limits::kMaxJoseDepth) return BadJson("nested too deeply");
    Space();
    const size_t start = at_;
    JsonValue v{JsonKind::kNull, {}, {}};
    switch (Peek()) {
      case '"': {
        v.kind = JsonKind::kString;
        ASSIGN_OR_RETURN(v.text, String());
        break;
      }
      case '{': {
        v.kind = JsonKind::kObject;
        RETURN_IF_ERROR(Object(depth));
        break;
      }
      case '[': {
        v.kind = JsonKind::kArray;
        RETURN_IF_ERROR(Array(depth));
        break;
      }
      case 't':
        v.kind = JsonKind::kTrue;
        RETURN_IF_ERROR(Word("true"));
        break;
      case 'f':
        v.kind = JsonKind::kFalse;
        RETURN_IF_ERROR(Word("false"));
        break;
      case 'n': RETURN_IF_ERROR(Word("null")); break;
      default: v.kind = JsonKind::kNumber; RETURN_IF_ERROR(Number());
    }
    v.raw = text_.substr(start, at_ - start);
    return v;
  }

  Result<std::vector<JsonMember>> Object(size_t depth) {
    std::vector<JsonMember> members;
    ++at_;  // '{'
    if (Take('}')) return members;
    do {
      Space();
      if (Peek() != '"') return BadJson("a name is a string");
      ASSIGN_OR_RETURN(std::string name, String());
      if (std::ranges::find(members, name, &JsonMember::name) != members.end()) return BadJson("a name twice");
      if (!Take(':')) return BadJson("no colon behind a name");
      ASSIGN_OR_RETURN(JsonValue value, Value(depth + 1));
      if (members.size() == limits::kMaxJoseMembers) return BadJson("too many members");
      members.push_back({std::move(name), std::move(value)});
    } while (Take(','));
    if (!Take('}')) return BadJson("an object that does not end");
    return members;
  }

  Result<std::vector<JsonValue>> Array(size_t depth) {
    std::vector<JsonValue> values;
    ++at_;  // '['
    if (Take(']')) return values;
    do {
      ASSIGN_OR_RETURN(JsonValue value, Value(depth + 1));
      values.push_back(std::move(value));
    } while (Take(','));
    if (!Take(']')) return BadJson("an array that does not end");
    return values;
  }

  bool AtEnd() {
    Space();
    return at_ == text_.size();
  }
  void Space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) {
      ++at_;
    }
  }
  // NUL at the end: no JSON token begins with it.
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

 private:
  bool Take(char c) {
    Space();
    if (Peek() != c) return false;
    ++at_;
    return true;
  }

  Status Word(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return BadJson("an unknown word");
    at_ += word.size();
    return Ok();
  }

  bool Digits() {
    const size_t start = at_;
    while (Peek() >= '0' && Peek() <= '9') ++at_;
    return at_ > start;
  }

  Status Number() {
    if (Peek() == '-') ++at_;
    const bool zero = Peek() == '0';
    const size_t start = at_;
    if (!Digits() || (zero && at_ - start > 1)) return BadJson("neither a value nor a number");
    if (Peek() == '.') {
      ++at_;
      if (!Digits()) return BadJson("a number that does not end");
    }
    if (Peek() == 'e' || Peek() == 'E') {
      ++at_;
      if (Peek() == '+' || Peek() == '-') ++at_;
      if (!Digits()) return BadJson("a number that does not end");
    }
    return Ok();
  }

  Result<uint32_t> Hex4() {
    uint32_t v = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = Peek();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) return BadJson("a broken escape");
      v = v << 4 | static_cast<uint32_t>(digit);
    }
    return v;
  }

  Result<std::string> String() {
    std::string out;
    ++at_;  // '"'
    for (;;) {
      if (at_ == text_.size()) return BadJson("a string that does not end");
      const char c = text_[at_++];
      if (c == '"') return out;
      if (static_cast<unsigned char>(c) < 0x20) return BadJson("a control character in a string");
      if (c != '\\') {
        out += c;
        continue;
      }
      const char escape = Peek();
      ++at_;
      switch (escape) {
        case '"':
        case '\\':
        case '/': out += escape; break;
        case 'b': out += '\b'; break;
        case 'f': out += '\f'; break;
        case 'n': out += '\n'; break;
        case 'r': out += '\r'; break;
        case 't': out += '\t'; break;
        case 'u': {
          ASSIGN_OR_RETURN(uint32_t code, Hex4());
          if (code >= 0xdc00 && code < 0xe000) return BadJson("half a surrogate pair");
          if (code >= 0xd800 && code < 0xdc00) {
            if (!text_.substr(at_).starts_with("\\u")) return BadJson("half a surrogate pair");
            at_ += 2;
            ASSIGN_OR_RETURN(const uint32_t low, Hex4());
            if (low < 0xdc00 || low >= 0xe000) return BadJson("half a surrogate pair");
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
          }
          AppendUtf8(code, out);
          break;
        }
        default: return BadJson("a broken escape");
      }
    }
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Result<JsonObject> JsonObject::Parse(std::string_view text) {
  if (!IsUtf8(text)) return BadJson("not UTF-8");
  Scanner scanner(text);
  scanner.Space();
  if (scanner.Peek() != '{') return BadJson("not an object");
  JsonObject object;
  ASSIGN_OR_RETURN(object.members_, scanner.Object(0));
  if (!scanner.AtEnd()) return BadJson("something behind the end");
  return object;
}

const JsonValue* JsonObject::Find(std::string_view name) const {
  const auto it = std::ranges::find(members_, name, &JsonMember::name);
  return it == members_.end() ? nullptr : &it->value;
}

Result<const std::string*> JsonObject::FindString(std::string_view name) const {
  const JsonValue* const v = Find(name);
  if (v == nullptr) return static_cast<const std::string*>(nullptr);
  if (v->kind != JsonKind::kString) return BadJson(std::string(name) + " is not a string");
  return &v->text;
}

Result<std::vector<JsonValue>> ParseJsonArray(std::string_view text) {
  Scanner scanner(text);
  scanner.Space();
  if (scanner.Peek() != '[') return BadJson("not an array");
  ASSIGN_OR_RETURN(std::vector<JsonValue> values, scanner.Array(0));
  if (!scanner.AtEnd()) return BadJson("something behind the end");
  return values;
}

}  // namespace hexr::crypto
