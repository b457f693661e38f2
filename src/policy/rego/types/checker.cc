#include "policy/rego/types/checker.h"

#include <algorithm>
#include <tuple>

#include "base/limits/rego.h"
#include "policy/rego/types/schema_type.h"

namespace hexr::rego {
namespace {

bool IsConstant(const Term& t) { return t.is_scalar(); }

// The ref up to step `end`.
std::string RefPrefix(const Term& ref, size_t end) {
  Term part(TermKind::kRef, ref.at);
  for (size_t i = 0; i < end; ++i) part.items.push_back(ref.items[i]->Clone());
  return RefText(part);
}

}  // namespace

TypeChecker::TypeChecker(const Compiler& compiler, const Value& input_schema)
    : compiler_(compiler), input_(pool_.Any()) {
  if (!input_schema.defined()) return;
  if (auto type = TypeOfSchema(pool_, input_schema); type.ok())
    input_ = *type;
  else
    errors_.push_back({"rego_type_error", type.error().message(), {}, ""});
}

const Type* TypeChecker::Scope::Find(std::string_view name) const {
  for (const Scope* s = this; s != nullptr; s = s->outer) {
    if (auto it = s->types.find(name); it != s->types.end()) return it->second;
  }
  return nullptr;
}

void TypeChecker::Report(const Location& at, std::string message, const std::vector<std::string>& details) {
  Diagnostic d{"rego_type_error", std::move(message), at, ""};
  if (at.file < compiler_.modules().size()) d.file = compiler_.modules()[at.file]->file;
  for (const std::string& line : details) d.details += "\n\t" + line;
  errors_.push_back(std::move(d));
}

std::vector<Diagnostic> TypeChecker::CheckRules() {
  std::vector<const TreeNode*> todo{&compiler_.root()};
  while (!todo.empty()) {
    const TreeNode* n = todo.back();
    todo.pop_back();
    (void)TypeOfNode(*n);
    for (const auto& [key, child] : n->children) todo.push_back(child.get());
  }
  std::stable_sort(errors_.begin(), errors_.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::tie(a.at.file, a.at.row, a.at.col) < std::tie(b.at.file, b.at.row, b.at.col);
  });
  return std::move(errors_);
}

std::vector<Diagnostic> TypeChecker::CheckQuery(const Body& query) {
  // What the rules themselves have to say is known.
  Scope scope(nullptr);
  for (const auto& e : query) (void)CheckExpr(*e, scope);
  return std::move(errors_);
}

// Null for a node without rules.
const Type* TypeChecker::TypeOfNode(const TreeNode& node) {
  if (node.rules.empty()) return nullptr;
  if (auto known = nodes_.find(&node); known != nodes_.end()) return known->second;
  // Down a long chain of rules types get lost, and nothing else: each rule of it is checked by itself.
  if (depth_ >= limits::kMaxRegoTypeDepth) return pool_.Any();
  nodes_.emplace(&node, pool_.Any());
  ++depth_;
  size_t depth = 0;
  for (const TreeNode* n = &node; n != nullptr; n = n->parent) ++depth;
  const Type* type = nullptr;
  bool unsure = !node.children.empty();
  for (const Rule* rule : node.rules) {
    for (const Rule* r = rule; r != nullptr; r = r->else_rule.get()) {
      const Type* t = TypeOfRule(*r, depth);
      unsure = unsure || t == nullptr;
      if (t != nullptr && type != nullptr && t->kind == TypeKind::kFunction && type->kind == TypeKind::kFunction) {
        // Definitions of one function: each argument and the result may be any of theirs.
        Type both = *type;
        for (size_t i = 0; i < both.items.size() && i < t->items.size(); ++i)
          both.items[i] = pool_.Or(both.items[i], t->items[i]);
        both.rest = pool_.Or(both.rest, t->rest);
        type = pool_.Make(std::move(both));
      } else {
        type = pool_.Or(type, t);
      }
    }
  }
  --depth_;
  if (unsure) type = pool_.Any();
  nodes_[&node] = type;
  return type;
}

