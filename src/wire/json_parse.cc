#include <algorithm>
#include <charconv>
#include <string>

#include "base/limits/json.h"
#include "base/utf8.h"
#include "wire/json.h"

namespace hexr::wire {

// Recursive descent; recursion is bounded by max_depth. Every Parse… leaves pos_ behind what it read.
class JsonParser {
 public:
  JsonParser(std::string_view text, const JsonOptions& options) : text_(text), options_(options) {}

  Result<Json> ParseDocument() {
    if (text_.size() > options_.max_bytes) return ResourceExhausted("json: text is larger than allowed");
    Json value;
    SkipSpace();
    RETURN_IF_ERROR(ParseValue(value, 0));
    SkipSpace();
    if (pos_ != text_.size()) return Fail("text after the value");
    return value;
  }

 private:
  Error At(size_t pos, std::string_view why, ErrorCode code = ErrorCode::kInvalidArgument) const {
    const std::string_view before = text_.substr(0, pos);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const size_t newline = before.rfind('\n');
    const size_t column = newline == std::string_view::npos ? pos + 1 : pos - newline;
    std::string message = "json " + std::to_string(line) + ":" + std::to_string(column) + ": ";
    return {code, message.append(why)};
  }
  Error Fail(std::string_view why) const { return At(pos_, why); }

  bool AtEnd() const { return pos_ == text_.size(); }
  char Peek() const { return pos_ < text_.size() ? text_[pos_] : '\0'; }
  bool Take(char c) {
    if (AtEnd() || text_[pos_] != c) return false;
    ++pos_;
    return true;
  }
  void SkipSpace() {
    while (!AtEnd() && (text_[pos_] == ' ' || text_[pos_] == '\n' || text_[pos_] == '\r' || text_[pos_] == '\t'))
      ++pos_;
  }
  static bool IsDigit(char c) { return c >= '0' && c <= '9'; }

  Status ParseValue(Json& out, size_t depth) {
    if (++values_ > options_.max_values) return At(pos_, "more values than allowed", ErrorCode::kResourceExhausted);
    if (AtEnd()) return Fail("unexpected end");
    switch (Peek()) {
      case '{': return ParseObject(out, depth + 1);
      case '[': return ParseArray(out, depth + 1);
      case '"': {
        std::string s;
        RETURN_IF_ERROR(ParseString(s));
        out = Json(std::move(s));
        return Ok();
      }
      case 't': return ParseWord("true", true, out);
      case 'f': return ParseWord("false", false, out);
      case 'n': return ParseWord("null", nullptr, out);
      default: return ParseNumber(out);
    }
  }

  Status ParseWord(std::string_view word, Json value, Json& out) {
    if (text_.substr(pos_, word.size()) != word) return Fail("no such word");
    pos_ += word.size();
    out = std::move(value);
    return Ok();
  }

  Status ParseArray(Json& out, size_t depth) {
    if (depth > options_.max_depth) return At(pos_, "nested deeper than allowed", ErrorCode::kResourceExhausted);
    ++pos_;
    JsonArray array;
    SkipSpace();
    if (!Take(']')) {
      while (true) {
        SkipSpace();
        RETURN_IF_ERROR(ParseValue(array.emplace_back(), depth));
        SkipSpace();
        if (Take(']')) break;
        if (!Take(',')) return Fail("expected ',' or ']'");
      }
    }
    out = Json(std::move(array));
    return Ok();
  }

  Status ParseObject(Json& out, size_t depth) {
    if (depth > options_.max_depth) return At(pos_, "nested deeper than allowed", ErrorCode::kResourceExhausted);
    ++pos_;
    JsonObject object;
    std::vector<size_t> key_at;
    SkipSpace();
    if (!Take('}')) {
      while (true) {
        SkipSpace();
        if (Peek() != '"') return Fail("expected a key");
        key_at.push_back(pos_);
        JsonMember& member = object.members_.emplace_back();
        RETURN_IF_ERROR(ParseString(member.key));
        SkipSpace();
        if (!Take(':')) return Fail("expected ':'");
        SkipSpace();
        RETURN_IF_ERROR(ParseValue(member.value, depth));
        SkipSpace();
        if (Take('}')) break;
        if (!Take(',')) return Fail("expected ',' or '}'");
      }
    }
    RETURN_IF_ERROR(CheckUnique(object, key_at));
    out = Json(std::move(object));
    return Ok();
  }

  // Small objects by comparing, large ones by sorting: no hash that chosen keys could turn quadratic.
  Status CheckUnique(const JsonObject& object, const std::vector<size_t>& key_at) const {
    const std::vector<JsonMember>& m = object.members_;
    if (m.size() <= 12) {
      for (size_t i = 1; i < m.size(); ++i) {
        for (size_t j = 0; j < i; ++j) {
          if (m[i].key == m[j].key) return At(key_at[i], "duplicate key");
        }
      }
      return Ok();
    }
    std::vector<size_t> order(m.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&m](size_t a, size_t b) {
      const int c = m[a].key.compare(m[b].key);
      return c != 0 ? c < 0 : a < b;
    });
    for (size_t i = 1; i < order.size(); ++i) {
      if (m[order[i]].key == m[order[i - 1]].key) return At(key_at[order[i]], "duplicate key");
    }
    return Ok();
  }

