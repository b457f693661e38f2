// Partial sets as generators: `some x in granted` runs the rules of `granted` in place and stops at the first element
// that fits, instead of making the set. Elements may come twice then, which only array comprehensions can tell.
#include <algorithm>
#include <functional>

#include "policy/rego/plan/planner.h"

namespace hexr::rego {

void Planner::CountUses() {
  uses_.assign(program_.tree.size(), 0);
  std::function<void(const Expr&)> expr;
  std::function<void(const Term&)> term = [&](const Term& t) {
    if (t.is_ref() && t.items[0]->is_var() && t.items[0]->text == "data") {
      size_t used = 0;
      int place = Place(t, used);
      // A ref that stops above the rules may read any of them.
      std::function<void(int)> below = [&](int at) {
        const TreePlace& p = program_.tree[static_cast<size_t>(at)];
        uses_[static_cast<size_t>(at)] += p.function >= 0 && at != place ? 2 : 1;
        for (const auto& [key, child] : p.children) below(child);
      };
      if (place >= 0) below(place);
    }
    for (const auto& i : t.items) term(*i);
    for (const auto& e : t.body) expr(*e);
  };
  expr = [&](const Expr& e) {
    for (const auto& t : e.terms) {
      if (t) term(*t);
    }
    for (const auto& w : e.with) {
      term(*w.value);
      data_replaced_ = data_replaced_ || w.target->items[0]->text == "data";
    }
    for (const auto& b : e.body) expr(*b);
  };
  for (const auto& m : compiler_.modules()) {
    for (const auto& rule : m->rules) {
      for (const Rule* r = rule.get(); r != nullptr; r = r->else_rule.get()) {
        for (const auto& e : r->body) expr(*e);
        for (const auto& a : r->head.args) term(*a);
        if (r->head.key) term(*r->head.key);
        if (r->head.value) term(*r->head.value);
        for (size_t i = 1; i < r->head.ref->items.size(); ++i) term(*r->head.ref->items[i]);
      }
    }
  }
}

// Nothing in it can end in an error: no calls but comparisons, no other rules. Stopping at the first element that fits
// then hides no error that making the whole set would have met.
bool Planner::CannotFail(const Term& t) const {
  if (t.kind == TermKind::kCall || t.is_comprehension()) return false;
  if (t.is_ref() && t.items[0]->is_var() && t.items[0]->text == "data") {
    size_t used = 0;
    if (Place(t, used) >= 0) return false;
  }
  return std::all_of(t.items.begin(), t.items.end(), [this](const TermPtr& i) { return CannotFail(*i); });
}

bool Planner::CannotFail(const Expr& e) const {
  static constexpr std::string_view kSafe[] = {"eq", "equal", "neq", "lt", "lte", "gt", "gte", "internal.member_2"};
  if (e.kind > ExprKind::kCall || e.negated || !e.with.empty()) return false;
  if (e.kind == ExprKind::kCall &&
      (e.terms.size() != 3 || std::find(std::begin(kSafe), std::end(kSafe), e.Operator()) == std::end(kSafe)))
    return false;
  size_t first = e.kind == ExprKind::kCall ? 1 : 0;
  return std::all_of(e.terms.begin() + static_cast<std::ptrdiff_t>(first), e.terms.end(),
                     [this](const TermPtr& t) { return CannotFail(*t); });
}

bool Planner::MayInline(const TreeNode& node) const {
  constexpr size_t kMaxRules = 8;
  if (!node.children.empty() || node.rules.empty() || node.rules.size() > kMaxRules) return false;
  size_t depth = 0;
  for (const TreeNode* n = &node; n != nullptr; n = n->parent) ++depth;
  return std::all_of(node.rules.begin(), node.rules.end(), [&](const Rule* r) {
    return r->head.key && !r->is_default && !r->else_rule && r->head.ref->items.size() == depth &&
           CannotFail(*r->head.key) &&
           std::all_of(r->body.begin(), r->body.end(), [this](const ExprPtr& e) { return CannotFail(*e); });
  });
}

bool Planner::PlanInline(const Term& t, int place, size_t next, uint16_t& element) {
  if (next + 1 != t.items.size() || rule_ == nullptr || repeats_matter_ || data_replaced_ || uses_.empty())
    return false;
  // Within an iteration the rules would run again and again, where a set is made once.
  if (emit_->fail != first_fail_) return false;
  const TreeNode& node = *nodes_[static_cast<size_t>(place)];
  const Term& operand = *t.items[next];
  if (uses_[static_cast<size_t>(place)] != 1 || Computable(operand) || !MayInline(node)) return false;

  const Rule* outer_rule = rule_;
  Location outer_place = emit_->place;
  const Emitter::Mark mark = emit_->ScopeMark();
  Emitter::Label outer = emit_->fail;
  Emitter::Label found = emit_->NewLabel();
  const bool single = node.rules.size() == 1;
  element = single ? kNoRegister : emit_->Register();
  uint16_t resume = single ? kNoRegister : emit_->Register();
  for (size_t i = 0; i < node.rules.size(); ++i) {
    const Rule& rule = *node.rules[i];
    Emitter::Label exhausted = i + 1 < node.rules.size() ? emit_->NewLabel() : outer;
    size_t barrier = emit_->SetBarrier(mark.variables);
    emit_->fail = exhausted;
    PlanRuleBody(rule);
    uint16_t value = PlanTerm(*rule.head.key);
    emit_->place = rule.at;
    if (single) {
      // Its own iteration goes on when the outer body fails: nothing to remember.
      element = value;
      emit_->SetBarrier(barrier);
      emit_->ScopeRestore(mark);
      rule_ = outer_rule;
      emit_->place = outer_place;
      first_fail_ = outer;
      PlanMatch(operand, element);
      return true;
    }
    emit_->Emit(Op::kMove, element, value);
    emit_->SetBarrier(barrier);
    emit_->ScopeRestore(mark);
    emit_->Emit(Op::kMark, resume, 0, 0, emit_->fail);
    emit_->Emit(Op::kJump, 0, 0, 0, found);
    if (exhausted != outer) emit_->Bind(exhausted);
  }
  rule_ = outer_rule;
  emit_->place = outer_place;
  Emitter::Label again = emit_->NewLabel();
  emit_->Bind(again);
  emit_->Emit(Op::kResume, resume);
  emit_->Bind(found);
  emit_->fail = again;
  // The outer body is inside an iteration now.
  first_fail_ = outer;
  PlanMatch(operand, element);
  return true;
}

bool Planner::PlanCondition(const Term& t) {
  if (!t.is_ref() || !t.items[0]->is_var() || t.items[0]->text != "data" || rule_ == nullptr || withs_ > 0 ||
      data_replaced_ || uses_.empty() || emit_->fail != first_fail_)
    return false;
  size_t used = 0;
  const int place = Place(t, used);
  if (place < 0 || used != t.items.size() || uses_[static_cast<size_t>(place)] != 1) return false;
  const TreeNode& node = *nodes_[static_cast<size_t>(place)];
  if (!node.children.empty() || node.rules.size() != 1) return false;
  const Rule& rule = *node.rules[0];
  const bool whether = !rule.head.is_function && !rule.head.key && !rule.is_default && !rule.else_rule &&
                       rule.head.value && rule.head.value->kind == TermKind::kBool && rule.head.value->text == "true" &&
                       rule.head.ref->items.size() == t.items.size();
  if (!whether || depth_ >= kMaxInlineDepth) return false;
  ++depth_;
  const Rule* outer_rule = rule_;
  const Location outer_place = emit_->place;
  const Emitter::Label outer = emit_->fail, outer_first = first_fail_;
  const bool repeats = repeats_matter_;
  const Emitter::Mark mark = emit_->ScopeMark();
  const size_t barrier = emit_->SetBarrier(mark.variables);
  PlanRuleBody(rule);
  emit_->place = rule.at;
  // Where a trace sees that the rule held.
  emit_->Emit(Op::kMark, emit_->Register(), 0, 0, outer);
  emit_->SetBarrier(barrier);
  emit_->ScopeRestore(mark);
  rule_ = outer_rule;
  emit_->place = outer_place;
  // One way is enough: what comes after does not go back into it.
  emit_->fail = outer;
  first_fail_ = outer_first;
  repeats_matter_ = repeats;
  --depth_;
  return true;
}

}  // namespace hexr::rego
