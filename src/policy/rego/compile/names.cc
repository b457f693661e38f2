#include "policy/rego/compile/names.h"

namespace hexr::rego {

bool IsRootName(std::string_view name) { return name == "data" || name == "input"; }

void CollectVars(const Term& t, const VarVisit& how, VarSet& out) {
  switch (t.kind) {
    case TermKind::kVar:
      if (!IsRootName(t.text)) out.insert(t.text);
      return;
    case TermKind::kRef:
      for (size_t i = 0; i < t.items.size(); ++i) {
        if (i == 0 && !how.ref_heads && t.items[0]->is_var()) continue;
        CollectVars(*t.items[i], how, out);
      }
      return;
    case TermKind::kCall:
      for (size_t i = 1; i < t.items.size(); ++i) CollectVars(*t.items[i], how, out);
      return;
    case TermKind::kSet:
      if (!how.sets) return;
      break;
    case TermKind::kObject:
      for (size_t i = 0; i < t.items.size(); i += 2) {
        if (how.object_keys) CollectVars(*t.items[i], how, out);
        CollectVars(*t.items[i + 1], how, out);
      }
      return;
    case TermKind::kArrayComp:
    case TermKind::kSetComp:
    case TermKind::kObjectComp:
      if (!how.closures) return;
      break;
    default: break;
  }
  for (const auto& i : t.items) CollectVars(*i, how, out);
  CollectVars(t.body, how, out);
}

void CollectVars(const Expr& e, const VarVisit& how, VarSet& out) {
  size_t first = e.kind == ExprKind::kCall ? 1 : 0;
  if (e.kind == ExprKind::kEvery) {
    CollectVars(*e.terms[2], how, out);
    if (how.closures) {
      if (e.terms[0]) CollectVars(*e.terms[0], how, out);
      CollectVars(*e.terms[1], how, out);
    }
  } else {
    for (size_t i = first; i < e.terms.size(); ++i) CollectVars(*e.terms[i], how, out);
  }
  if (how.closures) CollectVars(e.body, how, out);
  for (const auto& w : e.with) {
    for (size_t i = 1; i < w.target->items.size(); ++i) CollectVars(*w.target->items[i], how, out);
    CollectVars(*w.value, how, out);
  }
}

void CollectVars(const Body& b, const VarVisit& how, VarSet& out) {
  for (const auto& e : b) CollectVars(*e, how, out);
}

void CollectClosureVars(const Term& t, VarSet& out) {
  if (t.is_comprehension()) return CollectVars(t, VarVisit{}, out);
  for (const auto& i : t.items) CollectClosureVars(*i, out);
  for (const auto& e : t.body) CollectClosureVars(*e, out);
}

void CollectClosureVars(const Expr& e, VarSet& out) {
  for (const auto& t : e.terms) {
    if (t) CollectClosureVars(*t, out);
  }
  for (const auto& w : e.with) CollectClosureVars(*w.value, out);
  if (e.kind == ExprKind::kEvery || e.kind == ExprKind::kNot) {
    VarSet inner;
    CollectVars(e.body, VarVisit{}, inner);
    if (e.kind == ExprKind::kEvery) {
      // The iteration variables are the closure's own.
      inner.erase(e.terms[1]->text);
      if (e.terms[0]) inner.erase(e.terms[0]->text);
    }
    out.insert(inner.begin(), inner.end());
  }
}

}  // namespace hexr::rego
