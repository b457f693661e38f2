#include "policy/tools/trace_view.h"

namespace hexr::policy {
namespace {

using rego::Op;

bool GivesValue(Op op) {
  return op == Op::kReturn || op == Op::kResult || op == Op::kAddSet || op == Op::kAddPath || op == Op::kMark;
}

void VisitTerm(const rego::Term& t, const std::function<void(const rego::Expr&)>& visit) {
  for (const auto& i : t.items) {
    if (i) VisitTerm(*i, visit);
  }
  VisitLiterals(t.body, visit);
}

}  // namespace

TraceView::TraceView(const rego::Program& program, const rego::Trace& trace) {
  for (size_t f = 0; f < program.functions.size() && f < trace.marks.size(); ++f) {
    const rego::Function& function = program.functions[f];
    for (size_t i = 0; i < trace.marks[f].size(); ++i) {
      if (trace.marks[f][i] == 0) continue;
      const Key key = KeyOf(function.places[i]);
      marks_[key] |= trace.marks[f][i];
      if (GivesValue(function.code[i].op)) succeeded_[key] = true;
    }
  }
}

uint8_t TraceView::Marks(const rego::Location& at) const {
  auto it = marks_.find(KeyOf(at));
  return it == marks_.end() ? uint8_t{0} : it->second;
}

bool TraceView::Succeeded(const rego::Location& at) const { return succeeded_.contains(KeyOf(at)); }

void VisitLiterals(const rego::Body& body, const std::function<void(const rego::Expr&)>& visit) {
  for (const auto& e : body) {
    visit(*e);
    for (const auto& t : e->terms) {
      if (t) VisitTerm(*t, visit);
    }
    for (const auto& w : e->with) VisitTerm(*w.value, visit);
    VisitLiterals(e->body, visit);
  }
}

}  // namespace hexr::policy
