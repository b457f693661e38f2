// json.match_schema and json.verify_schema: JSON Schema drafts 4 to 7, with the texts of gojsonschema.
#include <algorithm>
#include <array>
#include <optional>

#include "base/limits/rego.h"
#include "policy/rego/builtins/civil.h"
#include "policy/rego/builtins/regex_cache.h"
#include "policy/rego/builtins/support.h"
#include "policy/rego/builtins/uri.h"

namespace hexr::rego {
namespace {

constexpr std::array<std::string_view, 7> kTypes = {"array", "boolean", "integer", "number",
                                                    "null",  "object",  "string"};

struct Problem {
  std::string type, field, description;
};

std::string GivenType(const Value& v) {
  if (!v.is_number()) return std::string(KindName(v));
  return IsInteger(v) ? "integer" : "number";
}

}  // namespace

Value ResolvePointer(const Value& root, std::string_view ref) {
  if (!ref.starts_with('#')) return Value();
  ref.remove_prefix(1);
  Value at = root;
  while (!ref.empty()) {
    if (ref[0] != '/') return Value();
    ref.remove_prefix(1);
    std::string step;
    size_t end = std::min(ref.find('/'), ref.size());
    for (size_t i = 0; i < end; ++i) {
      if (ref[i] == '~' && i + 1 < end)
        step += ref[++i] == '1' ? '/' : '~';
      else
        step += ref[i];
    }
    ref.remove_prefix(end);
    if (at.is_object()) {
      at = Get(*at.obj, step);
    } else if (at.is_array() && !step.empty() && step.size() < 8 &&
               step.find_first_not_of("0123456789") == std::string::npos) {
      at = Lookup(at, Value::Int(std::stoi(step)));
    } else {
      return Value();
    }
  }
  return at;
}

namespace {

// What a schema itself has to be. The first problem ends the check.
class SchemaCheck {
 public:
  SchemaCheck(RegexCache& regexes, const Value& root) : regexes_(regexes), root_(root) {}
  std::string Run() {
    Check(root_, 0);
    return error_;
  }