  Status ParseNumber(Json& out) {
    const size_t start = pos_;
    Take('-');
    if (!IsDigit(Peek())) {
      pos_ = start;
      return Fail("expected a value");
    }
    if (!Take('0')) {
      while (IsDigit(Peek())) ++pos_;
    } else if (IsDigit(Peek())) {
      return Fail("a number has no leading zero");
    }
    bool integer = true;
    if (Take('.')) {
      integer = false;
      if (!IsDigit(Peek())) return Fail("expected a digit");
      while (IsDigit(Peek())) ++pos_;
    }
    if (Peek() == 'e' || Peek() == 'E') {
      integer = false;
      ++pos_;
      if (Peek() == '+' || Peek() == '-') ++pos_;
      if (!IsDigit(Peek())) return Fail("expected a digit");
      while (IsDigit(Peek())) ++pos_;
    }
    const std::string_view lexeme = text_.substr(start, pos_ - start);
    if (lexeme.size() > limits::kMaxJsonNumberBytes) {
      return At(start, "number is longer than allowed", ErrorCode::kResourceExhausted);
    }
    const char* first = lexeme.data();
    const char* last = first + lexeme.size();
    if (integer && lexeme != "-0") {  // the sign of zero is a double's affair
      int64_t i = 0;
      if (std::from_chars(first, last, i).ec == std::errc())
        out = Json(i);
      else
        out.v_ = Json::BigInteger(std::string(lexeme));
      return Ok();
    }
    double d = 0;
    const auto [end, ec] = std::from_chars(first, last, d);
    if (end != last || (ec != std::errc() && ec != std::errc::result_out_of_range)) return At(start, "bad number");
    if (ec == std::errc::result_out_of_range) {
      // Too small is zero, as in every other reader; too large has no reading that all share.
      if (!Underflows(lexeme)) return At(start, "number is out of range");
      d = lexeme[0] == '-' ? -0.0 : 0.0;
    }
    out = Json(d);
    return Ok();
  }

  // Of a lexeme that is outside of double's range: it is below it when it has a negative exponent, or when nothing
  // but zeros stands before the point.
  static bool Underflows(std::string_view lexeme) {
    const size_t e = lexeme.find_first_of("eE");
    if (e != std::string_view::npos) return lexeme[e + 1] == '-';
    return lexeme.find_first_not_of("-0") == lexeme.find('.');
  }

  Status ParseString(std::string& out) {
    ++pos_;
    while (true) {
      const size_t run = pos_;
      while (pos_ < text_.size()) {
        const auto c = static_cast<uint8_t>(text_[pos_]);
        if (c == '"' || c == '\\' || c < 0x20) break;
        if (c < 0x80) {
          ++pos_;
          continue;
        }
        const size_t n = Utf8Length(pos_);
        if (n == 0) return Fail("invalid UTF-8");
        pos_ += n;
      }
      out.append(text_, run, pos_ - run);
      if (AtEnd()) return Fail("unexpected end of a string");
      if (Take('"')) return Ok();
      if (static_cast<uint8_t>(Peek()) < 0x20) return Fail("control character in a string");
      RETURN_IF_ERROR(ParseEscape(out));
    }
  }

  // Bytes of the well-formed sequence at `at` (RFC 3629 section 4), 0 when there is none.
  size_t Utf8Length(size_t at) const {
    const auto byte = [this](size_t i) { return i < text_.size() ? static_cast<uint8_t>(text_[i]) : uint8_t{0}; };
    const uint8_t lead = byte(at);
    const uint8_t second = byte(at + 1);
    uint8_t low = 0x80;
    uint8_t high = 0xBF;
    size_t n = 0;
    if (lead >= 0xC2 && lead <= 0xDF)
      n = 2;
    else if (lead >= 0xE0 && lead <= 0xEF)
      n = 3;
    else if (lead >= 0xF0 && lead <= 0xF4)
      n = 4;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
    if (n == 0 || second < low || second > high) return 0;
    for (size_t i = 2; i < n; ++i) {
      if ((byte(at + i) & 0xC0) != 0x80) return 0;
    }
    return n;
  }

  Status ParseEscape(std::string& out) {
    const size_t start = pos_;
    ++pos_;
    const char c = Peek();
    ++pos_;
    switch (c) {
      case '"': out += '"'; return Ok();
      case '\\': out += '\\'; return Ok();
      case '/': out += '/'; return Ok();
      case 'b': out += '\b'; return Ok();
      case 'f': out += '\f'; return Ok();
      case 'n': out += '\n'; return Ok();
      case 'r': out += '\r'; return Ok();
      case 't': out += '\t'; return Ok();
      case 'u': break;
      default: return At(start, "no such escape");
    }
    uint32_t code = 0;
    RETURN_IF_ERROR(ParseHex4(code));
    if (code >= 0xDC00 && code <= 0xDFFF) return At(start, "lone surrogate");
    if (code >= 0xD800 && code <= 0xDBFF) {
      uint32_t low = 0;
      if (!Take('\\') || !Take('u')) return At(start, "lone surrogate");
      RETURN_IF_ERROR(ParseHex4(low));
      if (low < 0xDC00 || low > 0xDFFF) return At(start, "lone surrogate");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    AppendUtf8(code, out);
    return Ok();
  }

  Status ParseHex4(uint32_t& code) {
    for (int i = 0; i < 4; ++i, ++pos_) {
      const char c = Peek();
      const char lower = static_cast<char>(c | 0x20);
      uint32_t digit = 0;
      if (IsDigit(c))
        digit = static_cast<uint32_t>(c - '0');
      else if (lower >= 'a' && lower <= 'f')
        digit = static_cast<uint32_t>(lower - 'a' + 10);
      else
        return Fail("expected four hexadecimal digits");
      code = code << 4 | digit;
    }
    return Ok();
  }

  std::string_view text_;
  const JsonOptions& options_;
  size_t pos_ = 0;
  size_t values_ = 0;
};

Result<Json> ParseJson(std::string_view text, const JsonOptions& options) {
  return JsonParser(text, options).ParseDocument();
}

}  // namespace hexr::wire
