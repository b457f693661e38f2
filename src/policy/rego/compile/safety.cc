#include "policy/rego/compile/safety.h"

#include <algorithm>

namespace hexr::rego {
namespace {

constexpr VarVisit kNoClosures{.closures = false, .ref_heads = true, .sets = true, .object_keys = true};

bool SubsetOf(const VarSet& a, const VarSet& b) {
  return std::all_of(a.begin(), a.end(), [&](const std::string& v) { return b.contains(v); });
}

// The variables a pattern binds: array elements and object values, not what sits in refs, sets or keys.
void PatternVars(const Term& t, VarSet& out) {
  if (t.is_var()) {
    out.insert(t.text);
  } else if (t.kind == TermKind::kArray) {
    for (const auto& i : t.items) PatternVars(*i, out);
  } else if (t.kind == TermKind::kObject) {
    for (size_t i = 1; i < t.items.size(); i += 2) PatternVars(*t.items[i], out);
  }
}

}  // namespace

// Everything needed to compute `t` is known (closures count separately).
bool Safety::Bound(const Term& t, const VarSet& safe) const {
  VarSet vars;
  CollectVars(t, kNoClosures, vars);
  return SubsetOf(vars, safe);
}

// Variables in brackets of refs whose head is known are outputs. False when some ref's head is not known yet.
bool Safety::RefOutputs(const Term& t, const VarSet& safe, VarSet& out) const {
  if (t.is_comprehension()) return true;
  if (t.is_ref()) {
    const Term& head = *t.items[0];
    bool known = head.is_var() ? IsRootName(head.text) || safe.contains(head.text) : Bound(head, safe);
    if (!known) return false;
    for (size_t i = 1; i < t.items.size(); ++i) {
      const Term& p = *t.items[i];
      if (p.is_ref() || p.kind == TermKind::kCall) {
        RefOutputs(p, safe, out);
        continue;
      }
      VarSet vars;
      CollectVars(p, {.closures = false, .ref_heads = false, .sets = true, .object_keys = true}, vars);
      out.insert(vars.begin(), vars.end());
    }
    if (!head.is_var()) RefOutputs(head, safe, out);
    return true;
  }
  bool all = true;
  size_t first = t.kind == TermKind::kCall ? 1 : 0;
  for (size_t i = first; i < t.items.size(); ++i) all = RefOutputs(*t.items[i], safe, out) && all;
  return all;
}

void Safety::Unify(const Term& a, const Term& b, VarSet& safe) const {
  auto composite = [](const Term& t) { return t.kind == TermKind::kArray || t.kind == TermKind::kObject; };
  if (a.kind == TermKind::kArray && b.kind == TermKind::kArray) {
    if (a.items.size() != b.items.size()) return;
    for (size_t i = 0; i < a.items.size(); ++i) Unify(*a.items[i], *b.items[i], safe);
    return;
  }
  if (a.kind == TermKind::kObject && b.kind == TermKind::kObject) {
    for (size_t i = 0; i < a.items.size(); i += 2) {
      for (size_t j = 0; j < b.items.size(); j += 2) {
        if (SameTerm(*a.items[i], *b.items[j])) Unify(*a.items[i + 1], *b.items[j + 1], safe);
      }
    }
    return;
  }
  auto flow = [&](const Term& from, const Term& to) {
    if ((to.is_var() || composite(to)) && Bound(from, safe)) PatternVars(to, safe);
  };
  flow(a, b);
  flow(b, a);
}

VarSet Safety::Outputs(const Expr& e, const VarSet& safe) const {
  VarSet out;
  if (e.negated || e.kind == ExprKind::kNot) return out;
  for (const auto& w : e.with) {
    if (!Bound(*w.value, safe)) return out;
  }
  auto minus_safe = [&](VarSet s) {
    std::erase_if(s, [&](const std::string& v) { return safe.contains(v); });
    return s;
  };
  switch (e.kind) {
    case ExprKind::kTerm: RefOutputs(*e.terms[0], safe, out); break;
    case ExprKind::kEvery: RefOutputs(*e.terms[2], safe, out); break;
    case ExprKind::kCall: {
      if (e.IsCallOf("eq") && e.terms.size() == 3) {
        VarSet now = safe;
        size_t before = 0;
        do {
          before = now.size();
          VarSet found;
          RefOutputs(*e.terms[1], now, found);
          RefOutputs(*e.terms[2], now, found);
          now.insert(found.begin(), found.end());
          Unify(*e.terms[1], *e.terms[2], now);
        } while (now.size() != before);
        return minus_safe(std::move(now));
      }
      int arity = arity_(*e.terms[0]);
      if (arity < 0) break;
      auto inputs = static_cast<size_t>(arity) + 1;
      for (size_t i = 1; i < e.terms.size(); ++i) RefOutputs(*e.terms[i], safe, out);
      if (inputs >= e.terms.size()) break;
      VarSet known = safe;
      known.insert(out.begin(), out.end());
      for (size_t i = 1; i < inputs; ++i) {
        if (!Bound(*e.terms[i], known)) return {};
      }
      for (size_t i = inputs; i < e.terms.size(); ++i) PatternVars(*e.terms[i], out);
      break;
    }
    default: break;
  }
  return minus_safe(std::move(out));
}

// `not f(input.x)` computes input.x outside the negation, as OPA does: undefined there ends the body. Only the two
// sides of an equality keep their outermost ref inside.
void Safety::HoistNegated(Body& body) {
  Body out;
  for (auto& e : body) {
    if (e->negated && e->kind <= ExprKind::kCall) {
      auto hoist = [&](TermPtr& t) {
        TermPtr local = MakeVar(names_.Next(), t->at);
        std::vector<TermPtr> operands;
        operands.push_back(local->Clone());
        operands.push_back(std::move(t));
        ExprPtr eq = MakeCall("eq", std::move(operands), e->at);
        eq->generated = true;
        for (const auto& w : e->with) eq->with.push_back({w.target->Clone(), w.value->Clone(), w.at});
        out.push_back(std::move(eq));
        t = std::move(local);
      };
      auto walk = [&](auto&& self, TermPtr& t, bool keep_ref) -> void {
        if (t->is_comprehension()) return;
        size_t first = t->kind == TermKind::kCall ? 1 : 0;
        for (size_t i = first; i < t->items.size(); ++i) self(self, t->items[i], t->is_ref() && i == 0);
        if (t->kind == TermKind::kCall || (t->is_ref() && !keep_ref)) hoist(t);
      };
      bool equality = e->IsCallOf("eq") || e->IsCallOf("equal");
      size_t first = e->kind == ExprKind::kCall ? 1 : 0;
      for (size_t i = first; i < e->terms.size(); ++i) walk(walk, e->terms[i], equality || e->kind == ExprKind::kTerm);
    }
    out.push_back(std::move(e));
  }
  body = std::move(out);
}

void Safety::Order(Body& body, VarSet& globals) {
  HoistNegated(body);
  VarSet body_vars;
  CollectVars(body, kNoClosures, body_vars);
  std::vector<VarSet> needs(body.size());
  std::vector<VarSet> closed(body.size());
  for (size_t i = 0; i < body.size(); ++i) {
    CollectVars(*body[i], kNoClosures, needs[i]);
    CollectClosureVars(*body[i], closed[i]);
    std::erase_if(closed[i], [&](const std::string& v) { return !body_vars.contains(v) || globals.contains(v); });
  }
  VarSet safe = globals;
  Body ordered;
  std::vector<bool> placed(body.size(), false);
  bool progress = true;
  while (progress) {
    progress = false;
    for (size_t i = 0; i < body.size(); ++i) {
      if (placed[i]) continue;
      VarSet outputs = Outputs(*body[i], safe);
      bool ready = SubsetOf(closed[i], safe);
      for (const auto& v : needs[i]) ready = ready && (safe.contains(v) || outputs.contains(v));
      if (!ready) continue;
      OrderClosures(*body[i], safe);
      safe.insert(outputs.begin(), outputs.end());
      ordered.push_back(std::move(body[i]));
      placed[i] = true;
      progress = true;
    }
  }
  for (size_t i = 0; i < body.size(); ++i) {
    if (placed[i]) continue;
    VarSet bad;
    for (const auto& v : needs[i]) {
      if (!safe.contains(v)) bad.insert(v);
    }
    for (const auto& v : closed[i]) {
      if (!safe.contains(v)) bad.insert(v);
    }
    for (const auto& v : bad) {
      std::string shown = IsWildcard(v) ? "_" : v;
      if (!reported_.insert({shown, static_cast<uint64_t>(body[i]->at.row) << 32 | body[i]->at.col}).second) continue;
      if (shown.starts_with("__local") && bad.size() > 1) continue;
      errors_.push_back({"rego_unsafe_var_error", "var " + shown + " is unsafe", body[i]->at, file_});
    }
    ordered.push_back(std::move(body[i]));
  }
  body = std::move(ordered);
  globals = std::move(safe);
}

void Safety::OrderClosures(Term& t, const VarSet& safe) {
  if (t.is_comprehension()) {
    VarSet inner = safe;
    Order(t.body, inner);
    for (auto& i : t.items) CheckTerm(*i, inner);
    return;
  }
  for (auto& i : t.items) OrderClosures(*i, safe);
}

void Safety::OrderClosures(Expr& e, const VarSet& safe) {
  for (auto& t : e.terms) {
    if (t) OrderClosures(*t, safe);
  }
  for (auto& w : e.with) OrderClosures(*w.value, safe);
  if (e.kind == ExprKind::kEvery || e.kind == ExprKind::kNot) {
    VarSet inner = safe;
    if (e.kind == ExprKind::kEvery) {
      if (e.terms[0]) inner.insert(e.terms[0]->text);
      inner.insert(e.terms[1]->text);
      RefOutputs(*e.terms[2], safe, inner);
    }
    Order(e.body, inner);
  }
}

void Safety::CheckTerm(Term& t, const VarSet& safe) {
  VarSet known = safe;
  // Brackets of refs in a rule's head iterate, as in a body.
  RefOutputs(t, safe, known);
  VarSet vars;
  CollectVars(t, kNoClosures, vars);
  for (const auto& v : vars) {
    if (known.contains(v)) continue;
    std::string shown = IsWildcard(v) ? "_" : v;
    if (!reported_.insert({shown, static_cast<uint64_t>(t.at.row) << 32 | t.at.col}).second) continue;
    errors_.push_back({"rego_unsafe_var_error", "var " + shown + " is unsafe", t.at, file_});
  }
  OrderClosures(t, known);
}

}  // namespace hexr::rego