 private:
  bool Fail(std::string why) {
    if (error_.empty()) error_ = std::move(why);
    return false;
  }
  bool Check(const Value& schema, int depth) {
    if (schema.kind == Kind::kBool) return true;
    if (!schema.is_object()) return Fail("schema is invalid");
    if (depth > limits::kMaxRegoSchemaDepth) return Fail("schema nests too deeply");
    const Obj& o = *schema.obj;
    if (Value ref = Get(o, "$ref"); ref.is_string()) {
      if (ref.text().starts_with('#') && !ResolvePointer(root_, ref.text()).defined())
        return Fail("Object has no key '" + std::string(ref.text()) + "'");
      return true;
    }
    return Types(o) && Numbers(o) && Lists(o) && Nested(o, depth);
  }
  bool Types(const Obj& o) {
    Value type = Get(o, "type");
    if (!type.defined()) return true;
    bool list = type.is_array();
    if (!list && !type.is_string()) return Fail("type must be of type string/array of strings");
    std::vector<std::string> seen;
    for (const Value& t : list ? type.arr->view() : std::span<const Value>(&type, 1)) {
      if (!t.is_string()) return Fail("type must be of type string/array of strings");
      std::string name(t.text());
      if (std::find(kTypes.begin(), kTypes.end(), name) == kTypes.end()) {
        return Fail("has a primitive type that is NOT VALID -- given: /" + name +
                    "/ Expected valid values are:[array boolean integer number null object string]");
      }
      if (std::find(seen.begin(), seen.end(), name) != seen.end()) return Fail(name + " type is duplicated");
      seen.push_back(name);
    }
    return true;
  }
  bool Numbers(const Obj& o) {
    for (std::string_view key :
         {std::string_view("multipleOf"), std::string_view("minimum"), std::string_view("maximum")}) {
      Value v = Get(o, key);
      if (v.defined() && !v.is_number()) return Fail(std::string(key) + " must be of a number");
    }
    if (Value v = Get(o, "multipleOf"); v.defined() && CompareNumbers(v, Value::Int(0)) <= 0)
      return Fail("multipleOf must be strictly greater than 0");
    for (const char* key : {"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"}) {
      Value v = Get(o, key);
      if (!v.defined()) continue;
      if (!v.is_number() || !IsInteger(v)) return Fail(std::string(key) + " must be of an integer");
      if (CompareNumbers(v, Value::Int(0)) < 0) return Fail(std::string(key) + " must be greater than or equal to 0");
    }
    return true;
  }
  bool Lists(const Obj& o) {
    if (Value required = Get(o, "required"); required.defined() && required.kind != Kind::kBool) {
      if (!required.is_array()) return Fail("required must be of an array");
      for (const Value& v : required.arr->view()) {
        if (!v.is_string()) return Fail("required items must be string");
      }
    }
    if (Value e = Get(o, "enum"); e.defined() && !e.is_array()) return Fail("enum must be of an array");
    if (Value p = Get(o, "pattern"); p.defined()) {
      if (!p.is_string()) return Fail("pattern must be of a string");
      if (regexes_.Get(p.text(), nullptr) == nullptr) return Fail("pattern must be a valid regex");
    }
    return true;
  }
  bool Nested(const Obj& o, int depth) {
    for (const char* key : {"properties", "patternProperties", "definitions"}) {
      Value v = Get(o, key);
      if (!v.defined()) continue;
      if (!v.is_object()) return Fail(std::string(key) + " must be of type object");
      for (uint32_t i = 0; i < v.obj->size; ++i) {
        if (!Check(v.obj->values[i], depth + 1)) return false;
      }
    }
    for (const char* key : {"anyOf", "oneOf", "allOf"}) {
      Value v = Get(o, key);
      if (!v.defined()) continue;
      if (!v.is_array()) return Fail(std::string(key) + " must be of an array");
      for (const Value& s : v.arr->view()) {
        if (!Check(s, depth + 1)) return false;
      }
    }
    for (const char* key :
         {"not", "contains", "propertyNames", "additionalProperties", "additionalItems", "if", "then", "else"}) {
      Value v = Get(o, key);
      if (v.defined() && !Check(v, depth + 1)) return false;
    }
    Value items = Get(o, "items");
    if (!items.defined()) return true;
    if (!items.is_array()) return Check(items, depth + 1);
    return std::all_of(items.arr->items, items.arr->items + items.arr->size,
                       [&](const Value& s) { return Check(s, depth + 1); });
  }

  RegexCache& regexes_;
  const Value& root_;
  std::string error_;
};

bool FitsFormat(std::string_view format, std::string_view text, RegexCache& regexes) {
  auto matches = [&](std::string_view pattern) {
    const re2::RE2* re = regexes.Get(pattern, nullptr);
    return re != nullptr && re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *re);
  };
  auto time = [&](std::initializer_list<std::string_view> layouts) {
    ParsedTime t;
    std::string error;
    return std::any_of(layouts.begin(), layouts.end(),
                       [&](std::string_view l) { return GoParseTime(l, text, t, error); });
  };
  if (format == "date") return time({"2006-01-02"});
  if (format == "time") return time({"15:04:05", "15:04:05Z07:00"});
  if (format == "date-time")
    return time({"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05.999999999Z07:00", "15:04:05", "15:04:05Z07:00",
                 "2006-01-02"});
  if (format == "hostname")
    return text.size() < 256 &&
           matches(
               R"(^([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9\-]{0,61}[a-zA-Z0-9])(\.([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9\-]{0,61}[a-zA-Z0-9]))*$)");
  if (format == "email") return matches(R"(^[^@\s<>]+@[^@\s<>]+$)");
  if (format == "ipv4")
    return matches(R"(^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$)");
  if (format == "ipv6") return matches(R"(^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*$)");
  if (format == "uuid")
    return matches(R"((?i)^[a-f0-9]{8}-[a-f0-9]{4}-[1-5][a-f0-9]{3}-[8|9|a|b][a-f0-9]{3}-[a-f0-9]{12}$)");
  if (format == "regex") return regexes.Get(text, nullptr) != nullptr;
  if (format == "uri" || format == "uri-reference") {
    Uri u;
    std::string error;
    return ParseUri(text, u, error) && (format != "uri" || !u.scheme.empty()) &&
           text.find('\\') == std::string_view::npos;
  }
  if (format == "json-pointer") return matches(R"(^(?:/(?:[^~/]|~0|~1)*)*$)");
  return true;
}

class Validator {
 public:
  Validator(Call& c, const Value& root) : c_(c), root_(root) {}

