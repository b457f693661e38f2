#include "policy/rego/plan/planner.h"
#include "policy/rego/value/build.h"

namespace hexr::rego {

void Planner::PlanBody(const Body& body) {
  for (const auto& e : body) PlanExpr(*e);
}

void Planner::PlanExpr(const Expr& e) {
  Location before = emit_->place;
  if (e.at.row > 0) emit_->place = e.at;
  const uint32_t start = emit_->position();
  const size_t left_out = emit_->left_out();
  if (!e.with.empty())
    PlanWith(e);
  else
    PlanPlain(e);
  // Where all of a literal was left out, a trace still sees that it held.
  if (emit_->position() == start && emit_->left_out() != left_out)
    emit_->Emit(Op::kMark, emit_->Register(), 0, 0, emit_->fail);
  emit_->place = before;
}

void Planner::PlanPlain(const Expr& e) {
  if (e.negated) return PlanNegated(e);
  switch (e.kind) {
    case ExprKind::kTerm: {
      if (PlanCondition(*e.terms[0])) break;
      uint16_t r = PlanTerm(*e.terms[0]);
      emit_->EmitOrFail(Op::kTrue, r);
      break;
    }
    case ExprKind::kCall: PlanCallExpr(e); break;
    case ExprKind::kEvery: PlanEvery(e); break;
    case ExprKind::kNot: PlanNotBody(e); break;
    case ExprKind::kSome: break;
  }
}

bool Planner::PlanComparison(const std::string& name, const Expr& e) {
  struct Row {
    std::string_view name;
    Op op;
  };
  static constexpr Row kRows[] = {{"equal", Op::kEqual},          {"neq", Op::kNotEqual}, {"lt", Op::kLess},
                                  {"lte", Op::kLessEqual},        {"gt", Op::kGreater},   {"gte", Op::kGreaterEqual},
                                  {"internal.member_2", Op::kHas}};
  if (e.terms.size() != 3) return false;
  for (const Row& row : kRows) {
    if (row.name != name) continue;
    if (row.op == Op::kEqual && IsConstant(*e.terms[2])) {
      uint16_t r = PlanTerm(*e.terms[1]);
      emit_->EmitOrFail(Op::kEqualConst, r, 0, 0, Constant(GroundValue(*e.terms[2])));
      return true;
    }
    std::vector<uint16_t> sides = PlanTerms(std::span(e.terms).subspan(1, 2));
    if (row.op == Op::kEqual && !e.terms[1]->is_var() && !e.terms[2]->is_var())
      emit_->EmitEqual(sides[0], sides[1]);
    else
      emit_->EmitOrFail(row.op, sides[0], sides[1]);
    return true;
  }
  return false;
}

void Planner::PlanCallExpr(const Expr& e) {
  std::string name = e.Operator();
  if (name == "eq" && e.terms.size() == 3) return PlanUnify(*e.terms[1], *e.terms[2]);
  if (PlanComparison(name, e)) return;
  size_t arity = e.terms.size() - 1;
  if (e.terms[0]->items[0]->is_var() && e.terms[0]->items[0]->text == "data") {
    size_t used = 0;
    int place = Place(*e.terms[0], used);
    if (place >= 0 && !nodes_[static_cast<size_t>(place)]->rules.empty()) {
      arity = nodes_[static_cast<size_t>(place)]->rules[0]->head.args.size();
    }
  } else if (const Builtin* b = FindBuiltin(name); b != nullptr && !b->variadic) {
    arity = b->arity;
  }
  bool relation = false;
  uint16_t r = PlanCall(e.terms, std::min(arity, e.terms.size() - 1), e.at, relation);
  if (relation) {
    uint16_t it = emit_->Registers(2);
    uint16_t v = emit_->Register();
    emit_->EmitOrFail(Op::kIterate, it, r);
    Emitter::Label next = emit_->NewLabel();
    emit_->Bind(next);
    emit_->Emit(Op::kNext, it, kNoRegister, v, emit_->fail);
    emit_->fail = next;
    r = v;
  }
  if (e.terms.size() == arity + 2) {
    PlanMatch(*e.terms.back(), r);
  } else {
    emit_->EmitOrFail(Op::kTrue, r);
  }
}

void Planner::PlanNegated(const Expr& e) {
  const Emitter::Mark mark = emit_->ScopeMark();
  Emitter::Label outer = emit_->fail;
  Emitter::Label holds = emit_->NewLabel();
  emit_->fail = holds;
  ExprPtr positive = e.Clone();
  positive->negated = false;
  positive->with.clear();
  PlanPlain(*positive);
  emit_->Emit(Op::kJump, 0, 0, 0, outer);
  emit_->Bind(holds);
  emit_->fail = outer;
  emit_->ScopeRestore(mark);
}

void Planner::PlanNotBody(const Expr& e) {
  const Emitter::Mark mark = emit_->ScopeMark();
  Emitter::Label outer = emit_->fail;
  Emitter::Label holds = emit_->NewLabel();
  emit_->fail = holds;
  PlanBody(e.body);
  emit_->Emit(Op::kJump, 0, 0, 0, outer);
  emit_->Bind(holds);
  emit_->fail = outer;
  emit_->ScopeRestore(mark);
}

void Planner::PlanEvery(const Expr& e) {
  uint16_t domain = PlanTerm(*e.terms[2]);
  const Emitter::Mark mark = emit_->ScopeMark();
  Emitter::Label outer = emit_->fail;
  Emitter::Label done = emit_->NewLabel();
  Emitter::Label next = emit_->NewLabel();
  uint16_t it = emit_->Registers(2);
  // No iteration over a scalar: the expression is undefined, not true. An empty domain goes on at kNext.
  emit_->Emit(Op::kIterate, it, domain, 0, outer, 1);
  emit_->Bind(next);
  uint16_t key = e.terms[0] && !IsWildcard(e.terms[0]->text) ? emit_->Register() : kNoRegister;
  uint16_t value = emit_->Register();
  emit_->Emit(Op::kNext, it, key, value, done);
  if (key != kNoRegister) emit_->BindVar(e.terms[0]->text, key);
  if (!IsWildcard(e.terms[1]->text)) emit_->BindVar(e.terms[1]->text, value);
  PlanBody(e.body);
  emit_->Emit(Op::kJump, 0, 0, 0, next);
  emit_->Bind(done);
  emit_->fail = outer;
  emit_->ScopeRestore(mark);
}

WithTarget Planner::MakeWithTarget(const With& w) {
  WithTarget t;
  const Term& target = *w.target;
  const std::string& root = target.items[0]->text;
  auto path = [&] {
    for (size_t i = 1; i < target.items.size(); ++i) t.path.push_back(GroundValue(*target.items[i]));
  };
  size_t used = 0;
  if (root == "input") {
    t.kind = WithTarget::Kind::kInput;
    path();
    return t;
  }
  if (root == "data") {
    t.kind = WithTarget::Kind::kData;
    path();
    // Constant strings as far as the tree goes: a target below a rule covers no node.
    int place = 0;
    for (used = 1; used < target.items.size() && place >= 0; ++used) {
      place = program_.tree[static_cast<size_t>(place)].Child(GroundValue(*target.items[used]));
    }
    t.node = place;
    if (place < 0 || !program_.tree[static_cast<size_t>(place)].takes_arguments) return t;
    t.kind = WithTarget::Kind::kFunction;
    t.callee = program_.tree[static_cast<size_t>(place)].function;
  } else {
    t.kind = WithTarget::Kind::kBuiltin;
    if (const Builtin* b = FindBuiltin(RefText(target))) t.callee = BuiltinId(b);
  }
  // The replacement of a function: another function, or a value.
  const Term& value = *w.value;
  if (value.kind == TermKind::kCall && value.items.size() == 1) {
    if (const Builtin* b = FindBuiltin(RefText(*value.items[0]))) {
      t.by_value = false;
      t.by_builtin = BuiltinId(b);
    }
  } else if (value.is_ref() && value.items[0]->is_var() && value.items[0]->text == "data") {
    int place = Place(value, used);
    if (place >= 0 && used == value.items.size() && program_.tree[static_cast<size_t>(place)].takes_arguments) {
      t.by_value = false;
      t.by_function = program_.tree[static_cast<size_t>(place)].function;
    }
  }
  return t;
}

void Planner::PlanWith(const Expr& e) {
  WithSite site;
  std::vector<uint16_t> values;
  for (const auto& w : e.with) {
    site.targets.push_back(MakeWithTarget(w));
    values.push_back(site.targets.back().by_value ? PlanTerm(*w.value) : kNoRegister);
  }
  uint16_t first = emit_->Registers(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] != kNoRegister) emit_->Emit(Op::kMove, static_cast<uint16_t>(first + i), values[i]);
  }
  program_.withs.push_back(std::move(site));
  uint16_t context = emit_->Register();
  emit_->Emit(Op::kWith, context, first, 0, 0, static_cast<uint32_t>(program_.withs.size() - 1));

  Emitter::Label outer = emit_->fail;
  Emitter::Label leave = emit_->NewLabel();
  Emitter::Label after = emit_->NewLabel();
  emit_->fail = leave;
  ++withs_;
  PlanPlain(e);
  --withs_;
  emit_->Emit(Op::kLeave, context);
  emit_->Emit(Op::kJump, 0, 0, 0, after);
  emit_->Bind(leave);
  emit_->Emit(Op::kLeave, context);
  emit_->Emit(Op::kJump, 0, 0, 0, outer);
  if (emit_->fail != leave) {
    // The literal can offer more values: going back into it goes back into its context.
    Emitter::Label again = emit_->NewLabel();
    emit_->Bind(again);
    emit_->Emit(Op::kReenter, context);
    emit_->Emit(Op::kJump, 0, 0, 0, emit_->fail);
    emit_->fail = again;
  } else {
    emit_->fail = outer;
  }
  emit_->Bind(after);
}

}  // namespace hexr::rego
