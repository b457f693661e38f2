#include <algorithm>
#include <set>

#include "policy/rego/builtins/graphql_parser.h"
#include "policy/rego/builtins/graphql_validate.h"
#include "policy/rego/builtins/support.h"

namespace hexr::rego {
namespace {

bool IsComposite(const Obj& type) {
  std::string_view kind = TextOf(type, "Kind");
  return kind == "OBJECT" || kind == "INTERFACE" || kind == "UNION";
}
int64_t KindOfLiteral(const Value& v) {
  Value k = v.is_object() ? Get(*v.obj, "Kind") : Value();
  return k.kind == Kind::kInt ? k.i : -1;
}
constexpr int64_t kVariable = 0, kIntLiteral = 1, kFloatLiteral = 2, kStringLiteral = 3, kBlockLiteral = 4,
                  kBoolLiteral = 5, kNullLiteral = 6, kEnumLiteral = 7, kListLiteral = 8, kObjectLiteral = 9;

std::string LiteralText(const Value& v) {
  if (!v.is_object()) return "";
  std::string raw(TextOf(*v.obj, "Raw"));
  switch (KindOfLiteral(v)) {
    case kVariable: return "$" + raw;
    case kStringLiteral:
    case kBlockLiteral: {
      std::string out;
      AppendGoQuoted(raw, out);
      return out;
    }
    case kListLiteral:
    case kObjectLiteral: {
      bool list = KindOfLiteral(v) == kListLiteral;
      std::string out;
      for (const Value& c : ListOf(*v.obj, "Children")) {
        if (!c.is_object()) continue;
        out += (out.empty() ? "" : ",") + (list ? "" : std::string(TextOf(*c.obj, "Name")) + ":") +
               LiteralText(Get(*c.obj, "Value"));
      }
      return (list ? "[" : "{") + out + (list ? "]" : "}");
    }
    default: return raw;
  }
}

class Checker {
 public:
  Checker(const GraphqlSchema& schema, const Value& query) : schema_(schema), query_(query) {
    const Obj* meta = schema.Type("__Meta");
    if (meta != nullptr) meta_ = ListOf(*meta, "Fields");
  }

  bool Run(std::string& error) {
    bool ok = query_.is_object() && Names() && Operations() && Fragments();
    error = error_;
    return ok && error_.empty();
  }

 private:
  bool Refuse(const std::string& message, const Value& node) {
    if (error_.empty()) error_ = GraphqlError(message, node);
    return false;
  }
  std::span<const Value> Definitions() const { return ListOf(*query_.obj, "Fragments"); }
  const Obj* FragmentOf(std::string_view name) const { return ByName(Definitions(), name); }

  // Unique names, a lone anonymous operation, fragments that are used and make no circle.
  bool Names() {
    std::set<std::string_view> seen;
    auto operations = ListOf(*query_.obj, "Operations");
    for (const Value& o : operations) {
      if (!o.is_object()) continue;
      std::string_view name = TextOf(*o.obj, "Name");
      if (name.empty() && operations.size() > 1)
        return Refuse("This anonymous operation must be the only defined operation.", o);
      if (!name.empty() && !seen.insert(name).second)
        return Refuse("There can be only one operation named \"" + std::string(name) + "\".", o);
    }
    seen.clear();
    for (const Value& f : Definitions()) {
      if (!f.is_object()) continue;
      std::string_view name = TextOf(*f.obj, "Name");
      if (!seen.insert(name).second)
        return Refuse("There can be only one fragment named \"" + std::string(name) + "\".", f);
    }
    std::set<std::string_view> used;
    for (const Value& o : operations) {
      if (o.is_object()) Reach(Get(*o.obj, "SelectionSet"), used);
    }
    for (const Value& f : Definitions()) {
      if (!f.is_object()) continue;
      std::string_view name = TextOf(*f.obj, "Name");
      std::set<std::string_view> below;
      Reach(Get(*f.obj, "SelectionSet"), below);
      if (below.contains(name)) return Refuse("Cannot spread fragment \"" + std::string(name) + "\" within itself.", f);
      if (!used.contains(name)) return Refuse("Fragment \"" + std::string(name) + "\" is never used.", f);
    }
    return true;
  }
  void Reach(const Value& selections, std::set<std::string_view>& out) const {
    bool ok = false;
    for (const Value& s : Elements(selections, ok)) {
      if (!s.is_object()) continue;
      if (IsSpread(*s.obj)) {
        std::string_view name = TextOf(*s.obj, "Name");
        const Obj* f = FragmentOf(name);
        if (f != nullptr && out.insert(name).second) Reach(Get(*f, "SelectionSet"), out);
      } else {
        Reach(Get(*s.obj, "SelectionSet"), out);
      }
    }
  }
  static bool IsField(const Obj& s) { return Get(s, "Alias").defined(); }
  static bool IsInline(const Obj& s) {
    return !IsField(s) && (Get(s, "TypeCondition").defined() || Get(s, "SelectionSet").defined());
  }
  static bool IsSpread(const Obj& s) { return !IsField(s) && !IsInline(s); }

