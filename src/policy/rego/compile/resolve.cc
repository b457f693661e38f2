#include "policy/rego/compile/resolve.h"

#include <utility>

#include "policy/rego/builtins/registry.h"

namespace hexr::rego {

void Resolver::Fail(Location at, std::string message) {
  errors_.push_back({"rego_compile_error", std::move(message), at, file_});
}

const std::vector<std::string>* Resolver::Global(std::string_view name) const {
  auto it = globals_.find(name);
  return it == globals_.end() ? nullptr : &it->second;
}

void Resolver::PopFrame() {
  using Why = Variable::Why;
  for (const auto& [name, v] : frames_.back()) {
    if (v.used || v.used_before || v.why == Why::kNone || keep_names_) continue;
    if (v.why == Why::kDeclared) Fail(v.at, "declared var " + name + " unused");
    if (v.why == Why::kAssigned && strict_) Fail(v.at, "assigned var " + name + " unused");
  }
  frames_.pop_back();
}

Resolver::Variable* Resolver::Find(std::string_view name) {
  for (auto f = frames_.rbegin(); f != frames_.rend(); ++f) {
    if (auto it = f->find(name); it != f->end()) return &it->second;
  }
  return nullptr;
}

void Resolver::CollectPattern(const Term& t, Frame& frame) {
  if (t.is_var()) {
    if (!IsWildcard(t.text) && !IsRootName(t.text)) frame.emplace(t.text, Variable{});
  } else if (t.kind == TermKind::kArray) {
    for (const auto& i : t.items) CollectPattern(*i, frame);
  } else if (t.kind == TermKind::kObject) {
    for (size_t i = 1; i < t.items.size(); i += 2) CollectPattern(*t.items[i], frame);
  }
}

void Resolver::CollectDeclared(const Body& body, Frame& frame) {
  for (const auto& e : body) {
    if (e->kind == ExprKind::kSome) {
      for (const auto& t : e->terms) {
        if (t->is_var()) {
          CollectPattern(*t, frame);
          continue;
        }
        VarSet vars;
        for (size_t i = 1; i + 1 < t->items.size(); ++i) CollectVars(*t->items[i], VarVisit{}, vars);
        for (const auto& v : vars) {
          if (!IsWildcard(v)) frame.emplace(v, Variable{});
        }
      }
    } else if (e->IsCallOf("assign") && e->terms.size() == 3) {
      CollectPattern(*e->terms[1], frame);
    }
  }
}

void Resolver::Declare(Term& var, bool assign) {
  if (IsWildcard(var.text)) return;
  if (IsRootName(var.text)) {
    Fail(var.at, "cannot assign to " + var.text);
    return;
  }
  Variable& v = frames_.back()[var.text];
  if (!v.name.empty()) {
    Fail(var.at, "var " + var.text + (assign ? " assigned above" : " declared above"));
    return;
  }
  if (v.used_before) {
    Fail(var.at, "var " + var.text + " referenced above");
    return;
  }
  v.why = assign ? Variable::Why::kAssigned : Variable::Why::kDeclared;
  v.at = var.at;
  v.name = keep_names_ && frames_.size() == 1 ? var.text : names_.Next();
  var.text = v.name;
}

void Resolver::DeclarePattern(Term& t, bool assign) {
  switch (t.kind) {
    case TermKind::kVar: Declare(t, assign); break;
    case TermKind::kArray:
      for (auto& i : t.items) DeclarePattern(*i, assign);
      break;
    case TermKind::kObject:
      for (size_t i = 0; i < t.items.size(); i += 2) {
        ResolveTerm(t.items[i]);
        DeclarePattern(*t.items[i + 1], assign);
      }
      break;
    case TermKind::kRef:
    case TermKind::kCall:
    case TermKind::kSet:
      Fail(t.at, "cannot assign to " + std::string(t.kind == TermKind::kRef    ? "ref"
                                                   : t.kind == TermKind::kCall ? "call"
                                                                               : "set"));
      break;
    default: break;
  }
}

void Resolver::ResolveQuery(Body& body) {
  frames_.emplace_back();
  keep_names_ = true;
  ResolveBody(body);
  PopFrame();
}

void Resolver::ResolveRule(Rule& rule, const std::vector<TermPtr>& package) {
  auto ref = std::make_unique<Term>(TermKind::kRef, rule.head.ref->at);
  for (const auto& p : package) ref->items.push_back(p->Clone());
  for (size_t i = 0; i < rule.head.ref->items.size(); ++i) {
    TermPtr part = std::move(rule.head.ref->items[i]);
    if (i == 0) part->kind = TermKind::kString;
    ref->items.push_back(std::move(part));
  }
  rule.head.ref = std::move(ref);

  VarSet args_seen, used_args;
  for (Rule* r = &rule; r != nullptr; r = r->else_rule.get()) {
    if (r != &rule) r->head.ref = rule.head.ref->Clone();
    Frame args;
    for (auto& a : r->head.args) {
      VarSet vars;
      CollectVars(*a, VarVisit{}, vars);
      for (const auto& v : vars) {
        if (!Global(v) || a->is_var()) args.emplace(v, Variable{v});
      }
    }
    frames_.push_back(std::move(args));
    Body support;
    for (auto& a : r->head.args) {
      ResolveTerm(a);
      LiftCalls(a, support);
    }
    // To stand in the head is no use.
    for (auto& [name, v] : frames_.back()) v.used = false;
    frames_.emplace_back();
    CollectDeclared(r->body, frames_.back());
    Body out;
    for (auto& e : r->body) ResolveExpr(*e, out);
    for (auto& e : support) out.push_back(std::move(e));
    r->body = std::move(out);
    if (r == &rule) {
      for (size_t i = package.size() + 1; i < r->head.ref->items.size(); ++i) ResolveTerm(r->head.ref->items[i]);
    }
    if (r->head.key) ResolveTerm(r->head.key);
    if (r->head.value) ResolveTerm(r->head.value);
    PopFrame();
    for (const auto& [name, v] : frames_.back()) {
      if (v.used) used_args.insert(name);
      args_seen.insert(name);
    }
    PopFrame();
  }
  if (!strict_ || rule.is_default) return;
  for (const auto& name : args_seen) {
    if (!used_args.contains(name) && !IsWildcard(name))
      Fail(rule.at, "unused argument " + name + ". (hint: use _ (wildcard variable) instead)");
  }
}

// Calls in arguments are computed in the body and compared: f(g(x)) is f(v) with v = g(x).
void Resolver::LiftCalls(TermPtr& t, Body& support) {
  if (t->is_comprehension()) return;
  if (t->kind != TermKind::kCall) {
    for (auto& i : t->items) LiftCalls(i, support);
    return;
  }
  TermPtr local = MakeVar(names_.Next(), t->at);
  std::vector<TermPtr> operands;
  operands.push_back(local->Clone());
  operands.push_back(std::move(t));
  support.push_back(MakeCall("eq", std::move(operands), local->at));
  t = std::move(local);
}

void Resolver::ResolveBody(Body& body) {
  CollectDeclared(body, frames_.back());
  Body out;
  for (auto& e : body) ResolveExpr(*e, out);
  body = std::move(out);
}

void Resolver::ResolveWith(Expr& e) {
  for (auto& w : e.with) {
    // A built-in as a replacement: a call without operands stands for the function itself.
    const Term& head = w.value->is_ref() ? *w.value->items[0] : *w.value;
    if (head.is_var() && Find(head.text) == nullptr && Global(head.text) == nullptr &&
        FindBuiltin(TermText(*w.value)) != nullptr) {
      auto call = std::make_unique<Term>(TermKind::kCall, w.value->at);
      call->items.push_back(OperatorRef(TermText(*w.value), w.value->at));
      w.value = std::move(call);
    } else {
      ResolveTerm(w.value);
    }
    for (size_t i = 1; i < w.target->items.size(); ++i) ResolveTerm(w.target->items[i]);
    ResolveOperator(w.target);
  }
}

TermPtr Resolver::Named(TermPtr value, Body& out) {
  TermPtr local = MakeVar(names_.Next(), value->at);
  std::vector<TermPtr> operands;
  operands.push_back(local->Clone());
  operands.push_back(std::move(value));
  out.push_back(MakeCall("eq", std::move(operands), local->at));
  return local;
}

void Resolver::ResolveExpr(Expr& e, Body& out) {
  ResolveWith(e);
  for (auto& w : e.with) {
    // A replacement that walks through values is chosen outside of the literal.
    VarSet vars;
    if (!w.value->is_var()) CollectVars(*w.value, VarVisit{.closures = false, .ref_heads = false}, vars);
    if (!vars.empty()) w.value = Named(std::move(w.value), out);
  }
  switch (e.kind) {
    case ExprKind::kTerm: ResolveTerm(e.terms[0]); break;
    case ExprKind::kCall:
      if (e.IsCallOf("assign") && e.terms.size() == 3) {
        // A null literal stands in for nothing: the right side does not see what the left side declares.
        ResolveTerm(e.terms[2]);
        DeclarePattern(*e.terms[1], true);
        e.terms[0] = OperatorRef("eq", e.at);
        break;
      }
      for (size_t i = 1; i < e.terms.size(); ++i) ResolveTerm(e.terms[i]);
      ResolveOperator(e.terms[0]);
      break;
    case ExprKind::kSome: {
      if (e.terms[0]->is_var()) {
        for (auto& v : e.terms) Declare(*v, false);
        return;  // declarations leave nothing to evaluate
      }
      // some k, v in xs: xs[k] = v with fresh variables in k and v.
      Term& call = *e.terms[0];
      bool keyed = call.items.size() == 4;
      ResolveTerm(call.items.back());
      VarSet vars;
      for (size_t i = 1; i + 1 < call.items.size(); ++i) CollectVars(*call.items[i], VarVisit{}, vars);
      for (const auto& name : vars) {
        if (IsWildcard(name)) continue;
        Term v(TermKind::kVar, call.at, name);
        Declare(v, false);
      }
      for (size_t i = 1; i + 1 < call.items.size(); ++i) ResolveTerm(call.items[i]);
      auto ref = std::make_unique<Term>(TermKind::kRef, call.at);
      TermPtr domain = std::move(call.items.back());
      if (domain->is_ref()) {
        ref->items = std::move(domain->items);
      } else if (IsGround(*domain) || domain->is_var()) {
        ref->items.push_back(std::move(domain));
      } else {
        // What is iterated over exists first: it may walk through values itself.
        ref->items.push_back(Named(std::move(domain), out));
      }
      ref->items.push_back(keyed ? std::move(call.items[1]) : MakeVar("$" + names_.Next(), call.at));
      TermPtr value = std::move(call.items[keyed ? 2 : 1]);
      std::vector<TermPtr> operands;
      operands.push_back(std::move(value));
      operands.push_back(std::move(ref));
      ExprPtr eq = MakeCall("eq", std::move(operands), e.at);
      eq->with = std::move(e.with);
      out.push_back(std::move(eq));
      return;
    }
    case ExprKind::kEvery: {
      ResolveTerm(e.terms[2]);
      Frame own;
      for (size_t i : {size_t{0}, size_t{1}}) {
        if (!e.terms[i] || IsWildcard(e.terms[i]->text)) continue;
        std::string fresh = names_.Next();
        own[e.terms[i]->text] = Variable{fresh, false, false, Variable::Why::kDeclared, e.at};
        e.terms[i]->text = fresh;
      }
      frames_.push_back(std::move(own));
      frames_.emplace_back();
      ResolveBody(e.body);
      PopFrame();
      PopFrame();
      break;
    }
    case ExprKind::kNot:
      frames_.emplace_back();
      ResolveBody(e.body);
      PopFrame();
      break;
  }
  auto moved = std::make_unique<Expr>(e.kind, e.at);
  *moved = std::move(e);
  out.push_back(std::move(moved));
}

void Resolver::ResolveOperator(TermPtr& op) {
  Term& head = *op->items[0];
  if (!head.is_var()) return;
  if (Variable* v = Find(head.text)) {
    v->used = true;
    if (!v->name.empty()) head.text = v->name;
    return;
  }
  if (const auto* path = Global(head.text)) {
    used_globals_.insert(head.text);
    std::vector<TermPtr> items = std::move(MakeRef(*path, head.at)->items);
    for (size_t i = 1; i < op->items.size(); ++i) items.push_back(std::move(op->items[i]));
    op->items = std::move(items);
  }
}

void Resolver::ResolveRef(TermPtr& t) {
  for (size_t i = 1; i < t->items.size(); ++i) ResolveTerm(t->items[i]);
  Term& head = *t->items[0];
  if (!head.is_var()) {
    ResolveTerm(t->items[0]);
    return;
  }
  if (IsRootName(head.text)) return;
  TermPtr whole = MakeVar(head.text, head.at);
  ResolveTerm(whole);
  if (whole->is_ref()) {
    std::vector<TermPtr> items = std::move(whole->items);
    for (size_t i = 1; i < t->items.size(); ++i) items.push_back(std::move(t->items[i]));
    t->items = std::move(items);
  } else {
    t->items[0] = std::move(whole);
  }
}

// A template is a call over its parts; what may be undefined is a set of at most one element.
void Resolver::ResolveTemplate(TermPtr& t) {
  auto parts = std::make_unique<Term>(TermKind::kArray, t->at);
  for (auto& part : t->items) {
    if (part->kind != TermKind::kTemplateExpr) {
      parts->items.push_back(std::move(part));
      continue;
    }
    Expr& e = *part->body[0];
    TermPtr value;
    if (e.kind == ExprKind::kCall) {
      value = std::make_unique<Term>(TermKind::kCall, part->at);
      value->items = std::move(e.terms);
    } else {
      value = std::move(e.terms[0]);
    }
    std::string local = names_.Next();
    std::vector<TermPtr> operands;
    operands.push_back(MakeVar(local, part->at));
    operands.push_back(std::move(value));
    ExprPtr eq = MakeCall("eq", std::move(operands), part->at);
    eq->with = std::move(e.with);
    auto comp = std::make_unique<Term>(TermKind::kSetComp, part->at);
    comp->items.push_back(MakeVar(local, part->at));
    comp->body.push_back(std::move(eq));
    TermPtr element = std::move(comp);
    ResolveTerm(element);
    parts->items.push_back(std::move(element));
  }
  auto call = std::make_unique<Term>(TermKind::kCall, t->at);
  call->items.push_back(OperatorRef("internal.template_string", t->at));
  call->items.push_back(std::move(parts));
  t = std::move(call);
}

void Resolver::ResolveTerm(TermPtr& t) {
  switch (t->kind) {
    case TermKind::kVar: {
      if (IsWildcard(t->text)) return;
      if (IsRootName(t->text)) {
        Location at = t->at;
        auto ref = std::make_unique<Term>(TermKind::kRef, at);
        ref->items.push_back(std::move(t));
        t = std::move(ref);
        return;
      }
      if (Variable* v = Find(t->text)) {
        v->used = true;
        // A closure that names it before its declaration has a variable of its own.
        if (!v->name.empty())
          t->text = v->name;
        else if (frames_.back().contains(t->text))
          v->used_before = true;
        return;
      }
      if (const auto* path = Global(t->text)) {
        used_globals_.insert(t->text);
        t = MakeRef(*path, t->at);
      }
      return;
    }
    case TermKind::kRef: ResolveRef(t); return;
    case TermKind::kCall:
      for (size_t i = 1; i < t->items.size(); ++i) ResolveTerm(t->items[i]);
      ResolveOperator(t->items[0]);
      return;
    case TermKind::kArrayComp:
    case TermKind::kSetComp:
    case TermKind::kObjectComp:
      frames_.emplace_back();
      ResolveBody(t->body);
      for (auto& i : t->items) ResolveTerm(i);
      PopFrame();
      return;
    case TermKind::kTemplate: ResolveTemplate(t); return;
    default:
      for (auto& i : t->items) ResolveTerm(i);
  }
}

}  // namespace hexr::rego
