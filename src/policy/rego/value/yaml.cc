#include "policy/rego/value/yaml.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/limits/rego.h"
#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"
#include "policy/rego/value/number.h"

namespace hexr::rego {
namespace {

// YAML 1.1 plain scalars as Go's yaml reads them.
Value Plain(Arena& arena, const std::string& s) {
  if (s.empty() || s == "~" || s == "null" || s == "Null" || s == "NULL") return Value::Null();
  if (s == "true" || s == "True" || s == "TRUE" || s == "yes" || s == "Yes" || s == "YES" || s == "on" || s == "On" ||
      s == "ON")
    return Value::Bool(true);
  if (s == "false" || s == "False" || s == "FALSE" || s == "no" || s == "No" || s == "NO" || s == "off" || s == "Off" ||
      s == "OFF")
    return Value::Bool(false);
  bool numeric = s[0] == '-' || s[0] == '+' || s[0] == '.' || (s[0] >= '0' && s[0] <= '9');
  if (!numeric) return Value::String(arena, s);
  std::string t = s;
  std::erase(t, '_');
  std::string body = t[0] == '-' || t[0] == '+' ? t.substr(1) : t;
  int base = body.starts_with("0x") ? 16 : body.starts_with("0o") ? 8 : body.starts_with("0b") ? 2 : 0;
  if (base != 0) {
    if (auto n = ParseInteger(arena, (t[0] == '-' ? "-" : "") + body.substr(2), base)) return *n;
    return Value::String(arena, s);
  }
  if (body.size() > 1 && body[0] == '0' &&
      std::all_of(body.begin(), body.end(), [](char c) { return c >= '0' && c <= '7'; })) {
    if (auto n = ParseInteger(arena, (t[0] == '-' ? "-" : "") + body, 8)) return *n;
  }
  if (t[0] == '+') t.erase(0, 1);
  if (auto n = ParseNumber(arena, t)) {
    if (n->kind == Kind::kInt || t.find_first_of(".eE") == std::string::npos) return *n;
    // Floats pass through float64, as they do on the way from YAML to JSON in Go.
    return FromDouble(arena, ToDouble(*n));
  }
  if (!body.empty() && body[0] == '.' && body.size() > 1 && body[1] >= '0' && body[1] <= '9') {
    if (auto n = ParseNumber(arena, (t[0] == '-' ? "-0" : "0") + body)) return FromDouble(arena, ToDouble(*n));
  }
  if (body.size() > 1 && body.ends_with('.')) {
    if (auto n = ParseNumber(arena, t + "0")) return FromDouble(arena, ToDouble(*n));
  }
  return Value::String(arena, s);
}

class Builder {
 public:
  explicit Builder(Arena& arena) : arena_(arena) {}

  // yaml-cpp writes the escapes for U+00A0 and U+0085 as single bytes, which are no UTF-8.
  static std::string TextOf(const YAML::Node& n) {
    const std::string& raw = n.Scalar();
    if (IsUtf8(raw)) return raw;
    std::string out;
    for (size_t i = 0; i < raw.size();) {
      const size_t start = i;
      const char32_t r = NextRune(raw, i);
      AppendRune(r == 0xFFFD && i == start + 1 ? static_cast<uint8_t>(raw[start]) : r, out);
    }
    return out;
  }

  Result<Value> Build(const YAML::Node& n, size_t depth) {
    // Aliases make small texts into huge documents: nodes are counted, not bytes.
    if (depth > limits::kMaxRegoDocumentDepth || ++nodes_ > limits::kMaxRegoYamlNodes)
      return ResourceExhausted("document contains excessive aliasing");
    switch (n.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null: return Value::Null();
      case YAML::NodeType::Scalar:
        if (n.Tag() == "!" || n.Tag() == "tag:yaml.org,2002:str") return Value::String(arena_, TextOf(n));
        return Plain(arena_, TextOf(n));
      case YAML::NodeType::Sequence: {
        ArrayBuilder b(arena_, n.size());
        for (const auto& item : n) {
          ASSIGN_OR_RETURN(Value v, Build(item, depth + 1));
          b.Add(v);
        }
        return b.Finish();
      }
      case YAML::NodeType::Map: {
        ObjectBuilder b(arena_, n.size());
        for (const auto& item : n) {
          ASSIGN_OR_RETURN(Value key, Build(item.first, depth + 1));
          ASSIGN_OR_RETURN(Value v, Build(item.second, depth + 1));
          if (key.is_string() && key.text() == "<<" && v.is_object()) {
            for (uint32_t i = 0; i < v.obj->size; ++i) b.Add(v.obj->keys[i], v.obj->values[i]);
            continue;
          }
          if (!key.is_string()) key = Value::String(arena_, ToJson(key));
          b.Add(key, v);
        }
        return b.Finish();
      }
    }
    return Value::Null();
  }