  // What is found counts only if the call has not failed: over a budget nothing is known of the document.
  void Run(const Value& schema, const Value& v, const std::string& field, int depth, std::vector<Problem>& out) {
    if (!Within(depth) || !c_.Reserve((out.size() + 1) * sizeof(Problem))) return;
    if (schema.kind == Kind::kBool) {
      if (schema.is_false()) out.push_back({"false", field, "False always fails validation"});
      return;
    }
    if (!schema.is_object()) return;
    const Obj& s = *schema.obj;
    if (Value ref = Get(s, "$ref"); ref.is_string()) {
      Value target = ResolvePointer(root_, ref.text());
      if (target.defined()) Run(target, v, field, depth + 1, out);
      return;
    }
    if (!TypeFits(s, v, field, out)) return;
    Combined(s, v, field, depth, out);
    Common(s, v, field, out);
    if (v.is_array()) Array(s, v, field, depth, out);
    if (v.is_object()) Object(s, v, field, depth, out);
    if (v.is_string()) String(s, v, field, out);
    if (v.is_number()) Number(s, v, field, out);
  }

 private:
  static std::string Join(const std::string& field, const std::string& step) {
    return field == "(Root)" ? step : field + "." + step;
  }
  bool Within(int depth) {
    if (depth <= limits::kMaxRegoSchemaDepth) return c_.Spend(1);
    c_.Error("eval_cancel_error", "document and schema nest too deeply");
    c_.set_halts();
    return false;
  }
  bool Passes(const Value& schema, const Value& v, const std::string& field, int depth) {
    std::vector<Problem> inner;
    Run(schema, v, field, depth + 1, inner);
    return inner.empty();
  }

  bool TypeFits(const Obj& s, const Value& v, const std::string& field, std::vector<Problem>& out) {
    Value type = Get(s, "type");
    if (!type.is_string() && !type.is_array()) return true;
    std::string given = GivenType(v), expected;
    bool fits = false;
    for (const Value& t : type.is_array() ? type.arr->view() : std::span<const Value>(&type, 1)) {
      if (!t.is_string()) continue;
      fits = fits || t.text() == given || (t.text() == "number" && given == "integer");
      expected += (expected.empty() ? "" : ",") + std::string(t.text());
    }
    if (!fits) out.push_back({"invalid_type", field, "Invalid type. Expected: " + expected + ", given: " + given});
    return fits;
  }

