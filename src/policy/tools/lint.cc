#include <algorithm>
#include <map>
#include <set>

#include "policy/tools/check.h"
#include "policy/tools/trace_view.h"

namespace hexr::policy {
namespace {

using rego::Body;
using rego::Expr;
using rego::Rule;
using rego::Term;
using rego::TermKind;

constexpr std::string_view kCode = "hexr_lint_warning";

bool HasPart(const Term& t) {
  if (t.kind == TermKind::kCall || t.is_comprehension()) return true;
  return std::any_of(t.items.begin(), t.items.end(), [](const rego::TermPtr& i) { return i && HasPart(*i); });
}

// `not count(input.roles) == 0` evaluates count(input.roles) outside the negation: when it is undefined, the whole rule
// is, where a reader expects the negation to hold.
void CheckNegations(const rego::Module& m, std::vector<rego::Diagnostic>& out) {
  if (m.not_bodies) return;
  for (const auto& rule : m.rules) {
    for (const Rule* r = rule.get(); r != nullptr; r = r->else_rule.get()) {
      VisitLiterals(r->body, [&](const Expr& e) {
        if (!e.negated || e.kind != rego::ExprKind::kCall) return;
        const bool composite =
            std::any_of(e.terms.begin() + 1, e.terms.end(), [](const auto& t) { return HasPart(*t); });
        if (!composite) return;
        out.push_back({std::string(kCode),
                       "`not` over a composite expression: its parts are evaluated outside the negation, so the rule "
                       "does not apply when one of them is undefined; name the parts in a helper rule and negate that, "
                       "or import future.keywords.not",
                       e.at, m.file});
      });
    }
  }
}

bool IsTrue(const rego::TermPtr& t) { return t && t->kind == TermKind::kBool && t->text == "true"; }

// The literals of a rule as text; `if true` has none.
std::set<std::string> Conditions(const Rule& r) {
  std::set<std::string> out;
  for (const auto& e : r.body) {
    if (e->kind == rego::ExprKind::kTerm && !e->negated && IsTrue(e->terms[0])) continue;
    out.insert(rego::ExprText(*e));
  }
  return out;
}

// Two rules `allow`: where one demands everything that the other does and more, its further conditions decide nothing.
void CheckWidening(const std::map<std::string, std::vector<std::pair<const rego::Module*, const Rule*>>>& grants,
                   std::vector<rego::Diagnostic>& out) {
  for (const auto& [name, rules] : grants) {
    std::vector<std::set<std::string>> conditions;
    for (const auto& [m, r] : rules) conditions.push_back(Conditions(*r));
    for (size_t wide = 0; wide < rules.size(); ++wide) {
      for (size_t narrow = 0; narrow < rules.size(); ++narrow) {
        if (wide == narrow || conditions[wide].size() >= conditions[narrow].size()) continue;
        if (!std::includes(conditions[narrow].begin(), conditions[narrow].end(), conditions[wide].begin(),
                           conditions[wide].end()))
          continue;
        std::string extra;
        for (const std::string& c : conditions[narrow]) {
          if (!conditions[wide].contains(c)) extra += (extra.empty() ? "" : "; ") + c;
        }
        const Rule& other = *rules[narrow].second;
        out.push_back({std::string(kCode),
                       "this " + name + " widens the one at " + rules[narrow].first->file + ":" +
                           std::to_string(other.at.row) + ", whose further conditions then decide nothing: " + extra,
                       rules[wide].second->at, rules[wide].first->file});
      }
    }
  }
}

}  // namespace

std::vector<rego::Diagnostic> Lint(const Documents& documents, rego::Version version) {
  std::vector<rego::Diagnostic> out, ignored;
  std::vector<std::unique_ptr<rego::Module>> modules;
  std::map<std::string, std::vector<std::pair<const rego::Module*, const Rule*>>> grants;
  for (const auto& s : documents.sources) {
    auto m = rego::ParseModule(s.file, s.text, {s.version.value_or(version), 0}, ignored);
    if (m) modules.push_back(std::move(m));
  }
  for (const auto& m : modules) {
    CheckNegations(*m, out);
    for (const auto& r : m->rules) {
      const bool grant = r->head.ref->items.size() == 1 && r->head.ref->items[0]->text.starts_with("allow") &&
                         !r->is_default && !r->else_rule && IsTrue(r->head.value) && r->head.args.empty();
      if (grant) grants[rego::RefText(*m->package) + "." + r->head.ref->items[0]->text].emplace_back(m.get(), r.get());
    }
  }
  CheckWidening(grants, out);
  return out;
}

}  // namespace hexr::policy
