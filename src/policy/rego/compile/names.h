// Sets of variable names and the visits that collect them.
#pragma once

#include <set>
#include <string>

#include "policy/rego/syntax/ast.h"

namespace hexr::rego {

using VarSet = std::set<std::string, std::less<>>;

bool IsRootName(std::string_view name);  // data, input

struct VarVisit {
  bool closures = true;  // look into comprehensions, every and not bodies
  bool ref_heads = true;
  bool sets = true;
  bool object_keys = true;
};
// Adds the variables of a term; root documents and operators of calls never count.
void CollectVars(const Term& t, const VarVisit& how, VarSet& out);
void CollectVars(const Expr& e, const VarVisit& how, VarSet& out);
void CollectVars(const Body& b, const VarVisit& how, VarSet& out);
// The variables used inside closures of `e`.
void CollectClosureVars(const Expr& e, VarSet& out);
void CollectClosureVars(const Term& t, VarSet& out);

// Fresh names, unique in one compilation.
class NameSource {
 public:
  std::string Next() { return "__local" + std::to_string(next_++) + "__"; }

 private:
  size_t next_ = 0;
};

}  // namespace hexr::rego
