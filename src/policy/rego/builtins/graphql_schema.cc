#include <algorithm>
#include <set>

#include "policy/rego/builtins/graphql_parser.h"
#include "policy/rego/builtins/graphql_validate.h"
#include "policy/rego/builtins/support.h"

namespace hexr::rego {
namespace {

// What every schema has: the scalars, the directives and the introspection types of the specification.
constexpr std::string_view kPrelude = R"(
scalar Int scalar Float scalar String scalar Boolean scalar ID
directive @include(if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT
directive @skip(if: Boolean!) on FIELD | FRAGMENT_SPREAD | INLINE_FRAGMENT
directive @deprecated(reason: String = "No longer supported")
  on FIELD_DEFINITION | ARGUMENT_DEFINITION | INPUT_FIELD_DEFINITION | ENUM_VALUE
directive @specifiedBy(url: String!) on SCALAR
directive @defer(if: Boolean = true, label: String) on FRAGMENT_SPREAD | INLINE_FRAGMENT
directive @oneOf on INPUT_OBJECT
type __Meta { __typename: String! __schema: __Schema! __type(name: String!): __Type }
type __Schema { description: String types: [__Type!]!
  queryType: __Type! mutationType: __Type subscriptionType: __Type directives: [__Directive!]! }
type __Type { kind: __TypeKind! name: String description: String fields(includeDeprecated: Boolean = false): [__Field!]
  interfaces: [__Type!] possibleTypes: [__Type!] enumValues(includeDeprecated: Boolean = false): [__EnumValue!]
  inputFields(includeDeprecated: Boolean = false): [__InputValue!] ofType: __Type specifiedByURL: String isOneOf: Boolean }
type __Field { name: String! description: String args(includeDeprecated: Boolean = false): [__InputValue!]!
  type: __Type! isDeprecated: Boolean! deprecationReason: String }
type __InputValue { name: String! description: String type: __Type! defaultValue: String isDeprecated: Boolean! deprecationReason: String }
type __EnumValue { name: String! description: String isDeprecated: Boolean! deprecationReason: String }
enum __TypeKind { SCALAR OBJECT INTERFACE UNION ENUM INPUT_OBJECT LIST NON_NULL }
type __Directive { name: String! description: String locations: [__DirectiveLocation!]!
  args(includeDeprecated: Boolean = false): [__InputValue!]! isRepeatable: Boolean! }
enum __DirectiveLocation { QUERY MUTATION SUBSCRIPTION FIELD FRAGMENT_DEFINITION FRAGMENT_SPREAD INLINE_FRAGMENT VARIABLE_DEFINITION
  SCHEMA SCALAR OBJECT FIELD_DEFINITION ARGUMENT_DEFINITION INTERFACE UNION ENUM ENUM_VALUE INPUT_OBJECT INPUT_FIELD_DEFINITION }
)";

bool Reserved(std::string_view name) { return name.starts_with("__"); }
bool IsInput(const Obj& type) {
  std::string_view kind = TextOf(type, "Kind");
  return kind == "SCALAR" || kind == "ENUM" || kind == "INPUT_OBJECT";
}
bool HasText(const Value& list, std::string_view text) {
  bool ok = false;
  for (const Value& v : Elements(list, ok)) {
    if (v.is_string() && v.text() == text) return true;
  }
  return false;
}

bool Refuse(std::string& error, const std::string& message, const Value& node) {
  Value position = node.is_object() ? Get(*node.obj, "Position") : Value();
  std::string place;
  if (position.is_object())
    place = ":" + NumberText(Get(*position.obj, "Line")) + ":" + NumberText(Get(*position.obj, "Column"));
  if (error.empty()) error = "input" + place + ": " + message;
  return false;
}

bool CheckName(std::string_view name, const Value& node, std::string& error) {
  return !Reserved(name) || Refuse(error,
                                   "Name \"" + std::string(name) +
                                       "\" must not begin with \"__\", which is reserved by GraphQL introspection.",
                                   node);
}

}  // namespace

std::span<const Value> ListOf(const Obj& o, std::string_view key) {
  Value v = Get(o, key);
  return v.is_array() ? v.arr->view() : std::span<const Value>();
}
const Obj* ByName(std::span<const Value> list, std::string_view name) {
  for (const Value& v : list) {
    if (v.is_object() && TextOf(*v.obj, "Name") == name) return v.obj;
  }
  return nullptr;
}
bool IsNonNull(const Value& type) { return type.is_object() && Get(*type.obj, "NonNull").is_true(); }
std::string_view GraphqlTypeName(const Value& type) {
  Value t = type;
  while (t.is_object() && TextOf(*t.obj, "NamedType").empty()) t = Get(*t.obj, "Elem");
  return t.is_object() ? TextOf(*t.obj, "NamedType") : std::string_view();
}
std::string GraphqlTypeText(const Value& type) {
  if (!type.is_object()) return "";
  std::string_view name = TextOf(*type.obj, "NamedType");
  std::string out = name.empty() ? "[" + GraphqlTypeText(Get(*type.obj, "Elem")) + "]" : std::string(name);
  return IsNonNull(type) ? out + "!" : out;
}

const Obj* GraphqlSchema::Type(std::string_view name) const {
  auto it = types_.find(name);
  return it == types_.end() ? nullptr : it->second.obj;
}
const Obj* GraphqlSchema::Directive(std::string_view name) const {
  auto it = directives_.find(name);
  return it == directives_.end() ? nullptr : it->second.obj;
}
const Obj* GraphqlSchema::Root(std::string_view operation) const {
  auto it = roots_.find(operation);
  return it == roots_.end() ? nullptr : Type(it->second);
}
const std::vector<std::string>& GraphqlSchema::Possible(std::string_view type) const {
  static const std::vector<std::string> kNone;
  auto it = possible_.find(type);
  return it == possible_.end() ? kNone : it->second;
}

// Definitions first, then extensions: each list member of an extension is appended to its type's.
bool GraphqlSchema::Merge(Arena& arena, const Value& document, std::string& error) {
  std::set<std::string_view> built_in{"include", "skip", "deprecated", "specifiedBy", "defer", "oneOf"};
  for (const Value& d : ListOf(*document.obj, "Definitions")) {
    if (!d.is_object()) continue;
    std::string name(TextOf(*d.obj, "Name"));
    if (!types_.emplace(name, d).second) return Refuse(error, "Cannot redeclare type " + name + ".", d);
  }
  for (const Value& e : ListOf(*document.obj, "Extensions")) {
    if (!e.is_object()) continue;
    std::string name(TextOf(*e.obj, "Name"));
    auto [it, fresh] = types_.emplace(name, e);
    if (fresh) continue;
    const Obj& base = *it->second.obj;
    if (TextOf(base, "Kind") != TextOf(*e.obj, "Kind")) {
      return Refuse(error,
                    "Cannot extend type " + name + " because the base type is a " + std::string(TextOf(base, "Kind")) +
                        ", not " + std::string(TextOf(*e.obj, "Kind")) + ".",
                    e);
    }
    ObjectBuilder merged(arena, base.size + 4);
    for (uint32_t i = 0; i < base.size; ++i) merged.Add(base.keys[i], base.values[i]);
    for (const char* key : {"Directives", "Interfaces", "Fields", "Types", "EnumValues"}) {
      ArrayBuilder list(arena);
      for (const Value& v : ListOf(base, key)) list.Add(v);
      for (const Value& v : ListOf(*e.obj, key)) list.Add(v);
      if (list.size() > 0) merged.Add(key, list.Finish());
    }
    it->second = merged.Finish();
  }
  for (const Value& d : ListOf(*document.obj, "Directives")) {
    if (!d.is_object()) continue;
    std::string name(TextOf(*d.obj, "Name"));
    if (!directives_.emplace(name, d).second && !built_in.contains(name))
      return Refuse(error, "Cannot redeclare directive " + name + ".", d);
  }
  return true;
}

bool GraphqlSchema::Load(Arena& arena, const Value& document, std::string& error) {
  std::string ignored;
  Value prelude = ParseGraphqlSchema(arena, kPrelude, ignored);
  if (!Merge(arena, prelude, error) || !Merge(arena, document, error)) return false;
  for (const auto& [name, type] : types_) {
    std::string_view kind = TextOf(*type.obj, "Kind");
    if (kind == "UNION") {
      for (const Value& t : ListOf(*type.obj, "Types")) possible_[name].emplace_back(t.is_string() ? t.text() : "");
    } else if (kind == "OBJECT" || kind == "INPUT_OBJECT" || kind == "INTERFACE") {
      for (const Value& i : ListOf(*type.obj, "Interfaces"))
        possible_[std::string(i.is_string() ? i.text() : "")].push_back(name);
      if (kind != "INTERFACE") possible_[name].push_back(name);
    }
  }
  auto schemas = ListOf(*document.obj, "Schema");
  if (schemas.size() > 1)
    return Refuse(error, "Cannot have multiple schema entry points, consider schema extensions instead.", schemas[1]);
  for (const char* key : {"Schema", "SchemaExtension"}) {
    for (const Value& s : ListOf(*document.obj, key)) {
      if (!s.is_object()) continue;
      for (const Value& entry : ListOf(*s.obj, "OperationTypes")) {
        if (!entry.is_object()) continue;
        std::string operation(TextOf(*entry.obj, "Operation")), type(TextOf(*entry.obj, "Type"));
        if (Type(type) == nullptr)
          return Refuse(error, "Schema root " + operation + " refers to a type " + type + " that does not exist.",
                        entry);
        roots_[operation] = type;
      }
      if (!CheckDirectives(Get(*s.obj, "Directives"), "SCHEMA", nullptr, true, error)) return false;
    }
  }
  for (const auto& [name, type] : types_) {
    if (!Reserved(name) || ByName(ListOf(*document.obj, "Definitions"), name) != nullptr) {
      if (!CheckType(*type.obj, error)) return false;
    }
  }
  for (const auto& [name, d] : directives_) {
    if (!CheckName(name, d, error) || !CheckArguments(Get(*d.obj, "Arguments"), d.obj, error)) return false;
  }
  if (schemas.empty()) {
    for (auto [operation, name] :
         {std::pair("query", "Query"), std::pair("mutation", "Mutation"), std::pair("subscription", "Subscription")}) {
      if (!roots_.contains(operation) && Type(name) != nullptr) roots_[operation] = name;
    }
  }
  return true;
}

bool GraphqlSchema::CheckArguments(const Value& arguments, const Obj* within, std::string& error) const {
  bool ok = false;
  for (const Value& a : Elements(arguments, ok)) {
    if (!a.is_object()) continue;
    Value type = Get(*a.obj, "Type");
    std::string name(TextOf(*a.obj, "Name"));
    if (!CheckName(name, a, error)) return false;
    const Obj* def = Type(GraphqlTypeName(type));
    if (def == nullptr) return Refuse(error, "Undefined type " + std::string(GraphqlTypeName(type)) + ".", type);
    if (!IsInput(*def)) {
      return Refuse(error,
                    "cannot use " + GraphqlTypeText(type) + " as argument " + name + " because " +
                        std::string(TextOf(*def, "Kind")) + " is not a valid input type",
                    a);
    }
    if (!CheckDirectives(Get(*a.obj, "Directives"), "ARGUMENT_DEFINITION", within, true, error)) return false;
  }
  return true;
}

bool GraphqlSchema::CheckDirectives(const Value& directives, std::string_view place, const Obj* within, bool single,
                                    std::string& error) const {
  std::set<std::string_view> seen;
  bool ok = false;
  for (const Value& d : Elements(directives, ok)) {
    if (!d.is_object()) continue;
    std::string_view name = TextOf(*d.obj, "Name");
    std::string shown(name);
    if (!CheckName(name, d, error)) return false;
    if (within != nullptr && TextOf(*within, "Name") == name)
      return Refuse(error, "Directive " + shown + " cannot refer to itself.", d);
    const Obj* def = Directive(name);
    if (def == nullptr) return Refuse(error, "Undefined directive " + shown + ".", d);
    if (single && !seen.insert(name).second && !Get(*def, "IsRepeatable").is_true()) {
      return Refuse(error, "The directive " + shown + " can only be used once at this location.", d);
    }
    if (!HasText(Get(*def, "Locations"), place))
      return Refuse(error, "Directive " + shown + " is not applicable on " + std::string(place) + ".", d);
    for (const Value& a : ListOf(*d.obj, "Arguments")) {
      if (a.is_object() && ByName(ListOf(*def, "Arguments"), TextOf(*a.obj, "Name")) == nullptr) {
        return Refuse(error,
                      "Undefined argument " + std::string(TextOf(*a.obj, "Name")) + " for directive " + shown + ".", a);
      }
    }
    for (const Value& a : ListOf(*def, "Arguments")) {
      if (!a.is_object() || !IsNonNull(Get(*a.obj, "Type")) || Get(*a.obj, "DefaultValue").defined()) continue;
      const Obj* given = ByName(ListOf(*d.obj, "Arguments"), TextOf(*a.obj, "Name"));
      Value v = given == nullptr ? Value() : Get(*given, "Value");
      if (!v.is_object() || Equal(Get(*v.obj, "Kind"), Value::Int(6))) {
        return Refuse(
            error, "Argument " + std::string(TextOf(*a.obj, "Name")) + " for directive " + shown + " cannot be null.",
            d);
      }
    }
  }
  return true;
}

bool GraphqlSchema::Covariant(const Value& required, const Value& actual) const {
  if (!required.is_object() || !actual.is_object()) return false;
  if (IsNonNull(required) && !IsNonNull(actual)) return false;
  std::string_view want = TextOf(*required.obj, "NamedType"), have = TextOf(*actual.obj, "NamedType");
  if (want.empty()) return have.empty() && Covariant(Get(*required.obj, "Elem"), Get(*actual.obj, "Elem"));
  const auto& possible = Possible(want);
  return want == have || std::find(possible.begin(), possible.end(), have) != possible.end();
}

bool GraphqlSchema::CheckImplements(const Obj& type, std::string_view name, std::string& error) const {
  Value node = Value::Of(&type);
  std::string self(TextOf(type, "Name")), wanted(name);
  const Obj* interface = Type(name);
  if (interface == nullptr) return Refuse(error, "Undefined type \"" + wanted + "\".", node);
  if (TextOf(*interface, "Kind") != "INTERFACE") {
    return Refuse(error, "\"" + wanted + "\" is a non interface type " + std::string(TextOf(*interface, "Kind")) + ".",
                  node);
  }
  std::string to = "For " + self + " to implement " + wanted;
  for (const Value& required : ListOf(*interface, "Fields")) {
    if (!required.is_object()) continue;
    std::string field(TextOf(*required.obj, "Name"));
    const Obj* found = ByName(ListOf(type, "Fields"), field);
    if (found == nullptr) return Refuse(error, to + " it must have a field called " + field + ".", node);
    Value at = Value::Of(found);
    if (!Covariant(Get(*required.obj, "Type"), Get(*found, "Type"))) {
      return Refuse(error,
                    to + " the field " + field + " must have type " + GraphqlTypeText(Get(*required.obj, "Type")) + ".",
                    at);
    }
    for (const Value& a : ListOf(*required.obj, "Arguments")) {
      if (!a.is_object()) continue;
      std::string argument(TextOf(*a.obj, "Name"));
      const Obj* same = ByName(ListOf(*found, "Arguments"), argument);
      if (same == nullptr)
        return Refuse(error,
                      to + " the field " + field + " must have the same arguments but it is missing " + argument + ".",
                      at);
      if (GraphqlTypeText(Get(*a.obj, "Type")) != GraphqlTypeText(Get(*same, "Type"))) {
        return Refuse(
            error,
            to + " the field " + field + " must have the same arguments but " + argument + " has the wrong type.",
            Value::Of(same));
      }
    }
    for (const Value& a : ListOf(*found, "Arguments")) {
      if (!a.is_object() || ByName(ListOf(*required.obj, "Arguments"), TextOf(*a.obj, "Name")) != nullptr) continue;
      if (IsNonNull(Get(*a.obj, "Type")) && !Get(*a.obj, "DefaultValue").defined()) {
        return Refuse(error,
                      to + " any additional arguments on " + field + " must be optional or have a default value but " +
                          std::string(TextOf(*a.obj, "Name")) + " is required.",
                      a);
      }
    }
  }
  for (const Value& up : ListOf(*interface, "Interfaces")) {
    std::string above(up.is_string() ? up.text() : "");
    if (HasText(Get(type, "Interfaces"), above)) continue;
    if (above == self)
      return Refuse(error,
                    "Type " + self + " cannot implement " + wanted + " because it would create a circular reference.",
                    node);
    return Refuse(error, "Type " + self + " must implement " + above + " because it is implemented by " + wanted + ".",
                  node);
  }
  return true;
}

bool GraphqlSchema::CheckType(const Obj& type, std::string& error) const {
  Value node = Value::Of(&type);
  std::string kind(TextOf(type, "Kind")), name(TextOf(type, "Name"));
  bool input = kind == "INPUT_OBJECT";
  std::set<std::string_view> seen;
  for (const Value& f : ListOf(type, "Fields")) {
    if (!f.is_object()) continue;
    Value ref = Get(*f.obj, "Type");
    std::string_view field = TextOf(*f.obj, "Name");
    if (!CheckName(field, f, error)) return false;
    const Obj* def = Type(GraphqlTypeName(ref));
    if (def == nullptr) return Refuse(error, "Undefined type " + std::string(GraphqlTypeName(ref)) + ".", ref);
    if (!CheckArguments(Get(*f.obj, "Arguments"), nullptr, error)) return false;
    if (!CheckDirectives(Get(*f.obj, "Directives"), input ? "INPUT_FIELD_DEFINITION" : "FIELD_DEFINITION", nullptr,
                         true, error))
      return false;
  }
  for (const Value& t : ListOf(type, "Types")) {
    std::string member(t.is_string() ? t.text() : "");
    const Obj* def = Type(member);
    if (def == nullptr) return Refuse(error, "Undefined type \"" + member + "\".", node);
    if (TextOf(*def, "Kind") != "OBJECT") return Refuse(error, kind + " type \"" + member + "\" must be OBJECT.", node);
  }
  for (const Value& i : ListOf(type, "Interfaces")) {
    if (!CheckImplements(type, i.is_string() ? i.text() : "", error)) return false;
  }
  if (kind == "OBJECT" || kind == "INTERFACE" || input) {
    if (ListOf(type, "Fields").empty())
      return Refuse(error, kind + " " + name + ": must define one or more " + (input ? "input " : "") + "fields.",
                    node);
    for (const Value& f : ListOf(type, "Fields")) {
      if (!f.is_object()) continue;
      const Obj* def = Type(GraphqlTypeName(Get(*f.obj, "Type")));
      std::string other(TextOf(*def, "Kind"));
      if (input && !IsInput(*def)) {
        return Refuse(
            error,
            other + " " + std::string(TextOf(*f.obj, "Name")) + ": field must be one of SCALAR, ENUM, INPUT_OBJECT.",
            f);
      }
      if (!input && other == "INPUT_OBJECT") {
        return Refuse(error, kind + " " + name + ": field must be one of SCALAR, OBJECT, INTERFACE, UNION, ENUM.", f);
      }
    }
  }
  if (kind == "ENUM") {
    if (ListOf(type, "EnumValues").empty())
      return Refuse(error, kind + " " + name + ": must define one or more unique enum values.", node);
    for (const Value& v : ListOf(type, "EnumValues")) {
      if (!v.is_object()) continue;
      std::string text(TextOf(*v.obj, "Name"));
      if (text == "true" || text == "false" || text == "null")
        return Refuse(error, kind + " " + name + ": non-enum value " + text + ".", node);
      if (!CheckDirectives(Get(*v.obj, "Directives"), "ENUM_VALUE", nullptr, true, error)) return false;
    }
  }
  for (std::string_view list : {std::string_view("Fields"), std::string_view("EnumValues")}) {
    seen.clear();
    for (const Value& f : ListOf(type, list)) {
      if (f.is_object() && !seen.insert(TextOf(*f.obj, "Name")).second) {
        return Refuse(error,
                      std::string(list == "Fields" ? "Field " : "Enum value ") + name + "." +
                          std::string(TextOf(*f.obj, "Name")) + " can only be defined once.",
                      f);
      }
    }
  }
  return CheckName(name, node, error) && CheckDirectives(Get(type, "Directives"), kind, nullptr, false, error);
}

}  // namespace hexr::rego