  void Combined(const Obj& s, const Value& v, const std::string& field, int depth, std::vector<Problem>& out) {
    auto count = [&](const Value& list, std::vector<Problem>* best) {
      size_t passed = 0;
      for (const Value& x : list.arr->view()) {
        std::vector<Problem> inner;
        Run(x, v, field, depth + 1, inner);
        passed += inner.empty();
        if (best != nullptr && !inner.empty() && (best->empty() || inner.size() < best->size())) *best = inner;
      }
      return passed;
    };
    if (Value any = Get(s, "anyOf"); any.is_array()) {
      std::vector<Problem> best;
      if (count(any, &best) == 0 && any.arr->size > 0) {
        out.push_back({"number_any_of", field, "Must validate at least one schema (anyOf)"});
        out.insert(out.end(), best.begin(), best.end());
      }
    }
    if (Value one = Get(s, "oneOf"); one.is_array() && one.arr->size > 0) {
      std::vector<Problem> best;
      size_t passed = count(one, &best);
      if (passed != 1) {
        out.push_back({"number_one_of", field, "Must validate one and only one schema (oneOf)"});
        if (passed == 0) out.insert(out.end(), best.begin(), best.end());
      }
    }
    if (Value all = Get(s, "allOf"); all.is_array() && all.arr->size > 0) {
      size_t passed = 0;
      for (const Value& x : all.arr->view()) {
        size_t before = out.size();
        Run(x, v, field, depth + 1, out);
        passed += out.size() == before;
      }
      if (passed != all.arr->size) out.push_back({"number_all_of", field, "Must validate all the schemas (allOf)"});
    }
    if (Value no = Get(s, "not"); no.defined() && Passes(no, v, field, depth))
      out.push_back({"number_not", field, "Must not validate the schema (not)"});
    if (Value deps = Get(s, "dependencies"); deps.is_object() && v.is_object()) {
      for (uint32_t i = 0; i < deps.obj->size; ++i) {
        if (Find(*v.obj, deps.obj->keys[i]) < 0) continue;
        const Value& need = deps.obj->values[i];
        if (!need.is_array()) {
          Run(need, v, field, depth + 1, out);
          continue;
        }
        for (const Value& key : need.arr->view()) {
          if (Find(*v.obj, key) < 0)
            out.push_back(
                {"missing_dependency", field, "Has a dependency on " + std::string(key.is_string() ? key.text() : "")});
        }
      }
    }
    if (Value condition = Get(s, "if"); condition.defined()) {
      bool holds = Passes(condition, v, field, depth);
      Value branch = Get(s, holds ? "then" : "else");
      std::vector<Problem> inner;
      if (branch.defined()) Run(branch, v, field, depth + 1, inner);
      if (!inner.empty()) {
        out.push_back(
            {holds ? "condition_then" : "condition_else", field,
             holds ? "Must validate \"then\" as \"if\" was valid" : "Must validate \"else\" as \"if\" was not valid"});
        out.insert(out.end(), inner.begin(), inner.end());
      }
    }
  }

  void Common(const Obj& s, const Value& v, const std::string& field, std::vector<Problem>& out) {
    if (Value k = Get(s, "const"); k.defined() && !Equal(k, v))
      out.push_back({"const", field, field + " does not match: " + ToJson(k)});
    Value list = Get(s, "enum");
    if (!list.is_array()) return;
    std::string allowed;
    for (const Value& x : list.arr->view()) {
      if (Equal(x, v)) return;
      allowed += (allowed.empty() ? "" : ", ") + ToJson(x);
    }
    out.push_back({"enum", field, field + " must be one of the following: " + allowed});
  }

  // `key` as a bound; nothing when absent.
  static std::optional<int64_t> Bound(const Obj& s, std::string_view key) {
    Value v = Get(s, key);
    return v.is_number() ? ToInt64(v) : std::nullopt;
  }
  static void Range(const Obj& s, size_t size, std::string_view low, std::string_view high, const Problem& too_few,
                    const Problem& too_many, std::vector<Problem>& out) {
    auto min = Bound(s, low), max = Bound(s, high);
    auto text = [](Problem p, int64_t n) {
      p.description.replace(p.description.find('#'), 1, std::to_string(n));
      return p;
    };
    if (min && static_cast<int64_t>(size) < *min) out.push_back(text(too_few, *min));
    if (max && static_cast<int64_t>(size) > *max) out.push_back(text(too_many, *max));
  }