// Null when the rule has errors or its type is unknown.
const Type* TypeChecker::TypeOfRule(const Rule& rule, size_t depth) {
  Scope scope(nullptr);
  bool good = CheckBody(rule.body, scope);
  const Head& h = rule.head;
  for (const Term* t : {h.key.get(), h.value.get()}) {
    if (t != nullptr && good) good = CheckClosures(*t, scope) && CheckRefs(*t, scope) && CheckCalls(*t, scope);
  }
  if (!good) return nullptr;
  if (h.is_function) {
    Type f{.kind = TypeKind::kFunction};
    for (const auto& a : h.args) {
      VarSet vars;
      CollectVars(*a, VarVisit{}, vars);
      for (const auto& v : vars) {
        if (scope.Find(v) == nullptr) scope.types[v] = pool_.Any();
      }
      f.items.push_back(Of(*a, scope));
    }
    f.rest = Of(*h.value, scope);
    return pool_.Make(std::move(f));
  }
  const Type* type = h.key ? pool_.SetOf(Of(*h.key, scope)) : Of(*h.value, scope);
  if (type == nullptr || (h.key && type->rest == nullptr)) return nullptr;
  for (size_t i = h.ref->items.size(); i-- > depth;) {
    const Type* key = Of(*h.ref->items[i], scope);
    if (key == nullptr) return nullptr;
    type = pool_.ObjectOf(key, type);
  }
  return type;
}

const Type* TypeChecker::Extent(const TreeNode& node) {
  if (const Type* t = TypeOfNode(node); t != nullptr) return t;
  Type object{.kind = TypeKind::kObject, .key = pool_.String(), .rest = pool_.Any()};
  for (const auto& [key, child] : node.children) {
    const Term name(TermKind::kString, {}, key);
    object.members.emplace_back(TermText(name), Extent(*child));
  }
  return pool_.Make(std::move(object));
}

bool TypeChecker::CheckBody(const Body& body, Scope& scope) {
  bool good = true;
  for (const auto& e : body) good = CheckExpr(*e, scope) && good;
  return good;
}

bool TypeChecker::CheckExpr(const Expr& e, Scope& scope) {
  if (e.kind == ExprKind::kEvery) {
    // Its variables have the types of what it walks through; its body is left to evaluation, as OPA leaves it.
    const bool good = CheckClosures(*e.terms[2], scope) && CheckRefs(*e.terms[2], scope);
    return good;
  }
  if (e.kind == ExprKind::kNot || e.kind == ExprKind::kSome) return true;
  const size_t first = e.kind == ExprKind::kCall ? 1 : 0;
  bool clean = true;
  for (size_t i = first; i < e.terms.size(); ++i) clean = CheckClosures(*e.terms[i], scope) && clean;
  for (size_t i = first; i < e.terms.size(); ++i) clean = CheckRefs(*e.terms[i], scope) && clean;
  for (size_t i = first; i < e.terms.size(); ++i) clean = CheckCalls(*e.terms[i], scope) && clean;
  if (e.kind != ExprKind::kCall) return clean;
  // What a more specific error explains is not said twice.
  return CheckCall(e.terms, false, e.at, scope, !clean) && clean;
}

bool TypeChecker::CheckClosures(const Term& t, Scope& scope) {
  if (t.is_comprehension()) {
    Scope inner(&scope);
    return CheckBody(t.body, inner);
  }
  bool good = true;
  for (const auto& i : t.items) good = CheckClosures(*i, scope) && good;
  return good;
}

// Calls within terms, innermost first.
bool TypeChecker::CheckCalls(const Term& t, Scope& scope) {
  if (t.is_comprehension()) return true;
  bool good = true;
  const size_t first = t.kind == TermKind::kCall ? 1 : 0;
  for (size_t i = first; i < t.items.size(); ++i) good = CheckCalls(*t.items[i], scope) && good;
  if (t.kind != TermKind::kCall) return good;
  return CheckCall(t.items, true, t.at, scope, !good) && good;
}