  bool Operations() {
    for (const Value& o : ListOf(*query_.obj, "Operations")) {
      if (!o.is_object()) continue;
      std::string operation(TextOf(*o.obj, "Operation"));
      if (operation.empty()) operation = "query";
      const Obj* root = schema_.Root(operation);
      if (root == nullptr) return Refuse("Schema does not support operation type \"" + operation + "\"", o);
      variables_.clear();
      used_.clear();
      visited_.clear();
      in_operation_ = true;
      for (const Value& v : ListOf(*o.obj, "VariableDefinitions")) {
        if (!v.is_object()) continue;
        std::string name(TextOf(*v.obj, "Variable"));
        Value type = Get(*v.obj, "Type");
        if (!variables_.emplace(name, v).second)
          return Refuse("There can be only one variable named \"$" + name + "\".", v);
        const Obj* def = schema_.Type(GraphqlTypeName(type));
        if (def == nullptr) return Refuse("Unknown type \"" + std::string(GraphqlTypeName(type)) + "\".", v);
        if (IsComposite(*def))
          return Refuse("Variable \"$" + name + "\" cannot be non-input type \"" + GraphqlTypeText(type) + "\".", v);
        Value fallback = Get(*v.obj, "DefaultValue");
        if (fallback.is_object() && !Literal(fallback, type, false)) return false;
        if (!DirectivesAt(*v.obj, "VARIABLE_DEFINITION")) return false;
      }
      std::string place = operation;
      std::transform(place.begin(), place.end(), place.begin(),
                     [](char c) { return static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c); });
      if (!DirectivesAt(*o.obj, place)) return false;
      if (operation == "subscription" && !OneField(o)) return false;
      if (!Selections(Get(*o.obj, "SelectionSet"), *root)) return false;
      for (const auto& [name, v] : variables_) {
        if (!used_.contains(name)) {
          std::string_view of = TextOf(*o.obj, "Name");
          return Refuse("Variable \"$" + name + "\" is never used" +
                            (of.empty() ? "." : " in operation \"" + std::string(of) + "\"."),
                        v);
        }
      }
    }
    return true;
  }

  bool OneField(const Value& o) {
    auto fields = ListOf(*o.obj, "SelectionSet");
    std::string name(TextOf(*o.obj, "Name"));
    if (fields.size() > 1) {
      return Refuse((name.empty() ? "Anonymous Subscription" : "Subscription \"" + name + "\"") +
                        " must select only one top level field.",
                    fields[1]);
    }
    return true;
  }

  // Fragments are checked once on their own, so that those behind unknown variables are too.
  bool Fragments() {
    for (const Value& f : Definitions()) {
      if (!f.is_object()) continue;
      std::string condition(TextOf(*f.obj, "TypeCondition"));
      const Obj* type = schema_.Type(condition);
      if (type == nullptr) return Refuse("Unknown type \"" + condition + "\".", f);
      if (!IsComposite(*type)) {
        return Refuse("Fragment \"" + std::string(TextOf(*f.obj, "Name")) +
                          "\" cannot condition on non composite type \"" + condition + "\".",
                      f);
      }
      in_operation_ = false;
      visited_.clear();
      if (!DirectivesAt(*f.obj, "FRAGMENT_DEFINITION") || !Selections(Get(*f.obj, "SelectionSet"), *type)) return false;
    }
    return true;
  }

  const Obj* FieldOf(const Obj& type, std::string_view name) const {
    // What every type, and the query root, have without saying so.
    bool root = schema_.Root("query") == &type;
    if (name == "__typename" || (root && (name == "__schema" || name == "__type"))) return ByName(meta_, name);
    return ByName(ListOf(type, "Fields"), name);
  }
  bool Selections(const Value& selections, const Obj& parent) {
    bool ok = false;
    for (const Value& s : Elements(selections, ok)) {
      if (!s.is_object()) continue;
      if (IsField(*s.obj) ? !Field(s, parent) : IsInline(*s.obj) ? !Inline(s, parent) : !Spread(s, parent))
        return false;
    }
    return Merges(selections, parent);
  }

