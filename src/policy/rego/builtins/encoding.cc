// base64, hex, JSON, YAML, URL queries.
#include <algorithm>
#include <map>

#include "base/bytes.h"
#include "policy/rego/builtins/support.h"
#include "policy/rego/builtins/text_codecs.h"
#include "policy/rego/value/yaml.h"

namespace hexr::rego {
namespace {

Value JsonMarshal(Call& c) { return c.Text(ToJson(c[0])); }

Value JsonMarshalWithOptions(Call& c) {
  const Obj* options;
  if (!TakeObject(c, 1, options)) return Value();
  JsonStyle style;
  style.indent = "\t";
  bool implied = false, said = false, pretty = false;
  for (uint32_t i = 0; i < options->size; ++i) {
    if (!options->keys[i].is_string())
      return c.TypeError("operand 2 failed to stringify key " + ToRego(options->keys[i]));
    std::string_view key = options->keys[i].text();
    const Value& v = options->values[i];
    if (key == "prefix" || key == "indent") {
      if (!v.is_string())
        return c.TypeError("operand 2 key \"" + std::string(key) +
                           "\" failed cast to string: operand must be string but got " + std::string(KindName(v)));
      (key == "prefix" ? style.prefix : style.indent) = v.text();
      implied = true;
    } else if (key == "pretty") {
      if (v.kind != Kind::kBool) return c.TypeError("operand 2 key \"pretty\" failed cast to bool");
      said = true;
      pretty = v.is_true();
    } else {
      return c.TypeError("operand 2 object contained unknown key \"" + std::string(key) + "\"");
    }
  }
  style.pretty = said ? pretty : implied;
  std::string out = style.pretty ? style.prefix : "";
  AppendJson(c[0], style, out);
  return c.Text(out);
}
Value JsonUnmarshal(Call& c) {
  std::string_view text;
  if (!TakeString(c, 0, text) || !c.Reserve(text.size() * 2)) return Value();
  auto v = ParseJson(c.arena, text);
  return v.ok() ? *v : c.Fail(v.error().message());
}
Value JsonIsValid(Call& c) { return Value::Bool(c[0].is_string() && ParseJson(c.arena, c[0].text()).ok()); }

Value Base64Enc(Call& c) {
  std::string_view s;
  return TakeString(c, 0, s) ? c.Text(Base64Encode(AsBytes(s))) : Value();
}
Value Base64Dec(Call& c) {
  std::string_view s;
  if (!TakeString(c, 0, s)) return Value();
  std::string out, error;
  return GoBase64Decode(s, false, true, out, error) ? c.Text(out) : c.Fail(error);
}
Value Base64IsValid(Call& c) {
  std::string out, error;
  return Value::Bool(c[0].is_string() && GoBase64Decode(c[0].text(), false, true, out, error));
}
Value Base64UrlEnc(Call& c) {
  std::string_view s;
  if (!TakeString(c, 0, s)) return Value();
  std::string out = Base64UrlEncode(AsBytes(s));
  while (out.size() % 4 != 0) out += '=';
  return c.Text(out);
}
Value Base64UrlEncNoPad(Call& c) {
  std::string_view s;
  return TakeString(c, 0, s) ? c.Text(Base64UrlEncode(AsBytes(s))) : Value();
}
Value Base64UrlDec(Call& c) {
  std::string_view s;
  if (!TakeString(c, 0, s)) return Value();
  std::string out, error;
  return GoBase64UrlDecodeLax(s, out, error) ? c.Text(out) : c.Fail(error);
}

Value HexEnc(Call& c) {
  std::string_view s;
  return TakeString(c, 0, s) ? c.Text(HexEncode(AsBytes(s))) : Value();
}
Value HexDec(Call& c) {
  std::string_view s;
  if (!TakeString(c, 0, s)) return Value();
  for (size_t i = 0; i < s.size(); ++i) {
    if (std::string_view("0123456789abcdefABCDEF").find(s[i]) == std::string_view::npos) {
      char buffer[64];
      size_t at = i;
      char32_t r = static_cast<uint8_t>(s[i]) < 0x80 ? NextRune(s, at) : static_cast<uint8_t>(s[i]);
      std::string shown;
      AppendRune(r, shown);
      std::snprintf(buffer, sizeof buffer, "encoding/hex: invalid byte: U+%04X '%s'", static_cast<unsigned>(r),
                    shown.c_str());
      return c.Fail(buffer);
    }
  }
  auto bytes = HexDecode(s);
  if (!bytes.ok()) return c.Fail("encoding/hex: odd length hex string");
  return c.Text(AsText(*bytes));
}

Value QueryEnc(Call& c) {
  std::string_view s;
  return TakeString(c, 0, s) ? c.Text(QueryEscape(s)) : Value();
}
Value QueryDec(Call& c) {
  std::string_view s;
  if (!TakeString(c, 0, s)) return Value();
  std::string out, error;
  return QueryUnescape(s, out, error) ? c.Text(out) : c.Fail(error);
}
Value QueryEncObject(Call& c) {
  const Obj* o;
  if (!TakeObject(c, 0, o)) return Value();
  auto wrong = [&] { return c.TypeError("operand 1 values must be string, array[string], or set[string]"); };
  std::string out;
  auto add = [&](std::string_view key, const Value& v) {
    out += (out.empty() ? "" : "&") + QueryEscape(key) + "=" + QueryEscape(v.text());
  };
  for (uint32_t i = 0; i < o->size; ++i) {
    std::string key = o->keys[i].is_string() ? std::string(o->keys[i].text()) : ToJson(o->keys[i]);
    const Value& v = o->values[i];
    if (v.is_string()) {
      add(key, v);
      continue;
    }
    bool ok = false;
    for (const Value& x : Elements(v, ok)) {
      if (!x.is_string()) return wrong();
      add(key, x);
    }
    if (!ok) return wrong();
  }
  return c.Text(out);
}
Value QueryDecObject(Call& c) {
  std::string_view s;
  if (!TakeString(c, 0, s)) return Value();
  std::map<std::string, std::vector<Value>> found;
  std::string problem;
  while (!s.empty()) {
    size_t amp = s.find('&');
    std::string_view part = s.substr(0, amp);
    s = amp == std::string_view::npos ? std::string_view() : s.substr(amp + 1);
    if (part.empty()) continue;
    if (part.find(';') != std::string_view::npos) {
      problem = "invalid semicolon separator in query";
      continue;
    }
    size_t eq = part.find('=');
    std::string key, value, error;
    if (!QueryUnescape(part.substr(0, eq), key, error) ||
        !QueryUnescape(eq == std::string_view::npos ? std::string_view() : part.substr(eq + 1), value, error)) {
      if (problem.empty()) problem = error;
      continue;
    }
    found[key].push_back(c.Text(value));
  }
  if (!problem.empty()) return c.Fail(problem);
  ObjectBuilder out(c.arena, found.size());
  for (const auto& [key, values] : found) out.Add(key, MakeArray(c.arena, values));
  return out.Finish();
}

Value YamlMarshal(Call& c) { return c.Text(ToYaml(c[0])); }
Value YamlUnmarshal(Call& c) {
  std::string_view s;
  if (!TakeString(c, 0, s) || !c.Reserve(s.size() * 2)) return Value();
  auto v = ParseYaml(c.arena, s);
  return v.ok() ? *v : c.Fail("yaml: " + v.error().message());
}
Value YamlIsValid(Call& c) { return Value::Bool(c[0].is_string() && ParseYaml(c.arena, c[0].text()).ok()); }

}  // namespace

std::span<const Builtin> EncodingBuiltins() {
  static constexpr Builtin kTable[] = {
      {.name = "json.marshal", .arity = 1, .fn = JsonMarshal},
      {.name = "json.marshal_with_options", .arity = 2, .fn = JsonMarshalWithOptions},
      {.name = "json.unmarshal", .arity = 1, .fn = JsonUnmarshal},
      {.name = "json.is_valid", .arity = 1, .fn = JsonIsValid},
      {.name = "base64.encode", .arity = 1, .fn = Base64Enc},
      {.name = "base64.decode", .arity = 1, .fn = Base64Dec},
      {.name = "base64.is_valid", .arity = 1, .fn = Base64IsValid},
      {.name = "base64url.encode", .arity = 1, .fn = Base64UrlEnc},
      {.name = "base64url.encode_no_pad", .arity = 1, .fn = Base64UrlEncNoPad},
      {.name = "base64url.decode", .arity = 1, .fn = Base64UrlDec},
      {.name = "hex.encode", .arity = 1, .fn = HexEnc},
      {.name = "hex.decode", .arity = 1, .fn = HexDec},
      {.name = "urlquery.encode", .arity = 1, .fn = QueryEnc},
      {.name = "urlquery.decode", .arity = 1, .fn = QueryDec},
      {.name = "urlquery.encode_object", .arity = 1, .fn = QueryEncObject},
      {.name = "urlquery.decode_object", .arity = 1, .fn = QueryDecObject},
      {.name = "yaml.marshal", .arity = 1, .fn = YamlMarshal},
      {.name = "yaml.unmarshal", .arity = 1, .fn = YamlUnmarshal},
      {.name = "yaml.is_valid", .arity = 1, .fn = YamlIsValid},
  };
  return kTable;
}

}  // namespace hexr::rego
