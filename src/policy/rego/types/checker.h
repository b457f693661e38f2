// OPA's static type check of compiled rules (rego_type_error): what can never hold, and what can never be found. Rules
// are safe and ordered by then. One thread; types live as long as the checker.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "policy/rego/compile/compiler.h"
#include "policy/rego/types/type.h"
#include "policy/rego/value/value.h"

namespace hexr::rego {

class TypeChecker {
 public:
  // `input_schema` says what input may be; undefined: anything.
  explicit TypeChecker(const Compiler& compiler, const Value& input_schema = Value());

  // Every error of every rule, in the order of the source.
  std::vector<Diagnostic> CheckRules();
  // Errors of a compiled query.
  std::vector<Diagnostic> CheckQuery(const Body& query);

 private:
  // Variables of one body; those of the bodies around it are seen through `outer`.
  struct Scope {
    explicit Scope(Scope* o) : outer(o) {}
    Scope* outer;
    std::map<std::string, const Type*, std::less<>> types;
    const Type* Find(std::string_view name) const;
  };

  const Type* TypeOfNode(const TreeNode& node);
  const Type* TypeOfRule(const Rule& rule, size_t depth);
  const Type* Extent(const TreeNode& node);
  bool CheckBody(const Body& body, Scope& scope);
  bool CheckExpr(const Expr& e, Scope& scope);
  bool CheckClosures(const Term& t, Scope& scope);
  bool CheckCalls(const Term& t, Scope& scope);
  bool CheckCall(const std::vector<TermPtr>& items, bool nested, const Location& at, Scope& scope, bool quiet);
  bool CheckEquality(const Term& a, const Term& b, const Location& at, Scope& scope, bool quiet);
  bool CheckRefs(const Term& t, Scope& scope);
  bool CheckRef(const Term& ref, Scope& scope);
  bool CheckSteps(const Type* t, const Term& ref, size_t i, Scope& scope);

  const Type* Of(const Term& t, Scope& scope);
  const Type* OfRef(const Term& ref, Scope& scope);
  const Type* Follow(const Type* t, const Term& ref, size_t i, Scope& scope);
  const Type* FunctionOf(const Term& op);
  bool Unify(const Term& a, const Type* ta, const Term& b, const Type* tb, Scope& scope);
  // Gives the variables of `t` the types that `want` says; false when they cannot have them.
  bool Assume(const Term& t, const Type* want, Scope& scope, bool either);
  void Report(const Location& at, std::string message, const std::vector<std::string>& details);
  bool RefError(const Term& ref, size_t i, const Type* have, const Type* want, const std::vector<std::string>& one_of);

  const Compiler& compiler_;
  TypePool pool_;
  const Type* input_;
  std::map<const TreeNode*, const Type*> nodes_;
  std::map<std::string, const Type*, std::less<>> builtins_;
  std::vector<Diagnostic> errors_;
  size_t depth_ = 0;  // rules within rules
};

}  // namespace hexr::rego