  bool Field(const Value& f, const Obj& parent) {
    std::string name(TextOf(*f.obj, "Name")), of(TextOf(parent, "Name"));
    const Obj* def = FieldOf(parent, name);
    if (def == nullptr) return Refuse("Cannot query field \"" + name + "\" on type \"" + of + "\".", f);
    if (!Arguments(f, *def, "Field \"" + name + "\"", "field \"" + of + "." + name + "\"") ||
        !DirectivesAt(*f.obj, "FIELD"))
      return false;
    Value type = Get(*def, "Type");
    const Obj* inner = schema_.Type(GraphqlTypeName(type));
    if (inner == nullptr) return Refuse("Unknown type \"" + std::string(GraphqlTypeName(type)) + "\".", f);
    bool selects = !ListOf(*f.obj, "SelectionSet").empty();
    if (!IsComposite(*inner)) {
      if (!selects) return true;
      return Refuse("Field \"" + name + "\" must not have a selection since type \"" + GraphqlTypeText(type) +
                        "\" has no subfields.",
                    f);
    }
    if (!selects) {
      return Refuse("Field \"" + name + "\" of type \"" + GraphqlTypeText(type) +
                        "\" must have a selection of subfields. Did you mean \"" + name + " { ... }\"?",
                    f);
    }
    return Selections(Get(*f.obj, "SelectionSet"), *inner);
  }

  bool Overlap(const Obj& a, const Obj& b) const {
    const auto &x = schema_.Possible(TextOf(a, "Name")), &y = schema_.Possible(TextOf(b, "Name"));
    return std::any_of(x.begin(), x.end(),
                       [&](const std::string& n) { return std::find(y.begin(), y.end(), n) != y.end(); });
  }
  bool Inline(const Value& s, const Obj& parent) {
    std::string condition(TextOf(*s.obj, "TypeCondition"));
    const Obj* type = condition.empty() ? &parent : schema_.Type(condition);
    if (type == nullptr) return Refuse("Unknown type \"" + condition + "\".", s);
    if (!IsComposite(*type)) return Refuse("Fragment cannot condition on non composite type \"" + condition + "\".", s);
    if (!Overlap(*type, parent)) {
      return Refuse("Fragment cannot be spread here as objects of type \"" + std::string(TextOf(parent, "Name")) +
                        "\" can never be of type \"" + condition + "\".",
                    s);
    }
    return DirectivesAt(*s.obj, "INLINE_FRAGMENT") && Selections(Get(*s.obj, "SelectionSet"), *type);
  }
  bool Spread(const Value& s, const Obj& parent) {
    std::string name(TextOf(*s.obj, "Name"));
    const Obj* f = FragmentOf(name);
    if (f == nullptr) return Refuse("Unknown fragment \"" + name + "\".", s);
    std::string condition(TextOf(*f, "TypeCondition"));
    const Obj* type = schema_.Type(condition);
    if (type == nullptr) return Refuse("Unknown type \"" + condition + "\".", s);
    if (IsComposite(*type) && !Overlap(*type, parent)) {
      return Refuse("Fragment \"" + name + "\" cannot be spread here as objects of type \"" +
                        std::string(TextOf(parent, "Name")) + "\" can never be of type \"" + condition + "\".",
                    s);
    }
    if (!DirectivesAt(*s.obj, "FRAGMENT_SPREAD")) return false;
    return !visited_.insert(name).second || Selections(Get(*f, "SelectionSet"), *type);
  }