 private:
  Arena& arena_;
  size_t nodes_ = 0;
};

// A plain scalar would be read back as something else, or not at all.
bool NeedsQuotes(std::string_view s) {
  if (s.empty()) return true;
  Arena scratch(1024);
  if (!Plain(scratch, std::string(s)).is_string()) return true;
  if (std::string_view("-?:,[]{}#&*!|>'\"%@` ").find(s[0]) != std::string_view::npos) {
    bool indicator_only = (s[0] == '-' || s[0] == '?' || s[0] == ':') && s.size() > 1 && s[1] != ' ';
    if (!indicator_only) return true;
  }
  if (s == "=" || s == "<<" || s == "y" || s == "Y" || s == "n" || s == "N") return true;
  if (s.back() == ' ' || s.back() == ':' || s.find(": ") != std::string_view::npos ||
      s.find(" #") != std::string_view::npos)
    return true;
  // Dates are a type of their own in YAML 1.1.
  return s.size() >= 10 && s[4] == '-' && s[7] == '-' &&
         std::all_of(s.begin(), s.begin() + 4, [](char c) { return c >= '0' && c <= '9'; });
}

bool Printable(std::string_view s) {
  return std::none_of(s.begin(), s.end(),
                      [](char c) { return (static_cast<uint8_t>(c) < 0x20 && c != '\n') || c == 0x7F; });
}

void Scalar(std::string_view s, size_t indent, std::string& out) {
  if (!Printable(s)) {
    AppendJsonString(s, false, out);
    return;
  }
  if (s.find('\n') != std::string_view::npos) {
    // A block keeps line breaks: |, |- without and |+ with more than one at the end.
    if (s[0] == ' ' || s[0] == '\n')
      out += "|2";
    else
      out += "|";
    std::string_view body = s;
    if (!s.ends_with('\n'))
      out += '-';
    else if (s.size() == 1 || s[s.size() - 2] == '\n')
      out += '+';
    if (body.ends_with('\n')) body.remove_suffix(1);
    size_t start = 0;
    while (true) {
      size_t end = body.find('\n', start);
      std::string_view line = body.substr(start, end == std::string_view::npos ? end : end - start);
      out += '\n';
      if (!line.empty()) out += std::string(indent, ' ') + std::string(line);
      if (end == std::string_view::npos) return;
      start = end + 1;
    }
  }
  if (!NeedsQuotes(s)) {
    out += s;
    return;
  }
  Arena scratch(1024);
  // What another type would be read from is quoted twice, the rest once, as Go's yaml does.
  bool date = s.size() >= 10 && s[4] == '-' && s[7] == '-';
  bool plain_type = date || (!s.empty() && !Plain(scratch, std::string(s)).is_string());
  if (plain_type || s.empty()) {
    AppendJsonString(s, false, out);
    return;
  }
  out += '\'';
  for (char c : s) out += c == '\'' ? std::string("''") : std::string(1, c);
  out += '\'';
}

void WriteYaml(const Value& v, size_t indent, bool in_map, std::string& out) {
  switch (v.kind) {
    case Kind::kString: Scalar(v.text(), std::max<size_t>(indent, 2), out); break;
    case Kind::kArray:
    case Kind::kSet: {
      auto items = v.is_array() ? v.arr->view() : v.set->view();
      if (items.empty()) {
        out += "[]";
        break;
      }
      // A list in a map stands at the map's own indentation.
      size_t at = in_map ? indent - 2 : indent;
      for (size_t i = 0; i < items.size(); ++i) {
        if (i > 0 || in_map) out += "\n" + std::string(at, ' ');
        out += "- ";
        WriteYaml(items[i], at + 2, false, out);
      }
      break;
    }
    case Kind::kObject:
      if (v.obj->size == 0) {
        out += "{}";
        break;
      }
      for (uint32_t i = 0; i < v.obj->size; ++i) {
        if (i > 0 || in_map) out += "\n" + std::string(indent, ' ');
        const Value& k = v.obj->keys[i];
        const std::string key = k.is_string() ? std::string(k.text()) : ToJson(k);
        // A block is no key.
        if (key.find('\n') != std::string::npos)
          AppendJsonString(key, false, out);
        else
          Scalar(key, indent + 2, out);
        out += ':';
        const Value& x = v.obj->values[i];
        bool block =
            (x.is_object() && x.obj->size > 0) || (x.is_array() && x.arr->size > 0) || (x.is_set() && x.set->size > 0);
        if (!block) out += ' ';
        WriteYaml(x, indent + 2, true, out);
      }
      break;
    default: AppendJson(v, JsonStyle{}, out);
  }
}

}  // namespace

Result<Value> ParseYaml(Arena& arena, std::string_view text) {
  if (!IsUtf8(text)) return InvalidArgument("line 1: invalid UTF-8");
  // yaml-cpp throws; nothing else here does.
  try {
    YAML::Node root = YAML::Load(std::string(text));
    return Builder(arena).Build(root, 0);
  } catch (const YAML::Exception& e) {
    std::string why = e.msg;
    if (why.find("end of") != std::string::npos) why = "did not find expected node content (" + why + ")";
    return InvalidArgument("line " + std::to_string(e.mark.line + 1) + ": " + why);
  } catch (const std::exception& e) {
    return InvalidArgument(std::string("line 1: ") + e.what());
  }
}

std::string ToYaml(const Value& v) {
  std::string out;
  WriteYaml(v, 0, false, out);
  out += '\n';
  return out;
}

}  // namespace hexr::rego
