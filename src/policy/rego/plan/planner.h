// Compiled rules to bytecode. After the safety pass every literal knows which variables have values, so unification
// becomes matching and building; a literal that fails jumps to the innermost place that can offer another value.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "policy/rego/compile/compiler.h"
#include "policy/rego/plan/emitter.h"
#include "policy/rego/plan/program.h"

namespace hexr::rego {

class Planner {
 public:
  // Plans every rule of `compiler` into `program`. False when errors() of the compiler has grown.
  static bool PlanRules(Compiler& compiler, Program& program);
  // Adds a function that returns the array of the query's bindings (objects of variable and value). -1 on error.
  static int PlanQuery(Compiler& compiler, const Body& query, Program& program);

 private:
  Planner(Compiler& compiler, Program& program) : compiler_(compiler), program_(program) {}

  // planner.cc: rule sets
  void Number(const TreeNode& node, int parent);
  void PlanNode(const TreeNode& node, int place);
  void PlanSingle(const std::vector<Rule*>& rules, Function& f, bool is_function);
  void PlanSet(const std::vector<Rule*>& rules, Function& f);
  void PlanGroup(const TreeNode& node, Function& f);
  void CollectGroup(const TreeNode& node, std::vector<std::pair<const TreeNode*, Rule*>>& out) const;
  void BindArguments(const Rule& rule);
  void PlanRuleBody(const Rule& rule);
  void PlanDemands(const Rule& rule);
  void PlanComparedBehindLoops(const Rule& rule);
  void FinishFunction(Function& f);
  bool PlanIndex(const std::vector<Rule*>& rules, bool is_function, std::vector<Emitter::Label>& starts,
                 Emitter::Label& next);

  // plan_expr.cc: literals
  void PlanBody(const Body& body);
  void PlanExpr(const Expr& e);
  void PlanPlain(const Expr& e);
  void PlanCallExpr(const Expr& e);
  void PlanNegated(const Expr& e);
  void PlanNotBody(const Expr& e);
  void PlanEvery(const Expr& e);
  void PlanWith(const Expr& e);
  bool PlanComparison(const std::string& name, const Expr& e);
  WithTarget MakeWithTarget(const With& w);

  // plan_term.cc: terms and unification
  uint16_t PlanTerm(const Term& t);
  std::vector<uint16_t> PlanTerms(std::span<const TermPtr> terms);
  uint16_t PlanRef(const Term& t);
  uint16_t PlanData(const Term& t, size_t& next, bool& is_node, bool& stored);
  // `stored`: a step into a base document, where numbers name members too.
  uint16_t PlanStep(uint16_t base, const Term& operand, bool stored = false);
  uint16_t PlanCall(const std::vector<TermPtr>& items, size_t operands, Location at, bool& relation);
  uint16_t PlanComprehension(const Term& t);
  // A partial set that is only iterated, once in the program: its rules run in place and no set is made.
  bool PlanInline(const Term& t, int place, size_t next, uint16_t& element);
  bool MayInline(const TreeNode& node) const;
  // A rule that only says whether, asked once in the program: its body runs in place.
  bool PlanCondition(const Term& t);
  bool CannotFail(const Term& t) const;
  bool CannotFail(const Expr& e) const;
  void CountUses();
  uint16_t PlanSequence(Op op, const Term& t);
  void PlanUnify(const Term& a, const Term& b);
  void PlanMatch(const Term& pattern, uint16_t reg);
  bool Computable(const Term& t) const;
  bool Unbound(const Term& t) const { return t.is_var() && emit_->Find(t.text) < 0; }
  void FailAlways() { emit_->Emit(Op::kJump, 0, 0, 0, emit_->fail); }
  void Unsafe(const Term& t);
  int Place(const Term& ref, size_t& used) const;

  // Constants, shared by content.
  uint32_t Constant(const Value& v);
  Value GroundValue(const Term& t);
  bool IsConstant(const Term& t) const { return IsGround(t); }

  Compiler& compiler_;
  Program& program_;
  std::unique_ptr<Emitter> emit_;
  std::vector<const TreeNode*> nodes_;  // by place
  // The number of a path below input ('i') or data ('d') that functions keep.
  uint32_t KeptPath(char root, std::vector<Value> path);

  static constexpr size_t kMaxInlineDepth = 8;
  size_t depth_ = 0;               // of rules planned in place
  size_t withs_ = 0;               // the literal being planned is within so many `with`
  const Rule* rule_ = nullptr;     // being planned
  std::vector<uint32_t> uses_;     // by place: how often code refers to the rule set
  bool data_replaced_ = false;     // some `with` replaces a part of data
  bool repeats_matter_ = false;    // inside an array comprehension
  Emitter::Label first_fail_ = 0;  // where the body being planned fails before its first iteration
  std::map<uint32_t, std::vector<uint32_t>> constants_by_hash_;
  std::map<std::string, uint32_t> kept_paths_;
};

}  // namespace hexr::rego
