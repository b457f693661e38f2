#include "policy/rego/engine.h"

#include <algorithm>

#include "policy/rego/plan/planner.h"

namespace hexr::rego {

namespace {

// In `test_x[name] if …`, once `name` has its value: internal.test_case([name]).
void NameTestCases(Module& m) {
  for (auto& rule : m.rules) {
    const auto& path = rule->head.ref->items;
    if (!path[0]->text.starts_with("test_") || path.size() < 2 || rule->generated_body) continue;
    VarSet names;
    std::vector<TermPtr> steps;
    for (size_t i = 1; i < path.size(); ++i) {
      CollectVars(*path[i], VarVisit{}, names);
      steps.push_back(path[i]->Clone());
    }
    size_t after = 0;
    for (size_t i = 0; i < rule->body.size() && !names.empty(); ++i) {
      VarSet used;
      CollectVars(*rule->body[i], VarVisit{}, used);
      const size_t before = names.size();
      for (const auto& v : used) names.erase(v);
      if (names.size() != before) after = i + 1;
    }
    auto list = std::make_unique<Term>(TermKind::kArray, rule->at);
    list->items = std::move(steps);
    std::vector<TermPtr> operands;
    operands.push_back(std::move(list));
    ExprPtr call = MakeCall("internal.test_case", std::move(operands), rule->at);
    call->generated = true;
    rule->body.insert(rule->body.begin() + static_cast<std::ptrdiff_t>(after), std::move(call));
  }
}

}  // namespace

std::unique_ptr<Policy> Policy::Compile(const std::vector<Source>& sources, const PolicyOptions& options,
                                        std::vector<Diagnostic>& errors) {
  size_t before = errors.size();
  std::vector<std::unique_ptr<Module>> modules;
  for (const Source& s : sources) {
    ParseOptions parse{s.version.value_or(options.version), static_cast<uint32_t>(modules.size())};
    if (auto m = ParseModule(s.file, s.text, parse, errors)) {
      if (options.test_cases) NameTestCases(*m);
      modules.push_back(std::move(m));
    }
  }
  if (errors.size() != before) return nullptr;
  auto policy = std::unique_ptr<Policy>(new Policy(options));
  if (!policy->compiler_.Compile(std::move(modules)) || !Planner::PlanRules(policy->compiler_, policy->program_)) {
    errors.insert(errors.end(), policy->compiler_.errors().begin(), policy->compiler_.errors().end());
    return nullptr;
  }
  return policy;
}

int Policy::AddQuery(std::string_view query, std::vector<Diagnostic>& errors) {
  ParseOptions parse{options_.version, static_cast<uint32_t>(compiler_.modules().size())};
  auto body = ParseQuery(query, parse, errors);
  if (!body) return -1;
  size_t before = compiler_.errors().size();
  int function = -1;
  if (compiler_.CompileQuery(*body)) function = Planner::PlanQuery(compiler_, *body, program_);
  errors.insert(errors.end(), compiler_.errors().begin() + static_cast<std::ptrdiff_t>(before),
                compiler_.errors().end());
  return function;
}

namespace {

// A query that walks through values: rows that are false then drop out, where a single false is an answer.
bool Iterates(const Term& t) {
  if (t.is_comprehension()) return false;
  if (t.is_ref()) {
    for (size_t i = 1; i < t.items.size(); ++i) {
      if (t.items[i]->is_var()) return true;
    }
  }
  return std::any_of(t.items.begin(), t.items.end(), [](const TermPtr& i) { return Iterates(*i); });
}

bool Iterates(const Body& query) {
  return std::any_of(query.begin(), query.end(), [](const ExprPtr& e) {
    return e->kind == ExprKind::kSome ||
           std::any_of(e->terms.begin(), e->terms.end(), [](const TermPtr& t) { return t && Iterates(*t); });
  });
}

bool IsNamed(const Expr& e) { return e.IsCallOf("eq") || e.IsCallOf("assign"); }

// Gives each expression's value a name: `data.a` becomes `value = data.a`.
void CaptureValues(std::string_view text, Body& query, PlannedQuery& out) {
  const bool must_hold = query.size() > 1 || Iterates(query);
  Body checks;
  for (auto& e : query) {
    PlannedQuery::Part part{std::string(text.substr(e->at.begin, e->at.end - e->at.begin)), e->at, ""};
    TermPtr value;
    if (!e->negated && e->kind == ExprKind::kTerm) {
      value = std::move(e->terms[0]);
    } else if (!e->negated && e->kind == ExprKind::kCall && !IsNamed(*e)) {
      const Builtin* b = FindBuiltin(e->Operator());
      const bool open = b == nullptr ? e->Operator().starts_with("data.") : e->terms.size() == size_t{b->arity} + 1;
      if (open && (b == nullptr || (!b->no_result && !b->relation))) {
        value = std::make_unique<Term>(TermKind::kCall, e->at);
        value->items = std::move(e->terms);
      }
    }
    if (value) {
      part.variable = "__value" + std::to_string(out.parts.size()) + "__";
      std::vector<TermPtr> sides;
      sides.push_back(MakeVar(part.variable, e->at));
      sides.push_back(std::move(value));
      ExprPtr named = MakeCall("eq", std::move(sides), e->at);
      named->with = std::move(e->with);
      e = std::move(named);
      if (must_hold) {
        checks.push_back(std::make_unique<Expr>(ExprKind::kTerm, e->at));
        checks.back()->terms.push_back(MakeVar(part.variable, e->at));
      }
    }
    out.parts.push_back(std::move(part));
  }
  for (auto& c : checks) query.push_back(std::move(c));
}

}  // namespace

std::optional<PlannedQuery> Policy::AddQuery(std::string_view query, const QueryOptions& options,
                                             std::vector<Diagnostic>& errors) {
  ParseOptions parse{options_.version, static_cast<uint32_t>(compiler_.modules().size())};
  auto body = ParseQuery(query, parse, errors);
  if (!body) return std::nullopt;
  Compiler::Names names;
  if (!options.package.empty()) names = compiler_.NamesOf(options.package);
  for (const std::string& import : options.imports) {
    auto m = ParseModule("import", "package a\nimport " + import, parse, errors);
    if (!m) return std::nullopt;
    for (const Import& i : m->imports) {
      std::vector<std::string> path;
      for (const auto& step : i.path->items) path.push_back(step->text);
      names[i.alias.empty() ? path.back() : i.alias] = std::move(path);
    }
  }
  PlannedQuery out;
  if (options.capture) CaptureValues(query, *body, out);
  size_t before = compiler_.errors().size();
  if (compiler_.CompileQuery(*body, names)) out.function = Planner::PlanQuery(compiler_, *body, program_);
  errors.insert(errors.end(), compiler_.errors().begin() + static_cast<std::ptrdiff_t>(before),
                compiler_.errors().end());
  return out.function < 0 ? std::nullopt : std::make_optional(std::move(out));
}

int Policy::FindDocument(std::string_view path) const {
  int place = 0;
  if (!path.starts_with("data")) return -1;
  path.remove_prefix(4);
  Arena arena(256);
  while (!path.empty() && place >= 0) {
    if (path[0] != '.') return -1;
    path.remove_prefix(1);
    size_t dot = path.find('.');
    place = program_.tree[static_cast<size_t>(place)].Child(Value::String(arena, path.substr(0, dot)));
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot);
  }
  return place;
}

int Policy::Find(std::string_view path) const {
  int place = FindDocument(path);
  return place < 0 ? -1 : program_.tree[static_cast<size_t>(place)].function;
}

}  // namespace hexr::rego