  bool Arguments(const Value& node, const Obj& def, const std::string& subject, const std::string& on) {
    std::set<std::string_view> seen;
    for (const Value& a : ListOf(*node.obj, "Arguments")) {
      if (!a.is_object()) continue;
      std::string name(TextOf(*a.obj, "Name"));
      if (!seen.insert(TextOf(*a.obj, "Name")).second)
        return Refuse("There can be only one argument named \"" + name + "\".", a);
      const Obj* wanted = ByName(ListOf(def, "Arguments"), name);
      if (wanted == nullptr) return Refuse("Unknown argument \"" + name + "\" on " + on + ".", node);
      if (!Literal(Get(*a.obj, "Value"), Get(*wanted, "Type"), Get(*wanted, "DefaultValue").defined())) return false;
    }
    for (const Value& a : ListOf(def, "Arguments")) {
      if (!a.is_object() || !IsNonNull(Get(*a.obj, "Type")) || Get(*a.obj, "DefaultValue").defined()) continue;
      std::string name(TextOf(*a.obj, "Name"));
      if (ByName(ListOf(*node.obj, "Arguments"), name) == nullptr) {
        return Refuse(subject + " argument \"" + name + "\" of type \"" + GraphqlTypeText(Get(*a.obj, "Type")) +
                          "\" is required, but it was not provided.",
                      node);
      }
    }
    return true;
  }

  bool DirectivesAt(const Obj& node, std::string_view place) {
    std::set<std::string_view> seen;
    for (const Value& d : ListOf(node, "Directives")) {
      if (!d.is_object()) continue;
      std::string name(TextOf(*d.obj, "Name"));
      const Obj* def = schema_.Directive(name);
      if (def == nullptr) return Refuse("Unknown directive \"@" + name + "\".", d);
      bool ok = false;
      for (const Value& l : Elements(Get(*def, "Locations"), ok)) {
        if (l.is_string() && l.text() == place) ok = false;
      }
      if (ok) return Refuse("Directive \"@" + name + "\" may not be used on " + std::string(place) + ".", d);
      if (!seen.insert(TextOf(*d.obj, "Name")).second && !Get(*def, "IsRepeatable").is_true()) {
        return Refuse("The directive \"@" + name + "\" can only be used once at this location.", d);
      }
      if (!Arguments(d, *def, "Directive \"@" + name + "\"", "directive \"@" + name + "\"")) return false;
    }
    return true;
  }

  // A variable's type may stand where `type` is wanted (specification 5.8.5).
  bool Allowed(const Value& variable, const Value& type) const {
    if (!variable.is_object() || !type.is_object()) return false;
    if (IsNonNull(type) && !IsNonNull(variable)) return false;
    std::string_view a = TextOf(*variable.obj, "NamedType"), b = TextOf(*type.obj, "NamedType");
    if (!a.empty() || !b.empty()) return a == b;
    return Allowed(Get(*variable.obj, "Elem"), Get(*type.obj, "Elem"));
  }
  bool VariableUse(const Value& v, const Value& type, bool has_default) {
    std::string name(TextOf(*v.obj, "Raw"));
    if (!in_operation_) return true;
    auto it = variables_.find(name);
    if (it == variables_.end()) return Refuse("Variable \"$" + name + "\" is not defined.", v);
    used_.insert(name);
    Value declared = Get(*it->second.obj, "Type"), fallback = Get(*it->second.obj, "DefaultValue");
    bool with_default = has_default || (fallback.is_object() && KindOfLiteral(fallback) != kNullLiteral);
    if (Allowed(declared, type)) return true;
    if (IsNonNull(type) && !IsNonNull(declared) && with_default) {
      // A default fills in for null: compare without the outer mark.
      std::string wanted = GraphqlTypeText(type);
      wanted.pop_back();
      if (GraphqlTypeText(declared) == wanted) return true;
    }
    return Refuse("Variable \"$" + name + "\" of type \"" + GraphqlTypeText(declared) +
                      "\" used in position expecting type \"" + GraphqlTypeText(type) + "\".",
                  v);
  }

  bool WrongLiteral(const Value& v, const Value& type, const Obj& def) {
    std::string text = GraphqlTypeText(type), shown = LiteralText(v);
    std::string bare = text.ends_with('!') ? text.substr(0, text.size() - 1) : text;
    if (bare == "Int") return Refuse("Int cannot represent non-integer value: " + shown, v);
    if (bare == "String" || text == "[String]")
      return Refuse("String cannot represent a non string value: " + shown, v);
    if (bare == "Boolean") return Refuse("Boolean cannot represent a non boolean value: " + shown, v);
    if (bare == "Float") return Refuse("Float cannot represent non numeric value: " + shown, v);
    if (bare == "ID") return Refuse("ID cannot represent a non-string and non-integer value: " + shown, v);
    if (TextOf(def, "Kind") == "ENUM")
      return Refuse("Enum \"" + text + "\" cannot represent non-enum value: " + shown + ".", v);
    return Refuse("Expected value of type \"" + text + "\", found " + shown + ".", v);
  }