const Type* TypeChecker::FunctionOf(const Term& op) {
  if (!op.is_ref() || !op.items[0]->is_var()) return nullptr;
  if (op.items[0]->text == "data") {
    const TreeNode* n = &compiler_.root();
    for (size_t i = 1; i < op.items.size() && n != nullptr; ++i)
      n = op.items[i]->is_string() ? n->Child(op.items[i]->text) : nullptr;
    return n == nullptr ? nullptr : TypeOfNode(*n);
  }
  const std::string name = RefText(op);
  auto [it, fresh] = builtins_.try_emplace(name, nullptr);
  if (fresh) it->second = SignatureOf(pool_, name);
  return it->second;
}

bool TypeChecker::CheckCall(const std::vector<TermPtr>& items, bool nested, const Location& at, Scope& scope,
                            bool quiet) {
  const std::string name = RefText(*items[0]);
  if (name == "eq" || (name == "equal" && !nested && items.size() == 3))
    return items.size() != 3 || CheckEquality(*items[1], *items[2], at, scope, quiet);
  const Type* f = FunctionOf(*items[0]);
  if (f == nullptr || f->kind != TypeKind::kFunction || f->variadic) return true;
  std::vector<const Type*> have;
  for (size_t i = 1; i < items.size(); ++i) have.push_back(Of(*items[i], scope));
  auto wanted = [&](size_t i) { return i < f->items.size() ? f->items[i] : f->rest; };
  for (size_t i = 0; i < have.size() && i <= f->items.size(); ++i) {
    const Type* want = wanted(i);
    if (want == nullptr) continue;
    const bool known = !HasUnknown(have[i]);
    if ((!known || Unifies(have[i], want)) && Assume(*items[i + 1], want, scope, false)) continue;
    const bool unknown = std::any_of(have.begin(), have.end(), [](const Type* t) { return HasUnknown(t); });
    if (quiet && (unknown || nested)) return false;
    std::string text;
    for (const Type* t : have) text += (text.empty() ? "" : ", ") + TypeText(t);
    // The result of a call within an expression has no type yet.
    if (nested) text += std::string(text.empty() ? "" : ", ") + "???";
    Report(at, name + ": invalid argument(s)", {"have: (" + text + ")", "want: " + ArgumentsText(*f, true)});
    return false;
  }
  return true;
}

bool TypeChecker::CheckEquality(const Term& a, const Term& b, const Location& at, Scope& scope, bool quiet) {
  const Type* ta = Of(a, scope);
  const Type* tb = Of(b, scope);
  if (Unify(a, ta, b, tb, scope)) return true;
  if (quiet && (HasUnknown(ta) || HasUnknown(tb))) return false;
  // A side that nothing is known of cannot clash.
  if (ta == nullptr || tb == nullptr) return true;
  Report(at, "match error", {"left  : " + TypeText(ta), "right : " + TypeText(tb)});
  return false;
}

bool TypeChecker::CheckRefs(const Term& t, Scope& scope) {
  if (t.is_comprehension()) return true;
  bool good = true;
  const size_t first = t.kind == TermKind::kCall ? 1 : 0;
  for (size_t i = first; i < t.items.size(); ++i) good = CheckRefs(*t.items[i], scope) && good;
  return t.is_ref() ? CheckRef(t, scope) && good : good;
}

bool TypeChecker::RefError(const Term& ref, size_t i, const Type* have, const Type* want,
                           const std::vector<std::string>& one_of) {
  const std::string pad(RefPrefix(ref, i).size() + 1, ' ');
  std::vector<std::string> lines{RefText(ref), pad + "^"};
  lines.push_back(have != nullptr ? pad + "have (type): " + TypeText(have) : pad + "have: " + TermText(*ref.items[i]));
  std::string choices;
  for (const std::string& c : one_of) choices += (choices.empty() ? "" : " ") + c;
  lines.push_back(one_of.empty() ? pad + "want (type): " + TypeText(want) : pad + "want (one of): [" + choices + "]");
  Report(ref.items[0]->at.row > 0 ? ref.items[0]->at : ref.at, "undefined ref: " + RefText(ref), lines);
  return false;
}