  void Array(const Obj& s, const Value& v, const std::string& field, int depth, std::vector<Problem>& out) {
    auto items = v.arr->view();
    Value each = Get(s, "items"), more = Get(s, "additionalItems");
    if (each.is_array()) {
      for (size_t i = 0; i < items.size(); ++i) {
        if (i < each.arr->size)
          Run(each.arr->items[i], items[i], Join(field, std::to_string(i)), depth + 1, out);
        else if (more.is_false()) {
          out.push_back({"array_no_additional_items", field, "No additional items allowed on array"});
          break;
        } else if (more.is_object())
          Run(more, items[i], Join(field, std::to_string(i)), depth + 1, out);
      }
    } else if (each.defined()) {
      for (size_t i = 0; i < items.size(); ++i) Run(each, items[i], Join(field, std::to_string(i)), depth + 1, out);
    }
    Range(s, items.size(), "minItems", "maxItems", {"array_min_items", field, "Array must have at least # items"},
          {"array_max_items", field, "Array must have at most # items"}, out);
    if (Get(s, "uniqueItems").is_true()) {
      Collector* seen = Collector::Make(c_.arena);
      for (size_t j = 0; j < items.size(); ++j) {
        if (const Value* i = seen->At(items[j]); i != nullptr) {
          out.push_back(
              {"unique", field, "array items[" + std::to_string(i->i) + "," + std::to_string(j) + "] must be unique"});
        } else {
          seen->Insert(c_.arena, items[j], Value::Int(static_cast<int64_t>(j)));
        }
      }
    }
    if (Value contains = Get(s, "contains"); contains.defined()) {
      bool found =
          std::any_of(items.begin(), items.end(), [&](const Value& x) { return Passes(contains, x, field, depth); });
      if (!found) out.push_back({"contains", field, "At least one of the items must match"});
    }
  }

  void Object(const Obj& s, const Value& v, const std::string& field, int depth, std::vector<Problem>& out) {
    const Obj& o = *v.obj;
    if (Value required = Get(s, "required"); required.is_array()) {
      for (const Value& key : required.arr->view()) {
        if (key.is_string() && Find(o, key) < 0)
          out.push_back({"required", field, std::string(key.text()) + " is required"});
      }
    }
    Range(s, o.size, "minProperties", "maxProperties",
          {"array_min_properties", field, "Must have at least # properties"},
          {"array_max_properties", field, "Must have at most # properties"}, out);
    Value known = Get(s, "properties"), patterns = Get(s, "patternProperties"), more = Get(s, "additionalProperties"),
          names = Get(s, "propertyNames");
    for (uint32_t i = 0; i < o.size; ++i) {
      if (!o.keys[i].is_string()) continue;
      std::string key(o.keys[i].text());
      std::string below = Join(field, key);
      bool matched = false;
      if (patterns.is_object()) {
        for (uint32_t p = 0; p < patterns.obj->size; ++p) {
          const re2::RE2* re = patterns.obj->keys[p].is_string()
                                   ? c_.services.regexes->Get(patterns.obj->keys[p].text(), nullptr)
                                   : nullptr;
          if (re == nullptr || !re2::RE2::PartialMatch(key, *re)) continue;
          matched = true;
          Run(patterns.obj->values[p], o.values[i], below, depth + 1, out);
        }
      }
      if (!matched && !(known.is_object() && Find(*known.obj, o.keys[i]) >= 0)) {
        if (more.is_false())
          out.push_back({"additional_property_not_allowed", field, "Additional property " + key + " is not allowed"});
        else if (more.is_object())
          Run(more, o.values[i], below, depth + 1, out);
      }
      if (names.defined() && !Passes(names, o.keys[i], below, depth)) {
        out.push_back({"invalid_property_name", field, "Property name of \"" + key + "\" does not match"});
      }
    }
    if (!known.is_object()) return;
    for (uint32_t i = 0; i < known.obj->size; ++i) {
      Value child = Lookup(v, known.obj->keys[i]);
      if (child.defined() && known.obj->keys[i].is_string()) {
        Run(known.obj->values[i], child, Join(field, std::string(known.obj->keys[i].text())), depth + 1, out);
      }
    }
  }

  void String(const Obj& s, const Value& v, const std::string& field, std::vector<Problem>& out) {
    Range(s, RuneCount(v.text()), "minLength", "maxLength",
          {"string_gte", field, "String length must be greater than or equal to #"},
          {"string_lte", field, "String length must be less than or equal to #"}, out);
    if (Value p = Get(s, "pattern"); p.is_string()) {
      const re2::RE2* re = c_.services.regexes->Get(p.text(), nullptr);
      if (re == nullptr || !re2::RE2::PartialMatch(re2::StringPiece(v.text().data(), v.text().size()), *re)) {
        out.push_back({"pattern", field, "Does not match pattern '" + std::string(p.text()) + "'"});
      }
    }
    if (Value f = Get(s, "format"); f.is_string() && !FitsFormat(f.text(), v.text(), *c_.services.regexes)) {
      out.push_back({"format", field, "Does not match format '" + std::string(f.text()) + "'"});
    }
  }

