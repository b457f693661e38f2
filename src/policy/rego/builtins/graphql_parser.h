// GraphQL documents (specification of October 2021) as values in the shape of gqlparser's JSON, with a member
// "Position" {Line, Column} on each node for messages: DropPositions takes it away. Strings and given syntax trees so
// take one way.
#pragma once

#include <string>
#include <string_view>

#include "policy/rego/value/value.h"

namespace hexr::rego {

// Undefined with "…in GraphQL string at location L:C" in `error` when malformed.
Value ParseGraphqlQuery(Arena& arena, std::string_view text, std::string& error);
Value ParseGraphqlSchema(Arena& arena, std::string_view text, std::string& error);
// Without positions, nulls and empty lists: what built-ins return.
Value DropPositions(Arena& arena, const Value& document);
std::string GraphqlError(const std::string& message, const Value& node);

}  // namespace hexr::rego
