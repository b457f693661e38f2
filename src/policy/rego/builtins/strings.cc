// Strings: searching, cutting, replacing, case, formatting.
#include <unicode/uchar.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "policy/rego/builtins/gofmt.h"
#include "policy/rego/builtins/support.h"

namespace hexr::rego {
namespace {

bool IsAscii(std::string_view s) {
  return std::all_of(s.begin(), s.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

// std::string_view::find takes quadratic time where needle and hay are alike.
size_t FindWithin(std::string_view s, std::string_view what, size_t from = 0) {
  const void* at = memmem(s.data() + from, s.size() - from, what.data(), what.size());
  return at == nullptr ? std::string_view::npos : static_cast<size_t>(static_cast<const char*>(at) - s.data());
}

// A string or the strings of an array or set.
bool Strings(Call& c, size_t i, std::vector<std::string_view>& out) {
  if (c[i].is_string()) {
    out.push_back(c[i].text());
    return true;
  }
  bool ok = false;
  for (const Value& v : Elements(c[i], ok)) {
    if (!v.is_string()) {
      WrongElement(c, i, v, "string");
      return false;
    }
    out.push_back(v.text());
  }
  if (!ok) c.WrongType(i, "one of {string, set, array}");
  return ok;
}
Value AnyMatch(Call& c, bool prefix) {
  std::vector<std::string_view> texts, parts;
  if (!Strings(c, 0, texts) || !Strings(c, 1, parts)) return Value();
  for (auto t : texts) {
    if (!c.Spend(parts.size())) return Value();
    for (auto p : parts) {
      if (prefix ? t.starts_with(p) : t.ends_with(p)) return Value::Bool(true);
    }
  }
  return Value::Bool(false);
}
Value AnyPrefixMatch(Call& c) { return AnyMatch(c, true); }
Value AnySuffixMatch(Call& c) { return AnyMatch(c, false); }

Value FormatInt(Call& c) {
  Value n, base;
  if (!TakeNumber(c, 0, n) || !TakeNumber(c, 1, base)) return Value();
  auto b = ToInt64(base);
  if (!b || (*b != 2 && *b != 8 && *b != 10 && *b != 16)) return c.TypeError("operand 2 must be one of {2, 8, 10, 16}");
  return c.Text(FormatInteger(n, static_cast<int>(*b)));
}

Value Concat(Call& c) {
  std::string_view join;
  if (!TakeString(c, 0, join)) return Value();
  bool ok = false;
  auto items = Elements(c[1], ok);
  if (!ok) return c.WrongType(1, "one of {set, array}");
  size_t size = items.empty() ? 0 : join.size() * (items.size() - 1);
  for (const Value& v : items) {
    if (!v.is_string()) return WrongElement(c, 1, v, "string");
    size += v.text().size();
  }
  if (!c.Reserve(size)) return Value();
  std::string out;
  out.reserve(size);
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += join;
    out += items[i].text();
  }
  return c.Text(out);
}

Value IndexOf(Call& c) {
  std::string_view base, search;
  if (!TakeString(c, 0, base) || !TakeString(c, 1, search)) return Value();
  if (search.empty()) return c.Fail("empty search character");
  size_t at = FindWithin(base, search);
  if (at == std::string_view::npos) return Value::Int(-1);
  return Value::Int(static_cast<int64_t>(RuneCount(base.substr(0, at))));
}
Value IndexOfN(Call& c) {
  std::string_view base, search;
  if (!TakeString(c, 0, base) || !TakeString(c, 1, search)) return Value();
  if (search.empty()) return c.Fail("empty search character");
  if (!c.Spend((base.size() / 64 + 1) * (search.size() / 64 + 1))) return Value();
  ArrayBuilder out(c.arena);
  int64_t rune = 0;
  for (size_t i = 0; i < base.size(); ++rune) {
    if (base.substr(i).starts_with(search)) out.Add(Value::Int(rune));
    NextRune(base, i);
  }
  return out.Finish();
}

Value Substring(Call& c) {
  std::string_view base;
  int64_t start = 0, length = 0;
  if (!TakeString(c, 0, base) || !TakeInt(c, 1, start) || !TakeInt(c, 2, length)) return Value();
  if (start < 0) return c.Fail("negative offset");
  size_t from = 0;
  for (int64_t i = 0; i < start && from < base.size(); ++i) NextRune(base, from);
  size_t to = from;
  if (length < 0) to = base.size();
  for (int64_t i = 0; i < length && to < base.size(); ++i) NextRune(base, to);
  return c.Text(base.substr(from, to - from));
}

Value Contains(Call& c) {
  std::string_view a, b;
  return TakeString(c, 0, a) && TakeString(c, 1, b) ? Value::Bool(FindWithin(a, b) != std::string_view::npos) : Value();
}
Value StartsWith(Call& c) {
  std::string_view a, b;
  return TakeString(c, 0, a) && TakeString(c, 1, b) ? Value::Bool(a.starts_with(b)) : Value();
}
Value EndsWith(Call& c) {
  std::string_view a, b;
  return TakeString(c, 0, a) && TakeString(c, 1, b) ? Value::Bool(a.ends_with(b)) : Value();
}
Value CountOf(Call& c) {
  std::string_view a, b;
  if (!TakeString(c, 0, a) || !TakeString(c, 1, b)) return Value();
  if (b.empty()) return Value::Int(static_cast<int64_t>(RuneCount(a)) + 1);
  int64_t n = 0;
  for (size_t at = 0; (at = FindWithin(a, b, at)) != std::string_view::npos; at += b.size()) ++n;
  return Value::Int(n);
}

// Go maps code point by code point; no special casing.
Value MapCase(Call& c, UChar32 (*map)(UChar32), char from, char to, int shift) {
  std::string_view s;
  if (!TakeString(c, 0, s)) return Value();
  if (IsAscii(s)) {
    if (std::none_of(s.begin(), s.end(), [&](char ch) { return ch >= from && ch <= to; })) return c[0];
    char* copy = c.arena.New<char>(s.size());
    for (size_t i = 0; i < s.size(); ++i) copy[i] = static_cast<char>(s[i] >= from && s[i] <= to ? s[i] + shift : s[i]);
    return c.Text({copy, s.size()});
  }
  std::string out;
  for (size_t i = 0; i < s.size();) AppendRune(static_cast<char32_t>(map(static_cast<UChar32>(NextRune(s, i)))), out);
  return c.Text(out);
}
Value LowerCase(Call& c) { return MapCase(c, u_tolower, 'A', 'Z', 32); }
Value Upper(Call& c) { return MapCase(c, u_toupper, 'a', 'z', -32); }

Value Split(Call& c) {
  std::string_view s, by;
  if (!TakeString(c, 0, s) || !TakeString(c, 1, by)) return Value();
  if (!c.Reserve(s.size() * 2 + (by.empty() ? s.size() * 48 : 0))) return Value();
  ArrayBuilder out(c.arena);
  if (by.empty()) {
    for (size_t i = 0; i < s.size();) {
      size_t start = i;
      NextRune(s, i);
      out.Add(c.Text(s.substr(start, i - start)));
    }
    return out.Finish();
  }
  while (true) {
    size_t at = FindWithin(s, by);
    out.Add(c.Text(s.substr(0, at)));
    if (at == std::string_view::npos) return out.Finish();
    s.remove_prefix(at + by.size());
  }
}

// Go's strings.Replacer: at each position the first pattern that matches, in argument order; no overlap.
std::string ReplaceAll(std::string_view s, const std::vector<std::pair<std::string_view, std::string_view>>& pairs) {
  std::string out;
  bool after_match = false;
  for (size_t i = 0; i <= s.size();) {
    const std::pair<std::string_view, std::string_view>* found = nullptr;
    for (const auto& p : pairs) {
      if (s.substr(i).starts_with(p.first) && !(p.first.empty() && after_match)) {
        found = &p;
        break;
      }
    }
    if (found != nullptr && !found->first.empty()) {
      out += found->second;
      i += found->first.size();
      after_match = false;
      continue;
    }
    if (found != nullptr) out += found->second;
    if (i == s.size()) break;
    size_t start = i;
    NextRune(s, i);
    out += s.substr(start, i - start);
    after_match = false;
  }
  return out;
}
Value Replace(Call& c) {
  std::string_view s, from, to;
  if (!TakeString(c, 0, s) || !TakeString(c, 1, from) || !TakeString(c, 2, to)) return Value();
  if (from.empty() ? !c.Reserve((s.size() + 1) * (to.size() + 1))
                   : !c.Reserve((s.size() / from.size() + 1) * (to.size() + from.size())))
    return Value();
  return c.Text(ReplaceAll(s, {{from, to}}));
}
Value ReplaceN(Call& c) {
  const Obj* patterns;
  std::string_view s;
  if (!TakeObject(c, 0, patterns) || !TakeString(c, 1, s)) return Value();
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  size_t longest = 0;
  for (uint32_t i = 0; i < patterns->size; ++i) {
    if (!patterns->keys[i].is_string()) return c.TypeError("operand 1 non-string key found in pattern object");
    if (!patterns->values[i].is_string()) return c.TypeError("operand 1 non-string value found in pattern object");
    pairs.emplace_back(patterns->keys[i].text(), patterns->values[i].text());
    longest = std::max(longest, pairs.back().second.size());
  }
  if (!c.Reserve((s.size() + 1) * (longest + 1)) || !c.Spend((s.size() / 16 + 1) * pairs.size())) return Value();
  return c.Text(ReplaceAll(s, pairs));
}

bool InCutset(char32_t r, std::string_view cutset) {
  for (size_t i = 0; i < cutset.size();) {
    if (NextRune(cutset, i) == r) return true;
  }
  return false;
}
template <class Test>
std::string_view TrimFront(std::string_view s, const Test& test) {
  while (!s.empty()) {
    size_t i = 0;
    if (!test(NextRune(s, i))) break;
    s.remove_prefix(i);
  }
  return s;
}
template <class Test>
std::string_view TrimBack(std::string_view s, const Test& test) {
  while (!s.empty()) {
    size_t at = s.size() - 1;
    while (at > 0 && s.size() - at < 4 && (s[at] & 0xC0) == 0x80) --at;
    size_t i = at;
    char32_t r = NextRune(s, i);
    if (i != s.size()) {
      at = s.size() - 1;
      r = 0xFFFD;
    }
    if (!test(r)) break;
    s.remove_suffix(s.size() - at);
  }
  return s;
}
Value TrimSides(Call& c, bool front, bool back) {
  std::string_view s, cutset;
  if (!TakeString(c, 0, s) || !TakeString(c, 1, cutset)) return Value();
  auto test = [&](char32_t r) { return InCutset(r, cutset); };
  if (front) s = TrimFront(s, test);
  if (back) s = TrimBack(s, test);
  return c.Text(s);
}
Value TrimBoth(Call& c) { return TrimSides(c, true, true); }
Value TrimLeft(Call& c) { return TrimSides(c, true, false); }
Value TrimRight(Call& c) { return TrimSides(c, false, true); }
Value TrimSpace(Call& c) {
  std::string_view s;
  if (!TakeString(c, 0, s)) return Value();
  auto test = [](char32_t r) { return u_isUWhiteSpace(static_cast<UChar32>(r)) != 0; };
  return c.Text(TrimBack(TrimFront(s, test), test));
}
Value TrimPrefix(Call& c) {
  std::string_view s, part;
  if (!TakeString(c, 0, s) || !TakeString(c, 1, part)) return Value();
  return s.starts_with(part) ? c.Text(s.substr(part.size())) : c[0];
}
Value TrimSuffix(Call& c) {
  std::string_view s, part;
  if (!TakeString(c, 0, s) || !TakeString(c, 1, part)) return Value();
  return s.ends_with(part) ? c.Text(s.substr(0, s.size() - part.size())) : c[0];
}
Value Reverse(Call& c) {
  std::string_view s;
  if (!TakeString(c, 0, s)) return Value();
  std::string out(s.size(), '\0');
  size_t at = s.size();
  for (size_t i = 0; i < s.size();) {
    size_t start = i;
    NextRune(s, i);
    at -= i - start;
    s.copy(out.data() + at, i - start, start);
  }
  return c.Text(out);
}
Value Sprintf(Call& c) {
  std::string_view format;
  const Arr* args;
  if (!TakeString(c, 0, format) || !TakeArray(c, 1, args)) return Value();
  const std::string out = GoSprintf(format, args->view(), c.Room());
  return c.Reserve(out.size()) ? c.Text(out) : Value();
}

Value TemplateString(Call& c) {
  const Arr* parts;
  if (!TakeArray(c, 0, parts)) return Value();
  std::string out;
  for (const Value& p : parts->view()) {
    Value v = p;
    if (p.is_set()) {
      if (p.set->size > 1) {
        c.set_halts();
        return c.Error("eval_conflict_error", "template-strings must not produce multiple outputs");
      }
      if (p.set->size == 0) {
        out += "<undefined>";
        continue;
      }
      v = p.set->items[0];
    }
    if (v.is_string())
      out += v.text();
    else
      AppendRego(v, out);
  }
  return c.Text(out);
}

}  // namespace

std::span<const Builtin> StringBuiltins() {
  static constexpr Builtin kTable[] = {
      {.name = "strings.any_prefix_match", .arity = 2, .fn = AnyPrefixMatch},
      {.name = "strings.any_suffix_match", .arity = 2, .fn = AnySuffixMatch},
      {.name = "format_int", .arity = 2, .fn = FormatInt},
      {.name = "concat", .arity = 2, .fn = Concat},
      {.name = "indexof", .arity = 2, .fn = IndexOf},
      {.name = "indexof_n", .arity = 2, .fn = IndexOfN},
      {.name = "substring", .arity = 3, .fn = Substring},
      {.name = "contains", .arity = 2, .fn = Contains},
      {.name = "startswith", .arity = 2, .fn = StartsWith},
      {.name = "endswith", .arity = 2, .fn = EndsWith},
      {.name = "strings.count", .arity = 2, .fn = CountOf},
      {.name = "lower", .arity = 1, .fn = LowerCase},
      {.name = "upper", .arity = 1, .fn = Upper},
      {.name = "split", .arity = 2, .fn = Split},
      {.name = "replace", .arity = 3, .fn = Replace},
      {.name = "strings.replace_n", .arity = 2, .fn = ReplaceN},
      {.name = "trim", .arity = 2, .fn = TrimBoth},
      {.name = "trim_left", .arity = 2, .fn = TrimLeft},
      {.name = "trim_right", .arity = 2, .fn = TrimRight},
      {.name = "trim_space", .arity = 1, .fn = TrimSpace},
      {.name = "trim_prefix", .arity = 2, .fn = TrimPrefix},
      {.name = "trim_suffix", .arity = 2, .fn = TrimSuffix},
      {.name = "strings.reverse", .arity = 1, .fn = Reverse},
      {.name = "sprintf", .arity = 2, .fn = Sprintf},
      {.name = "internal.template_string", .arity = 1, .fn = TemplateString},
  };
  return kTable;
}

}  // namespace hexr::rego
