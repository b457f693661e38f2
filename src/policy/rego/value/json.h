// JSON and Rego text of values. Number text is kept as written. Stateless.
#pragma once

#include <string>
#include <string_view>

#include "base/limits/rego.h"
#include "base/result.h"
#include "policy/rego/value/value.h"

namespace hexr::rego {

// RFC 8259. Repeated keys: the last wins, as in Go. Invalid UTF-8 becomes U+FFFD, as in Go. INVALID_ARGUMENT names the
// byte offset. Depth is bounded by limits::kMaxRegoDocumentDepth.
Result<Value> ParseJson(Arena& arena, std::string_view text);

struct JsonStyle {
  std::string prefix;
  std::string indent;  // empty: one line
  bool pretty = false;
  bool escape_html = true;  // as Go's json.Marshal: < > & as \u003c…
};
// Sets become sorted arrays, keys that are no strings become their JSON text.
void AppendJson(const Value& v, const JsonStyle& style, std::string& out);
std::string ToJson(const Value& v);
void AppendJsonString(std::string_view text, bool escape_html, std::string& out);

// As a Rego term: {1, 2} for sets, set() for the empty one.
std::string ToRego(const Value& v);
void AppendRego(const Value& v, std::string& out);
// Go's strconv.Quote.
void AppendGoQuoted(std::string_view text, std::string& out);

// One code point of valid UTF-8 at `at` (advanced); invalid bytes give U+FFFD and advance by one, as in Go.
char32_t NextRune(std::string_view text, size_t& at);
void AppendRune(char32_t r, std::string& out);
size_t RuneCount(std::string_view text);

}  // namespace hexr::rego
