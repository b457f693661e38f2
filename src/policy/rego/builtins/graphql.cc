// GraphQL: parsing and validation.
#include "policy/rego/builtins/graphql_parser.h"
#include "policy/rego/builtins/graphql_validate.h"
#include "policy/rego/builtins/support.h"

namespace hexr::rego {
namespace {

using ParseFn = Value (*)(Arena&, std::string_view, std::string&);

// Text is parsed; an object is taken as a syntax tree.
Value Document(Call& c, const Value& v, ParseFn parse, std::string& error) {
  if (v.is_string()) return parse(c.arena, v.text(), error);
  return v;
}
bool TextOrObject(const Value& v) { return v.is_string() || v.is_object(); }

bool Check(Call& c, Value& query, Value& schema, std::string& error) {
  query = Document(c, c[0], ParseGraphqlQuery, error);
  if (!query.defined()) return false;
  schema = Document(c, c[1], ParseGraphqlSchema, error);
  GraphqlSchema loaded;
  if (!schema.defined()) return false;
  if (!loaded.Load(c.arena, schema, error)) {
    error = "Error in gqlparser SchemaDocument to Schema conversion: " + error;
    return false;
  }
  return ValidateGraphqlQuery(loaded, query, error);
}

Value Parse(Call& c) {
  for (size_t i = 0; i < 2; ++i) {
    if (!TextOrObject(c[i]))
      return c.TypeError("operand " + std::to_string(i) + " must be one of {string, object} but got " +
                         std::string(KindName(c[i])));
  }
  Value query, schema;
  std::string error;
  if (!Check(c, query, schema, error)) return c.Fail(error);
  Value out[] = {DropPositions(c.arena, query), DropPositions(c.arena, schema)};
  return MakeArray(c.arena, out);
}
Value ParseAndVerifyQuery(Call& c) {
  Value query, schema;
  std::string error;
  if (!TextOrObject(c[0]) || !TextOrObject(c[1]) || !Check(c, query, schema, error)) {
    Value out[] = {Value::Bool(false), EmptyObject(), EmptyObject()};
    return MakeArray(c.arena, out);
  }
  Value out[] = {Value::Bool(true), DropPositions(c.arena, query), DropPositions(c.arena, schema)};
  return MakeArray(c.arena, out);
}
Value ParseQueryText(Call& c) {
  std::string_view text;
  std::string error;
  if (!TakeString(c, 0, text)) return Value();
  Value v = ParseGraphqlQuery(c.arena, text, error);
  return v.defined() ? DropPositions(c.arena, v) : c.Fail(error);
}
Value ParseSchema(Call& c) {
  std::string_view text;
  std::string error;
  if (!TakeString(c, 0, text)) return Value();
  Value v = ParseGraphqlSchema(c.arena, text, error);
  return v.defined() ? DropPositions(c.arena, v) : c.Fail(error);
}
Value QueryIsValid(Call& c) {
  Value query, schema;
  std::string error;
  return Value::Bool(TextOrObject(c[0]) && TextOrObject(c[1]) && Check(c, query, schema, error));
}
Value SchemaIsValid(Call& c) {
  std::string error;
  if (!TextOrObject(c[0])) return Value::Bool(false);
  Value schema = Document(c, c[0], ParseGraphqlSchema, error);
  GraphqlSchema loaded;
  return Value::Bool(schema.defined() && loaded.Load(c.arena, schema, error));
}

}  // namespace

std::span<const Builtin> GraphqlBuiltins() {
  static constexpr Builtin kTable[] = {
      {.name = "graphql.parse", .arity = 2, .fn = Parse},
      {.name = "graphql.parse_and_verify", .arity = 2, .fn = ParseAndVerifyQuery},
      {.name = "graphql.parse_query", .arity = 1, .fn = ParseQueryText},
      {.name = "graphql.parse_schema", .arity = 1, .fn = ParseSchema},
      {.name = "graphql.is_valid", .arity = 2, .fn = QueryIsValid},
      {.name = "graphql.schema_is_valid", .arity = 1, .fn = SchemaIsValid},
  };
  return kTable;
}

}  // namespace hexr::rego
