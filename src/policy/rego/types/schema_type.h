// JSON Schema as a static type, as OPA reads schemas for its type check: what a policy may find in a document of that
// schema. What the types cannot say (numbers in a range, oneOf, if) passes.
#pragma once

#include "base/result.h"
#include "policy/rego/types/type.h"
#include "policy/rego/value/value.h"

namespace hexr::rego {

// An object that names properties has no others, unless it says additionalProperties itself. A schema within itself is
// anything. INVALID_ARGUMENT: a $ref to nothing in this schema, or schemas of allOf that no value can fit.
Result<const Type*> TypeOfSchema(TypePool& pool, const Value& schema);

}  // namespace hexr::rego
