// glob.match: gobwas patterns as regular expressions of linear time.
#include <re2/re2.h>

#include <span>

#include "policy/rego/builtins/regex_cache.h"
#include "policy/rego/builtins/support.h"

namespace hexr::rego {
namespace {

std::string Quoted(std::string_view s) { return re2::RE2::QuoteMeta(re2::StringPiece(s.data(), s.size())); }

// The regular expression of a glob; empty with `error` set when malformed.
std::string Translate(std::string_view glob, std::string_view separators, std::string& error) {
  // Separators as a class; none: anything but nothing.
  std::string any = "(?s:.)";
  if (!separators.empty()) {
    any = "[^";
    for (size_t i = 0; i < separators.size();) {
      size_t start = i;
      NextRune(separators, i);
      any += Quoted(separators.substr(start, i - start));
    }
    any += "]";
  }
  std::string out = "^(?:";
  int depth = 0;
  for (size_t i = 0; i < glob.size();) {
    size_t start = i;
    char32_t r = NextRune(glob, i);
    switch (r) {
      case '*':
        if (i < glob.size() && glob[i] == '*') {
          while (i < glob.size() && glob[i] == '*') ++i;
          out += "(?s:.)*";
        } else {
          out += any + "*";
        }
        break;
      case '?': out += any; break;
      case '[': {
        size_t close;
        bool negated = i < glob.size() && glob[i] == '!';
        if (negated) ++i;
        std::string set = negated ? "[^" : "[";
        size_t members = 0;
        bool range = false;
        for (close = i; close < glob.size() && glob[close] != ']';) {
          if (glob[close] == '\\' && close + 1 < glob.size()) ++close;
          size_t from = close;
          if (glob[close] == '-' && members == 1 && !range) {
            range = true;
            set += '-';
            ++close;
            continue;
          }
          NextRune(glob, close);
          set += Quoted(glob.substr(from, close - from));
          ++members;
        }
        if (close >= glob.size() || members == 0) {
          error = "unexpected end of input";
          return "";
        }
        out += set + "]";
        i = close + 1;
        break;
      }
      case '{':
        ++depth;
        out += "(?:";
        break;
      case '}':
        if (depth > 0) {
          --depth;
          out += ")";
        } else {
          out += "\\}";
        }
        break;
      case ',': out += depth > 0 ? "|" : ","; break;
      case '\\':
        if (i < glob.size()) {
          start = i;
          NextRune(glob, i);
        }
        out += Quoted(glob.substr(start, i - start));
        break;
      default: out += Quoted(glob.substr(start, i - start));
    }
  }
  if (depth != 0) {
    error = "unexpected end of input";
    return "";
  }
  return out + ")$";
}

Value GlobMatch(Call& c) {
  std::string_view pattern, s;
  if (!TakeString(c, 0, pattern)) return Value();
  // Under one key with its separators: a pattern is translated once.
  size_t size = pattern.size() + 2;
  std::span<const Value> separators;
  Value dot = c.Text(".");
  if (c[1].is_array()) {
    separators = c[1].arr->size == 0 ? std::span<const Value>(&dot, 1) : c[1].arr->view();
    for (const Value& v : separators) {
      if (!v.is_string() || RuneCount(v.text()) != 1) return WrongElement(c, 1, v, "rune");
      size += v.text().size();
    }
  } else if (c[1].kind != Kind::kNull) {
    return c.WrongType(1, "one of {array, null}");
  }
  if (!TakeString(c, 2, s)) return Value();
  char* key = c.arena.New<char>(size);
  size_t at = 0;
  key[at++] = '\x01';  // no regular expression in the cache begins like this
  for (const Value& v : separators) at += v.text().copy(key + at, v.text().size());
  size_t split = at;
  key[at++] = '\x01';
  at += pattern.copy(key + at, pattern.size());
  const re2::RE2* re = c.services.regexes->Find({key, at});
  if (re == nullptr) {
    std::string error;
    std::string regex = Translate(pattern, {key + 1, split - 1}, error);
    if (regex.empty()) return c.Fail(error);
    re = c.services.regexes->Put({key, at}, regex, &error);
    if (re == nullptr) return c.Fail(error);
  }
  return Value::Bool(re->Match(re2::StringPiece(s.data(), s.size()), 0, s.size(), re2::RE2::UNANCHORED, nullptr, 0));
}

Value QuoteMeta(Call& c) {
  std::string_view s;
  if (!TakeString(c, 0, s)) return Value();
  std::string out;
  for (char ch : s) {
    if (std::string_view("*?\\[]{}").find(ch) != std::string_view::npos) out += '\\';
    out += ch;
  }
  return c.Text(out);
}

}  // namespace

std::span<const Builtin> GlobBuiltins() {
  static constexpr Builtin kTable[] = {
      {.name = "glob.match", .arity = 3, .fn = GlobMatch},
      {.name = "glob.quote_meta", .arity = 1, .fn = QuoteMeta},
  };
  return kTable;
}

}  // namespace hexr::rego