  void Number(const Obj& s, const Value& v, const std::string& field, std::vector<Problem>& out) {
    if (Value m = Get(s, "multipleOf"); m.is_number()) {
      ArithError e;
      Value q = Arithmetic(c_.arena, Arith::kDiv, v, m, e);
      if (q.defined() && !IsInteger(q)) out.push_back({"multiple_of", field, "Must be a multiple of " + NumberText(m)});
    }
    auto compare = [&](std::string_view key, std::string_view exclusive, int sign, std::string_view type,
                       std::string_view words) {
      Value bound = Get(s, key), strict = Get(s, exclusive);
      auto add = [&](bool is_strict, const Value& b) {
        std::string text = "Must be " + std::string(words) + (is_strict ? " " : " or equal to ") + NumberText(b);
        out.push_back({std::string(type) + (is_strict ? "" : "e"), field, text});
      };
      if (bound.is_number()) {
        int c = CompareNumbers(v, bound) * sign;
        if (strict.is_true() ? c <= 0 : c < 0) add(strict.is_true(), bound);
      }
      if (strict.is_number() && CompareNumbers(v, strict) * sign <= 0) add(true, strict);
    };
    compare("maximum", "exclusiveMaximum", -1, "number_lt", "less than");
    compare("minimum", "exclusiveMinimum", 1, "number_gt", "greater than");
  }

  Call& c_;
  const Value& root_;
};

// JSON text, or the document itself; undefined with `error` set otherwise.
Value Load(Call& c, const Value& v, std::string& error) {
  if (v.is_string()) {
    auto parsed = ParseJson(c.arena, v.text());
    if (parsed.ok()) return *parsed;
    error = "invalid JSON string";
    return Value();
  }
  if (v.is_object() || v.is_array()) {
    auto plain = ParseJson(c.arena, ToJson(v));
    if (plain.ok()) return *plain;
  }
  error = "wrong type, expected string or object";
  return Value();
}

Value VerifySchema(Call& c) {
  std::string error;
  Value schema = Load(c, c[0], error);
  if (schema.defined()) error = SchemaCheck(*c.services.regexes, schema).Run();
  Value out[] = {Value::Bool(error.empty()), error.empty() ? Value::Null() : c.Text("jsonschema: " + error)};
  return MakeArray(c.arena, out);
}

Value MatchSchema(Call& c) {
  std::string error;
  Value document = Load(c, c[0], error);
  if (!document.defined()) return c.Fail(error);
  Value schema = Load(c, c[1], error);
  if (schema.defined()) error = SchemaCheck(*c.services.regexes, schema).Run();
  if (!error.empty()) return c.Fail(error);
  std::vector<Problem> problems;
  Validator(c, schema).Run(schema, document, "(Root)", 0, problems);
  if (c.failed()) return Value();
  ArrayBuilder list(c.arena, problems.size());
  for (const Problem& p : problems) {
    ObjectBuilder b(c.arena, 4);
    b.Add("error", c.Text(p.field + ": " + p.description));
    b.Add("type", c.Text(p.type));
    b.Add("field", c.Text(p.field));
    b.Add("desc", c.Text(p.description));
    list.Add(b.Finish());
  }
  Value out[] = {Value::Bool(problems.empty()), list.Finish()};
  return MakeArray(c.arena, out);
}

}  // namespace

std::span<const Builtin> SchemaBuiltins() {
  static constexpr Builtin kTable[] = {
      {.name = "json.verify_schema", .arity = 1, .fn = VerifySchema},
      {.name = "json.match_schema", .arity = 2, .fn = MatchSchema},
  };
  return kTable;
}

}  // namespace hexr::rego
