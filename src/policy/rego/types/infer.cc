// Types of terms, and what an equation says of its variables.
#include <algorithm>

#include "policy/rego/types/checker.h"

namespace hexr::rego {

// Null when nothing is known.
const Type* TypeChecker::Of(const Term& t, Scope& scope) {
  switch (t.kind) {
    case TermKind::kNull: return pool_.Null();
    case TermKind::kBool: return pool_.Bool();
    case TermKind::kNumber: return pool_.Number();
    case TermKind::kString:
    case TermKind::kTemplate:
    case TermKind::kTemplateExpr: return pool_.String();
    case TermKind::kVar: return scope.Find(t.text);
    case TermKind::kRef: return OfRef(t, scope);
    case TermKind::kArray: {
      Type a{.kind = TypeKind::kArray};
      for (const auto& i : t.items) a.items.push_back(Of(*i, scope));
      if (t.items.empty()) a.rest = pool_.Any();
      return pool_.Make(std::move(a));
    }
    case TermKind::kSet: {
      const Type* of = nullptr;
      for (const auto& i : t.items) of = pool_.Or(of, Of(*i, scope));
      return pool_.SetOf(of != nullptr ? of : pool_.Any());
    }
    case TermKind::kObject: {
      Type o{.kind = TypeKind::kObject};
      for (size_t i = 0; i < t.items.size(); i += 2) {
        const Type* value = Of(*t.items[i + 1], scope);
        if (IsGround(*t.items[i])) {
          o.members.emplace_back(TermText(*t.items[i]), value);
        } else {
          o.key = Of(*t.items[i], scope);
          o.rest = value;
        }
      }
      if (t.items.empty()) o.key = o.rest = pool_.Any();
      std::sort(o.members.begin(), o.members.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
      return pool_.Make(std::move(o));
    }
    case TermKind::kArrayComp:
    case TermKind::kSetComp:
    case TermKind::kObjectComp: {
      Scope inner(&scope);
      const size_t before = errors_.size();
      const bool good = CheckBody(t.body, inner);
      errors_.resize(before);  // they are reported where the closure itself is checked
      if (!good) return nullptr;
      if (t.kind == TermKind::kArrayComp) return pool_.Array({}, Of(*t.items[0], inner));
      if (t.kind == TermKind::kSetComp) return pool_.SetOf(Of(*t.items[0], inner));
      return pool_.ObjectOf(Of(*t.items[0], inner), Of(*t.items[1], inner));
    }
    case TermKind::kCall: {
      const Type* f = FunctionOf(*t.items[0]);
      return f != nullptr && f->kind == TypeKind::kFunction ? f->rest : IsAny(f) ? f : nullptr;
    }
  }
  return nullptr;
}

const Type* TypeChecker::Follow(const Type* t, const Term& ref, size_t i, Scope& scope) {
  for (; i < ref.items.size() && t != nullptr; ++i) {
    const Term& step = *ref.items[i];
    t = step.is_scalar() ? pool_.Select(t, TermText(step), Of(step, scope)) : pool_.Values(t);
  }
  return t;
}

const Type* TypeChecker::OfRef(const Term& ref, Scope& scope) {
  const Term& head = *ref.items[0];
  if (!head.is_var()) return Follow(Of(head, scope), ref, 1, scope);
  if (head.text == "data") {
    const TreeNode* n = &compiler_.root();
    for (size_t i = 1; i < ref.items.size(); ++i) {
      const Term& step = *ref.items[i];
      if (!step.is_scalar()) return Follow(Extent(*n), ref, i, scope);
      n = step.is_string() ? n->Child(step.text) : nullptr;
      if (n == nullptr) return pool_.Any();
      if (!n->rules.empty()) return Follow(TypeOfNode(*n), ref, i + 1, scope);
    }
    return Extent(*n);
  }
  if (IsRootName(head.text)) return Follow(input_, ref, 1, scope);
  return Follow(scope.Find(head.text), ref, 1, scope);
}

bool TypeChecker::Assume(const Term& t, const Type* want, Scope& scope, bool either) {
  if (want == nullptr) return true;
  const bool composite = t.kind == TermKind::kArray || t.kind == TermKind::kObject || t.kind == TermKind::kSet;
  if (composite && want->kind == TypeKind::kAny) {
    if (want->items.empty()) {
      for (const auto& i : t.items) (void)Assume(*i, want, scope, true);
      return true;
    }
    bool some = false;
    for (const Type* w : want->items) some = Assume(t, w, scope, true) || some;
    return some;
  }
  switch (t.kind) {
    case TermKind::kArray:
      if (want->kind != TypeKind::kArray || (t.items.size() != want->items.size() && want->rest == nullptr))
        return false;
      for (size_t i = 0; i < t.items.size(); ++i) {
        const Type* w = i < want->items.size() ? want->items[i] : want->rest;
        if (!Assume(*t.items[i], w, scope, either)) return false;
      }
      return true;
    case TermKind::kSet:
      return want->kind == TypeKind::kSet && std::all_of(t.items.begin(), t.items.end(), [&](const TermPtr& i) {
               return Assume(*i, want->rest, scope, either);
             });
    case TermKind::kObject:
      if (want->kind != TypeKind::kObject || (t.items.size() / 2 != want->members.size() && want->rest == nullptr))
        return false;
      for (size_t i = 0; i < t.items.size(); i += 2) {
        if (!t.items[i]->is_scalar()) {
          (void)Assume(*t.items[i + 1], pool_.Any(), scope, either);
          continue;
        }
        const Type* w = pool_.Select(want, TermText(*t.items[i]), Of(*t.items[i], scope));
        if (w == nullptr || !Assume(*t.items[i + 1], w, scope, either)) return false;
      }
      return true;
    case TermKind::kVar: {
      const Type* known = scope.Find(t.text);
      if (!either && known != nullptr) return Unifies(known, want);
      scope.types[t.text] = either ? pool_.Or(known, want) : want;
      return true;
    }
    case TermKind::kCall:
    case TermKind::kArrayComp:
    case TermKind::kSetComp:
    case TermKind::kObjectComp:
      // Among several choices the result is, as OPA has it, a variable that may be any of them.
      if (either) return true;
      [[fallthrough]];
    default: {
      const Type* known = Of(t, scope);
      return known == nullptr || HasUnknown(known) || Unifies(known, want);
    }
  }
}

bool TypeChecker::Unify(const Term& a, const Type* ta, const Term& b, const Type* tb, Scope& scope) {
  const bool ua = HasUnknown(ta), ub = HasUnknown(tb);
  if (ua && !ub) return Assume(a, tb, scope, false);
  if (ub && !ua) return Assume(b, ta, scope, false);
  if (!ua && !ub) return Unifies(ta, tb);
  if (a.kind == TermKind::kArray && b.kind == TermKind::kArray) {
    if (a.items.size() != b.items.size()) return false;
    for (size_t i = 0; i < a.items.size(); ++i) {
      if (!Unify(*a.items[i], Of(*a.items[i], scope), *b.items[i], Of(*b.items[i], scope), scope)) return false;
    }
    return true;
  }
  // Neither side is known whole: what is unknown may be anything.
  auto open = [&](const Term& t, const Type* other) {
    if (t.is_var() && scope.Find(t.text) == nullptr) scope.types[t.text] = other != nullptr ? other : pool_.Any();
  };
  if (a.is_var() || b.is_var()) {
    const Term& pattern = a.is_var() ? b : a;
    if (!pattern.is_var()) {
      VarSet vars;
      CollectVars(pattern, VarVisit{.closures = false}, vars);
      for (const auto& v : vars) {
        if (scope.Find(v) == nullptr) scope.types[v] = pool_.Any();
      }
    }
    open(a, Of(b, scope));
    open(b, Of(a, scope));
  }
  return true;
}

}  // namespace hexr::rego
