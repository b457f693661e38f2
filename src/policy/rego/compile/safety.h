// Safety: every variable of a body gets its value from a positive expression, and the body is put in an order in which
// values exist before they are needed. Closures are ordered inside with the variables that surround them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "policy/rego/compile/names.h"
#include "policy/rego/syntax/ast.h"
#include "policy/rego/syntax/diagnostics.h"

namespace hexr::rego {

class Safety {
 public:
  // Number of inputs of a function by its full name, or -1 when there is no such function.
  using ArityOf = std::function<int(const Term& op)>;

  Safety(ArityOf arity, NameSource& names, std::string file, std::vector<Diagnostic>& errors)
      : arity_(std::move(arity)), names_(names), file_(std::move(file)), errors_(errors) {}

  // Orders `body` in place; `globals` are safe already and grow by what the body makes safe. Reports what stays unsafe.
  void Order(Body& body, VarSet& globals);
  // Closures inside a term that is evaluated after `safe` is known; plain variables are checked too.
  void CheckTerm(Term& t, const VarSet& safe);

 private:
  VarSet Outputs(const Expr& e, const VarSet& safe) const;
  bool RefOutputs(const Term& t, const VarSet& safe, VarSet& out) const;
  void Unify(const Term& a, const Term& b, VarSet& safe) const;
  bool Bound(const Term& t, const VarSet& safe) const;
  void HoistNegated(Body& body);
  void OrderClosures(Expr& e, const VarSet& safe);
  void OrderClosures(Term& t, const VarSet& safe);

  ArityOf arity_;
  NameSource& names_;
  std::string file_;
  std::vector<Diagnostic>& errors_;
  std::set<std::pair<std::string, uint64_t>> reported_;
};

}  // namespace hexr::rego