  bool Literal(const Value& v, const Value& type, bool has_default) {
    int64_t kind = KindOfLiteral(v);
    if (!type.is_object() || !v.is_object()) return true;
    if (kind == kVariable) return VariableUse(v, type, has_default);
    if (kind == kNullLiteral) {
      return !IsNonNull(type) || Refuse("Expected value of type \"" + GraphqlTypeText(type) + "\", found null.", v);
    }
    std::string_view named = TextOf(*type.obj, "NamedType");
    if (named.empty()) {
      // A single value stands for a list of it.
      Value element = Get(*type.obj, "Elem");
      if (kind != kListLiteral) return Literal(v, element, false);
      for (const Value& c : ListOf(*v.obj, "Children")) {
        if (c.is_object() && !Literal(Get(*c.obj, "Value"), element, false)) return false;
      }
      return true;
    }
    const Obj* def = schema_.Type(named);
    if (def == nullptr) return Refuse("Unknown type \"" + std::string(named) + "\".", v);
    std::string_view of = TextOf(*def, "Kind");
    static constexpr std::string_view kScalars[] = {"Int", "Float", "String", "Boolean", "ID"};
    if (of == "SCALAR" && std::find(std::begin(kScalars), std::end(kScalars), named) == std::end(kScalars))
      return AnyLiteral(v);
    auto one_of = [&](std::initializer_list<std::string_view> names) {
      return std::find(names.begin(), names.end(), named) != names.end() || WrongLiteral(v, type, *def);
    };
    switch (kind) {
      case kListLiteral: return WrongLiteral(v, type, *def);
      case kIntLiteral: return one_of({"Int", "Float", "ID"});
      case kFloatLiteral: return one_of({"Float"});
      case kStringLiteral:
      case kBlockLiteral: return one_of({"String", "ID"});
      case kBoolLiteral: return one_of({"Boolean"});
      case kEnumLiteral:
        if (of != "ENUM") return WrongLiteral(v, type, *def);
        return ByName(ListOf(*def, "EnumValues"), TextOf(*v.obj, "Raw")) != nullptr ||
               Refuse("Value \"" + LiteralText(v) + "\" does not exist in \"" + GraphqlTypeText(type) + "\" enum.", v);
      case kObjectLiteral: return of == "INPUT_OBJECT" ? ObjectLiteral(v, *def) : WrongLiteral(v, type, *def);
      default: return true;
    }
  }
  // Custom scalars take anything; variables inside still have to exist.
  bool AnyLiteral(const Value& v) {
    for (const Value& c : ListOf(*v.obj, "Children")) {
      Value inner = c.is_object() ? Get(*c.obj, "Value") : Value();
      if (!inner.is_object()) continue;
      if (KindOfLiteral(inner) == kVariable) {
        std::string name(TextOf(*inner.obj, "Raw"));
        if (in_operation_ && !variables_.contains(name))
          return Refuse("Variable \"$" + name + "\" is not defined.", inner);
        used_.insert(name);
      } else if (!AnyLiteral(inner)) {
        return false;
      }
    }
    return true;
  }
  bool ObjectLiteral(const Value& v, const Obj& def) {
    std::set<std::string_view> seen;
    std::string of(TextOf(def, "Name"));
    for (const Value& c : ListOf(*v.obj, "Children")) {
      if (!c.is_object()) continue;
      std::string name(TextOf(*c.obj, "Name"));
      if (!seen.insert(TextOf(*c.obj, "Name")).second)
        return Refuse("There can be only one input field named \"" + name + "\".", c);
      const Obj* field = ByName(ListOf(def, "Fields"), name);
      if (field == nullptr) return Refuse("Field \"" + name + "\" is not defined by type \"" + of + "\".", c);
      if (!Literal(Get(*c.obj, "Value"), Get(*field, "Type"), Get(*field, "DefaultValue").defined())) return false;
    }
    for (const Value& f : ListOf(def, "Fields")) {
      if (!f.is_object() || !IsNonNull(Get(*f.obj, "Type")) || Get(*f.obj, "DefaultValue").defined()) continue;
      std::string name(TextOf(*f.obj, "Name"));
      if (!seen.contains(name)) {
        return Refuse("Field \"" + of + "." + name + "\" of required type \"" + GraphqlTypeText(Get(*f.obj, "Type")) +
                          "\" was not provided.",
                      v);
      }
    }
    if (ByName(ListOf(def, "Directives"), "oneOf") != nullptr && ListOf(*v.obj, "Children").size() != 1) {
      return Refuse("OneOf Input Object \"" + of + "\" must specify exactly one key.", v);
    }
    return true;
  }

