#include "policy/rego/plan/planner.h"

#include <algorithm>
#include <functional>

#include "policy/rego/plan/guards.h"

namespace hexr::rego {
namespace {

// Rules with else count all their values.
bool AllValues(const Rule& rule, const std::function<bool(const Term&)>& test) {
  for (const Rule* r = &rule; r != nullptr; r = r->else_rule.get()) {
    if (!r->head.value || !test(*r->head.value)) return false;
  }
  return true;
}

}  // namespace

int TreePlace::Child(const Value& k) const {
  auto it = std::lower_bound(children.begin(), children.end(), k,
                             [](const auto& p, const Value& x) { return Compare(p.first, x) < 0; });
  return it != children.end() && Equal(it->first, k) ? it->second : -1;
}

bool Planner::PlanRules(Compiler& compiler, Program& program) {
  Planner p(compiler, program);
  size_t before = compiler.errors().size();
  for (const auto& m : compiler.modules()) program.files.push_back(m->file);
  p.Number(compiler.root(), -1);
  p.CountUses();
  for (size_t i = 0; i < p.nodes_.size(); ++i) p.PlanNode(*p.nodes_[i], static_cast<int>(i));
  return compiler.errors().size() == before;
}

// Gives every node its place and every rule set its function, before any code refers to them.
void Planner::Number(const TreeNode& node, int parent) {
  auto place = static_cast<int>(program_.tree.size());
  TreePlace p;
  p.key = Value::String(program_.arena, node.key);
  p.parent = parent;
  if (!node.rules.empty()) {
    p.function = static_cast<int>(program_.functions.size());
    p.takes_arguments = node.is_function();
    Function f;
    for (const TreeNode* n = &node; n != nullptr; n = n->parent) f.name = n->key + (f.name.empty() ? "" : ".") + f.name;
    f.node = place;
    program_.functions.push_back(std::move(f));
  }
  bool has_function = p.function >= 0;
  program_.tree.push_back(std::move(p));
  nodes_.push_back(&node);
  // Below a node with rules everything is part of that node's document.
  if (has_function) return;
  for (const auto& [key, child] : node.children) {
    auto at = static_cast<int>(program_.tree.size());
    Number(*child, place);
    program_.tree[static_cast<size_t>(place)].children.emplace_back(program_.tree[static_cast<size_t>(at)].key, at);
  }
}

void Planner::FinishFunction(Function& f) {
  if (emit_->overflow()) {
    compiler_.errors().push_back(
        {"rego_compile_error", "rule " + f.name + " needs too many registers", emit_->place, ""});
  }
  emit_->Finish(f);
  emit_.reset();
}

void Planner::PlanNode(const TreeNode& node, int place) {
  int index = program_.tree[static_cast<size_t>(place)].function;
  if (index < 0) return;
  emit_ = std::make_unique<Emitter>();
  Function f;
  f.name = program_.functions[static_cast<size_t>(index)].name;
  f.node = place;
  size_t depth = Compiler::GroundPath(*node.rules[0]).size();
  bool group = !node.children.empty() || std::any_of(node.rules.begin(), node.rules.end(),
                                                     [&](const Rule* r) { return r->head.ref->items.size() > depth; });
  if (node.is_function()) {
    f.arguments = static_cast<uint16_t>(node.rules[0]->head.args.size());
    emit_->Registers(f.arguments);
    PlanSingle(node.rules, f, true);
  } else if (group) {
    PlanGroup(node, f);
  } else if (node.rules[0]->head.key) {
    PlanSet(node.rules, f);
  } else {
    PlanSingle(node.rules, f, false);
  }
  FinishFunction(f);
  program_.functions[static_cast<size_t>(index)] = std::move(f);
}

void Planner::BindArguments(const Rule& rule) {
  for (size_t i = 0; i < rule.head.args.size(); ++i) PlanMatch(*rule.head.args[i], static_cast<uint16_t>(i));
}

void Planner::PlanRuleBody(const Rule& rule) {
  emit_->place = rule.at;
  rule_ = &rule;
  first_fail_ = emit_->fail;
  repeats_matter_ = false;
  BindArguments(rule);
  PlanDemands(rule);
  PlanComparedBehindLoops(rule);
  PlanBody(rule.body);
}

// Parts of input without which the rule gives nothing are asked for before anything that can end in an error. As with
// OPA, whose index leaves such a rule out: its errors then stay unseen.
void Planner::PlanDemands(const Rule& rule) {
  if (withs_ > 0) return;
  auto demand = [&](const Term& t) {
    if (!t.is_ref() || !t.items[0]->is_var() || t.items[0]->text != "input" || t.items.size() < 2) return;
    if (std::all_of(t.items.begin() + 1, t.items.end(), [](const TermPtr& i) { return i->is_scalar(); })) PlanRef(t);
  };
  bool may_fail = false;
  for (const auto& e : rule.body) {
    if (may_fail && !e->negated && e->with.empty()) {
      if (e->kind == ExprKind::kTerm) demand(*e->terms[0]);
      if ((e->IsCallOf("eq") || e->IsCallOf("equal")) && e->terms.size() == 3) {
        for (size_t side : {size_t{1}, size_t{2}}) {
          const Term& other = *e->terms[3 - side];
          if (IsConstant(other) || other.is_var()) demand(*e->terms[side]);
        }
      }
    }
    may_fail = may_fail || !CannotFail(*e);
  }
  if (may_fail && rule.head.value) demand(*rule.head.value);
}

// Parts of input that literals behind a loop compare are loaded once before it, where no literal on the way can end in
// an error that would then stay unseen.
void Planner::PlanComparedBehindLoops(const Rule& rule) {
  if (withs_ > 0) return;
  const auto harmless = [&](const Expr& e) {
    return e.kind == ExprKind::kSome || CannotFail(e) ||
           (e.kind == ExprKind::kCall && !e.negated && e.with.empty() && e.IsCallOf("eq") &&
            std::all_of(e.terms.begin() + 1, e.terms.end(), [&](const TermPtr& t) {
              if (CannotFail(*t)) return true;
              size_t used = 0;
              const int place =
                  t->is_ref() && t->items[0]->is_var() && t->items[0]->text == "data" ? Place(*t, used) : -1;
              return place >= 0 && used + 1 == t->items.size() && CannotFail(*t->items[used]) &&
                     MayInline(*nodes_[static_cast<size_t>(place)]);
            }));
  };
  bool loop = false;
  for (const auto& e : rule.body) {
    if (loop && !e->negated && e->with.empty() && (e->IsCallOf("eq") || e->IsCallOf("equal")) && e->terms.size() == 3) {
      for (size_t side : {size_t{1}, size_t{2}}) {
        const Term& t = *e->terms[side];
        if (t.is_ref() && t.items[0]->is_var() && t.items[0]->text == "input" && t.items.size() > 1 &&
            std::all_of(t.items.begin() + 1, t.items.end(), [](const TermPtr& i) { return i->is_string(); }))
          PlanRef(t);
      }
    }
    if (!harmless(*e)) return;
    loop = loop || std::any_of(e->terms.begin(), e->terms.end(), [](const TermPtr& t) {
             return t && t->is_ref() &&
                    std::any_of(t->items.begin() + 1, t->items.end(), [](const TermPtr& i) { return i->is_var(); });
           });
  }
}

// The rules' order of trial: through the index when it can tell them apart, else one after the other.
bool Planner::PlanIndex(const std::vector<Rule*>& rules, bool is_function, std::vector<Emitter::Label>& starts,
                        Emitter::Label& next) {
  if (rules.size() < 2) return false;
  Index index;
  if (!BuildIndex(
          rules, is_function, [this](const Term& t) { return GroundValue(t); }, index))
    return false;
  program_.indexes.push_back(std::move(index));
  auto id = static_cast<uint32_t>(program_.indexes.size() - 1);
  uint16_t it = emit_->Registers(2);
  next = emit_->NewLabel();
  Emitter::Label done = emit_->NewLabel();
  emit_->Emit(Op::kIndex, it, 0, 0, done, id);
  emit_->Bind(next);
  emit_->Emit(Op::kCandidate, it, 0, 0, done, id);
  for (size_t i = 0; i < rules.size(); ++i) starts.push_back(emit_->NewLabel());
  starts.push_back(done);
  return true;
}

// Complete rules and functions: one value, whatever the number of ways to it.
void Planner::PlanSingle(const std::vector<Rule*>& all, Function&, bool is_function) {
  std::vector<Rule*> rules;
  const Rule* fallback = nullptr;
  for (Rule* r : all) {
    if (r->is_default)
      fallback = r;
    else
      rules.push_back(r);
  }
  // When every way gives the same constant, the first one decides.
  bool constant = true;
  const Term* same = nullptr;
  for (const Rule* r : rules) {
    constant = constant && AllValues(*r, [&](const Term& v) {
                 if (!IsConstant(v)) return false;
                 if (same == nullptr) same = &v;
                 return SameTerm(*same, v);
               });
  }
  if (rules.size() == 1 && !rules[0]->else_rule && rules[0]->head.value && IsConstant(*rules[0]->head.value))
    constant = true;
  uint16_t result = emit_->Register();
  emit_->Emit(Op::kClear, result);
  std::vector<Emitter::Label> starts;
  Emitter::Label next_candidate = 0;
  bool indexed = PlanIndex(rules, is_function, starts, next_candidate);
  std::vector<uint32_t> positions;
  for (size_t i = 0; i < rules.size(); ++i) {
    Emitter::Label next = indexed ? next_candidate : emit_->NewLabel();
    if (indexed) {
      emit_->Bind(starts[i]);
      positions.push_back(emit_->position());
    }
    uint16_t chain = rules[i]->else_rule && !constant ? emit_->Register() : result;
    if (chain != result) emit_->Emit(Op::kClear, chain);
    Emitter::Label merge = chain != result ? emit_->NewLabel() : next;
    for (const Rule* r = rules[i]; r != nullptr; r = r->else_rule.get()) {
      const Emitter::Mark mark = emit_->ScopeMark();
      Emitter::Label exhausted = r->else_rule ? emit_->NewLabel() : merge;
      emit_->fail = exhausted;
      PlanRuleBody(*r);
      uint16_t value = PlanTerm(*r->head.value);
      bool only = emit_->fail == exhausted;  // the body has no second way
      emit_->place = r->at;
      if (constant || (only && rules.size() == 1)) {
        emit_->Emit(Op::kReturn, value);
      } else {
        emit_->Emit(Op::kResult, chain, value, 0, 0, is_function);
        emit_->Emit(Op::kJump, 0, 0, 0, only ? merge : emit_->fail);
      }
      if (r->else_rule) {
        emit_->Bind(exhausted);
        if (chain != result || !constant) emit_->Emit(Op::kUndefined, chain, 0, 0, merge);
      }
      emit_->ScopeRestore(mark);
    }
    if (chain != result) {
      emit_->Bind(merge);
      emit_->Emit(Op::kDefined, chain, 0, 0, next);
      emit_->place = rules[i]->at;
      emit_->Emit(Op::kResult, result, chain, 0, 0, is_function);
      if (indexed) emit_->Emit(Op::kJump, 0, 0, 0, next);
    }
    if (!indexed) emit_->Bind(next);
  }
  if (indexed) {
    emit_->Bind(starts.back());
    Index& index = program_.indexes.back();
    for (size_t i = 0; i < positions.size(); ++i) index.rules()[i].start = positions[i];
  }
  Emitter::Label missing = emit_->NewLabel();
  emit_->Emit(Op::kDefined, result, 0, 0, missing);
  emit_->Emit(Op::kReturn, result);
  emit_->Bind(missing);
  if (fallback != nullptr) {
    emit_->fail = missing;
    emit_->place = fallback->at;
    emit_->Emit(Op::kReturn, PlanTerm(*fallback->head.value));
  } else {
    emit_->Emit(Op::kReturnUndefined);
  }
}

void Planner::PlanSet(const std::vector<Rule*>& rules, Function&) {
  uint16_t set = emit_->Register();
  emit_->Emit(Op::kCollect, set, 0, 0, 0, 1);
  std::vector<Emitter::Label> starts;
  Emitter::Label next_candidate = 0;
  bool indexed = PlanIndex(rules, false, starts, next_candidate);
  std::vector<uint32_t> positions;
  for (size_t i = 0; i < rules.size(); ++i) {
    Emitter::Label next = indexed ? next_candidate : emit_->NewLabel();
    if (indexed) {
      emit_->Bind(starts[i]);
      positions.push_back(emit_->position());
    }
    const Emitter::Mark mark = emit_->ScopeMark();
    emit_->fail = next;
    PlanRuleBody(*rules[i]);
    uint16_t element = PlanTerm(*rules[i]->head.key);
    emit_->place = rules[i]->at;
    emit_->Emit(Op::kAddSet, set, element);
    FailAlways();
    emit_->ScopeRestore(mark);
    if (!indexed) emit_->Bind(next);
  }
  if (indexed) {
    emit_->Bind(starts.back());
    Index& index = program_.indexes.back();
    for (size_t i = 0; i < positions.size(); ++i) index.rules()[i].start = positions[i];
  }
  emit_->Emit(Op::kFinishSet, set);
  emit_->Emit(Op::kReturn, set);
}

void Planner::CollectGroup(const TreeNode& node, std::vector<std::pair<const TreeNode*, Rule*>>& out) const {
  for (Rule* r : node.rules) out.emplace_back(&node, r);
  for (const auto& [key, child] : node.children) CollectGroup(*child, out);
}

// Rules that build one object together: p[x] := y, p.q.r := z, p[x] contains y.
void Planner::PlanGroup(const TreeNode& node, Function&) {
  size_t depth = 0;
  for (const TreeNode* n = &node; n != nullptr; n = n->parent) ++depth;
  std::vector<std::pair<const TreeNode*, Rule*>> rules;
  CollectGroup(node, rules);
  uint16_t object = emit_->Register();
  emit_->Emit(Op::kCollect, object);
  for (const auto& [at, rule] : rules) {
    if (rule->head.is_function) continue;
    Emitter::Label done = emit_->NewLabel();
    uint16_t chain = kNoRegister;
    if (rule->else_rule || rule->is_default) {
      chain = emit_->Register();
      emit_->Emit(Op::kClear, chain);
    }
    if (rule->is_default) continue;
    for (const Rule* r = rule; r != nullptr; r = r->else_rule.get()) {
      const Emitter::Mark mark = emit_->ScopeMark();
      Emitter::Label exhausted = r->else_rule ? emit_->NewLabel() : done;
      emit_->fail = exhausted;
      PlanRuleBody(*r);
      const auto& path = rule->head.ref->items;
      std::vector<uint16_t> keys;
      for (size_t i = depth; i < path.size(); ++i) keys.push_back(PlanTerm(*path[i]));
      uint16_t value = PlanTerm(r->head.key ? *r->head.key : *r->head.value);
      uint16_t first = emit_->Registers(keys.size() + 1);
      for (size_t i = 0; i < keys.size(); ++i) emit_->Emit(Op::kMove, static_cast<uint16_t>(first + i), keys[i]);
      emit_->Emit(Op::kMove, static_cast<uint16_t>(first + keys.size()), value);
      emit_->place = r->at;
      emit_->Emit(Op::kAddPath, object, first, static_cast<uint16_t>(keys.size()), 0, r->head.key ? 1 : 0);
      if (chain != kNoRegister) emit_->Emit(Op::kMove, chain, value);
      FailAlways();
      if (r->else_rule) {
        emit_->Bind(exhausted);
        emit_->Emit(Op::kUndefined, chain, 0, 0, done);
      }
      emit_->ScopeRestore(mark);
    }
    emit_->Bind(done);
  }
  // A default fills its path when no rule has.
  for (const auto& [at, rule] : rules) {
    if (!rule->is_default) continue;
    const auto& path = rule->head.ref->items;
    std::vector<uint16_t> keys;
    for (size_t i = depth; i < path.size(); ++i) keys.push_back(PlanTerm(*path[i]));
    uint16_t value = PlanTerm(*rule->head.value);
    uint16_t first = emit_->Registers(keys.size() + 1);
    for (size_t i = 0; i < keys.size(); ++i) emit_->Emit(Op::kMove, static_cast<uint16_t>(first + i), keys[i]);
    emit_->Emit(Op::kMove, static_cast<uint16_t>(first + keys.size()), value);
    emit_->Emit(Op::kAddPath, object, first, static_cast<uint16_t>(keys.size()), 0, 2);
  }
  emit_->Emit(Op::kFinishObject, object);
  emit_->Emit(Op::kReturn, object);
}

int Planner::PlanQuery(Compiler& compiler, const Body& query, Program& program) {
  Planner p(compiler, program);
  size_t before = compiler.errors().size();
  // The same walk as PlanRules, without planning again: places to nodes.
  std::vector<std::pair<const TreeNode*, int>> todo;
  p.nodes_.resize(program.tree.size());
  std::function<void(const TreeNode&, int)> match = [&](const TreeNode& n, int place) {
    p.nodes_[static_cast<size_t>(place)] = &n;
    for (const auto& [key, at] : program.tree[static_cast<size_t>(place)].children) match(*n.Child(key.text()), at);
  };
  match(compiler.root(), 0);
  p.emit_ = std::make_unique<Emitter>();
  Emitter& e = *p.emit_;
  uint16_t results = e.Register();
  e.Emit(Op::kCollect, results);
  Emitter::Label done = e.NewLabel();
  e.fail = done;
  p.PlanBody(query);
  VarSet vars;
  CollectVars(query, VarVisit{.closures = false}, vars);
  std::vector<std::pair<std::string, uint16_t>> shown;
  for (const auto& v : vars) {
    if (IsWildcard(v) || v.starts_with("__local")) continue;
    if (int r = e.Find(v); r >= 0) shown.emplace_back(v, static_cast<uint16_t>(r));
  }
  uint16_t first = e.Registers(shown.size() * 2);
  for (size_t i = 0; i < shown.size(); ++i) {
    e.Emit(Op::kLoadConst, static_cast<uint16_t>(first + 2 * i), 0, 0, 0,
           p.Constant(Value::String(program.arena, shown[i].first)));
    e.Emit(Op::kMove, static_cast<uint16_t>(first + 2 * i + 1), shown[i].second);
  }
  uint16_t row = e.Register();
  e.Emit(Op::kObject, row, first, static_cast<uint16_t>(shown.size()));
  e.Emit(Op::kAddArray, results, row);
  e.Emit(Op::kJump, 0, 0, 0, e.fail);
  e.Bind(done);
  e.Emit(Op::kFinishArray, results);
  e.Emit(Op::kReturn, results);
  Function f;
  f.name = "query";
  p.FinishFunction(f);
  if (compiler.errors().size() != before) return -1;
  program.functions.push_back(std::move(f));
  return static_cast<int>(program.functions.size() - 1);
}

}  // namespace hexr::rego