bool TypeChecker::CheckRef(const Term& ref, Scope& scope) {
  const Term& head = *ref.items[0];
  if (!head.is_var()) return CheckSteps(Of(head, scope), ref, 1, scope);
  if (head.text != "data") {
    // A variable of a scope around a closure is left to evaluation, as OPA leaves it.
    const auto own = scope.types.find(head.text);
    const Type* t = IsRootName(head.text) ? input_ : own == scope.types.end() ? nullptr : own->second;
    return t == nullptr || CheckSteps(t, ref, 1, scope);
  }
  const TreeNode* n = &compiler_.root();
  for (size_t i = 1; i < ref.items.size(); ++i) {
    const Term& step = *ref.items[i];
    if (!IsConstant(step)) {
      // Anything below may be meant; the variable takes the type of the keys.
      if (step.is_var()) {
        const Type* keys = pool_.Keys(Extent(*n));
        if (const Type* known = scope.Find(step.text); known == nullptr)
          scope.types[step.text] = keys;
        else if (!Unifies(keys, known))
          return RefError(ref, i, known, keys, {});
      }
      return true;
    }
    n = step.is_string() ? n->Child(step.text) : nullptr;
    if (n == nullptr) return CheckSteps(pool_.Any(), ref, i + 1, scope);  // a base document
    if (n->rules.empty()) continue;
    const Type* t = TypeOfNode(*n);
    if (t != nullptr && t->kind == TypeKind::kFunction) {
      const std::string what = RefText(ref);
      Report(ref.items[0]->at.row > 0 ? ref.items[0]->at : ref.at,
             "function " + what + " used as reference, not called",
             {what, std::string(RefPrefix(ref, i + 1).size(), '^'), "have: " + TypeText(t)});
      return false;
    }
    return CheckSteps(t, ref, i + 1, scope);
  }
  return true;
}

bool TypeChecker::CheckSteps(const Type* t, const Term& ref, size_t i, Scope& scope) {
  for (; i < ref.items.size(); ++i) {
    if (t == nullptr || IsAny(t)) {
      // Nothing is known; variables on the way may be anything.
      for (; i < ref.items.size(); ++i) {
        const Term& step = *ref.items[i];
        if (step.is_var() && scope.Find(step.text) == nullptr) scope.types[step.text] = pool_.Any();
      }
      return true;
    }
    const Term& step = *ref.items[i];
    const Type* keys = pool_.Keys(t);
    if (keys == nullptr) {
      Report(ref.items[0]->at.row > 0 ? ref.items[0]->at : ref.at, "undefined ref: " + RefText(ref),
             {RefText(ref), std::string(RefPrefix(ref, i).size(), '^'), "have: " + TypeText(t)});
      return false;
    }
    std::vector<std::string> one_of;
    if (t->kind == TypeKind::kObject) {
      for (const auto& [name, type] : t->members) one_of.push_back(name);
    }
    if (IsConstant(step)) {
      const Type* child = pool_.Select(t, TermText(step), Of(step, scope));
      if (child == nullptr) return RefError(ref, i, nullptr, keys, std::move(one_of));
      t = child;
      continue;
    }
    if (step.is_var()) {
      if (const Type* known = scope.Find(step.text); known == nullptr)
        scope.types[step.text] = keys;
      else if (!Unifies(known, keys))
        return RefError(ref, i, known, keys, std::move(one_of));
    } else if (step.is_ref()) {
      if (const Type* known = OfRef(step, scope); known != nullptr && !Unifies(known, keys))
        return RefError(ref, i, known, keys, std::move(one_of));
    } else if (step.kind == TermKind::kArray || step.kind == TermKind::kObject || step.kind == TermKind::kSet) {
      if (!Assume(step, keys, scope, false)) return RefError(ref, i, Of(step, scope), keys, {});
    }
    t = pool_.Values(t);
  }
  return true;
}

}  // namespace hexr::rego