  // Selections of one response name have to be one field with the same arguments (specification 5.3.2), where their
  // parents can be the same object.
  struct Chosen {
    const Obj* field;
    const Obj* parent;
  };
  void Collect(const Value& selections, const Obj& parent, std::map<std::string_view, std::vector<Chosen>>& out,
               std::set<std::string_view>& spread) const {
    bool ok = false;
    for (const Value& s : Elements(selections, ok)) {
      if (!s.is_object()) continue;
      if (IsField(*s.obj)) {
        out[TextOf(*s.obj, "Alias")].push_back({s.obj, &parent});
        continue;
      }
      const Obj* body = IsSpread(*s.obj) ? FragmentOf(TextOf(*s.obj, "Name")) : s.obj;
      if (body == nullptr || (IsSpread(*s.obj) && !spread.insert(TextOf(*s.obj, "Name")).second)) continue;
      std::string_view condition = TextOf(*body, "TypeCondition");
      const Obj* type = condition.empty() ? &parent : schema_.Type(condition);
      if (type != nullptr) Collect(Get(*body, "SelectionSet"), *type, out, spread);
    }
  }
  bool Merges(const Value& selections, const Obj& parent) {
    std::map<std::string_view, std::vector<Chosen>> by_alias;
    std::set<std::string_view> spread;
    Collect(selections, parent, by_alias, spread);
    for (const auto& [alias, all] : by_alias) {
      for (size_t i = 1; i < all.size(); ++i) {
        const Chosen &a = all[0], &b = all[i];
        bool apart =
            a.parent != b.parent && TextOf(*a.parent, "Kind") == "OBJECT" && TextOf(*b.parent, "Kind") == "OBJECT";
        const Obj *x = FieldOf(*a.parent, TextOf(*a.field, "Name")), *y = FieldOf(*b.parent, TextOf(*b.field, "Name"));
        std::string why;
        if (!apart && TextOf(*a.field, "Name") != TextOf(*b.field, "Name")) {
          why = "\"" + std::string(TextOf(*a.field, "Name")) + "\" and \"" + std::string(TextOf(*b.field, "Name")) +
                "\" are different fields";
        } else if (!apart && ArgumentsText(*a.field) != ArgumentsText(*b.field)) {
          why = "they have differing arguments";
        } else if (x != nullptr && y != nullptr && Shape(Get(*x, "Type")) != Shape(Get(*y, "Type"))) {
          why = "they return conflicting types \"" + GraphqlTypeText(Get(*x, "Type")) + "\" and \"" +
                GraphqlTypeText(Get(*y, "Type")) + "\"";
        }
        if (!why.empty()) {
          return Refuse("Fields \"" + std::string(alias) + "\" conflict because " + why +
                            ". Use different aliases on the fields to fetch both if this was intentional.",
                        Value::Of(a.field));
        }
      }
    }
    return true;
  }
  static std::string ArgumentsText(const Obj& field) {
    std::map<std::string, std::string> sorted;
    for (const Value& a : ListOf(field, "Arguments")) {
      if (a.is_object()) sorted[std::string(TextOf(*a.obj, "Name"))] = LiteralText(Get(*a.obj, "Value"));
    }
    std::string out;
    for (const auto& [name, text] : sorted) out += name + ":" + text + ",";
    return out;
  }
  // Lists, marks and scalars have to agree; object types may differ.
  std::string Shape(const Value& type) const {
    std::string text = GraphqlTypeText(type);
    std::string name(GraphqlTypeName(type));
    const Obj* def = schema_.Type(name);
    if (def == nullptr || !IsComposite(*def)) return text;
    return text.replace(text.find(name), name.size(), "{}");
  }

  const GraphqlSchema& schema_;
  const Value& query_;
  std::span<const Value> meta_;  // __typename, __schema, __type
  std::string error_;
  std::map<std::string, Value, std::less<>> variables_;
  std::set<std::string, std::less<>> used_;
  std::set<std::string> visited_;  // fragments spread in this operation
  bool in_operation_ = false;
};

}  // namespace

bool ValidateGraphqlQuery(const GraphqlSchema& schema, const Value& query, std::string& error) {
  return Checker(schema, query).Run(error);
}

}  // namespace hexr::rego
