// Validation of GraphQL schemas and of queries against them (specification of October 2021, sections 3 and 5), over the
// values of graphql_parser.h.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "policy/rego/value/value.h"

namespace hexr::rego {

// A checked schema: types with their extensions merged, the built-in ones included.
class GraphqlSchema {
 public:
  // False with the message in `error`.
  bool Load(Arena& arena, const Value& document, std::string& error);

  const Obj* Type(std::string_view name) const;
  const Obj* Directive(std::string_view name) const;
  // The root type of an operation, or null.
  const Obj* Root(std::string_view operation) const;
  // The object types a value of this type may have.
  const std::vector<std::string>& Possible(std::string_view type) const;

 private:
  bool Merge(Arena& arena, const Value& document, std::string& error);
  bool CheckType(const Obj& type, std::string& error) const;
  bool CheckImplements(const Obj& type, std::string_view name, std::string& error) const;
  bool CheckArguments(const Value& arguments, const Obj* within, std::string& error) const;
  bool CheckDirectives(const Value& directives, std::string_view place, const Obj* within, bool single,
                       std::string& error) const;
  bool Covariant(const Value& required, const Value& actual) const;

  std::map<std::string, Value, std::less<>> types_, directives_;
  std::map<std::string, std::vector<std::string>, std::less<>> possible_;
  std::map<std::string, std::string, std::less<>> roots_;
};

// False with the message of the first violation in `error`.
bool ValidateGraphqlQuery(const GraphqlSchema& schema, const Value& query, std::string& error);

// "[String!]" for a type reference, and the name at its core.
std::string GraphqlTypeText(const Value& type);
std::string_view GraphqlTypeName(const Value& type);
bool IsNonNull(const Value& type);
// A list in an object value; empty when absent.
std::span<const Value> ListOf(const Obj& o, std::string_view key);
const Obj* ByName(std::span<const Value> list, std::string_view name);

}  // namespace hexr::rego
