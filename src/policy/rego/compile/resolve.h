// Names to what they mean: imports and rules of the package become full paths, declared variables get fresh names,
// := and some become unifications. One module (or query) at a time.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "policy/rego/compile/names.h"
#include "policy/rego/syntax/ast.h"
#include "policy/rego/syntax/diagnostics.h"

namespace hexr::rego {

class Resolver {
 public:
  // `globals`: what a bare name stands for, as a full path.
  Resolver(const std::map<std::string, std::vector<std::string>, std::less<>>& globals, NameSource& names,
           std::string file, bool strict, std::vector<Diagnostic>& errors)
      : globals_(globals), names_(names), file_(std::move(file)), strict_(strict), errors_(errors) {}

  // `package`: the path that rule heads start from.
  void ResolveRule(Rule& rule, const std::vector<TermPtr>& package);
  void ResolveQuery(Body& body);
  // The bare names that were of use so far.
  const VarSet& used_globals() const { return used_globals_; }

 private:
  struct Variable {
    std::string name;  // fresh name once declared, "" before
    bool used_before = false;
    bool used = false;
    enum class Why : uint8_t { kNone, kAssigned, kDeclared } why = Why::kNone;
    Location at = {};
  };
  using Frame = std::map<std::string, Variable, std::less<>>;

  void ResolveBody(Body& body);
  void ResolveExpr(Expr& e, Body& out);
  void ResolveTerm(TermPtr& t);
  void ResolveRef(TermPtr& t);
  void ResolveOperator(TermPtr& op);
  void ResolveWith(Expr& e);
  void LiftCalls(TermPtr& t, Body& support);
  void ResolveTemplate(TermPtr& t);
  // A fresh variable for `value`, computed by a literal of its own.
  TermPtr Named(TermPtr value, Body& out);
  void DeclarePattern(Term& t, bool assign);
  void Declare(Term& var, bool assign);
  static void CollectDeclared(const Body& body, Frame& frame);
  static void CollectPattern(const Term& t, Frame& frame);
  const std::vector<std::string>* Global(std::string_view name) const;
  Variable* Find(std::string_view name);
  // Ends a scope. What was declared in it and never used is an error; what was assigned, in strict mode.
  void PopFrame();
  void Fail(Location at, std::string message);

  const std::map<std::string, std::vector<std::string>, std::less<>>& globals_;
  NameSource& names_;
  std::string file_;
  bool strict_;
  std::vector<Diagnostic>& errors_;
  VarSet used_globals_;
  std::vector<Frame> frames_;
  bool keep_names_ = false;  // a query's own variables are its result
};

}  // namespace hexr::rego
