#include "policy/tools/explain.h"

#include <map>
#include <set>

#include "policy/tools/json_text.h"
#include "policy/tools/trace_view.h"

namespace hexr::policy {
namespace {

using What = RuleOutcome::What;

std::string SourceText(const rego::Module& m, const rego::Expr& e) {
  if (e.at.row == 0 || e.at.row > m.lines.size()) return rego::ExprText(e);
  const std::string& line = m.lines[e.at.row - 1];
  const size_t from = std::min<size_t>(e.at.col - 1, line.size());
  return line.substr(from, e.at.end - e.at.begin);
}

RuleOutcome OutcomeOf(const rego::Module& m, const rego::Rule& r, const TraceView& view) {
  RuleOutcome o;
  o.rule = rego::RefText(*r.head.ref);
  o.file = m.file;
  o.row = r.at.row;
  o.col = r.at.col;
  if (view.Succeeded(r.at)) {
    o.what = What::kValue;
    return o;
  }
  // The last literal that was tried is where every way ended.
  for (const auto& e : r.body) {
    if (e->at.row == 0 || !view.Reached(e->at)) continue;
    o.what = What::kStopped;
    o.literal = SourceText(m, *e);
    o.literal_row = e->at.row;
  }
  return o;
}

}  // namespace

std::vector<RuleOutcome> Explain(const rego::Policy& policy, const rego::Trace& trace) {
  const TraceView view(policy.program(), trace);
  // Rule sets whose function ran.
  std::set<std::string> asked;
  for (size_t f = 0; f < trace.marks.size(); ++f) {
    if (!trace.marks[f].empty() && trace.marks[f][0] != 0) asked.insert(policy.program().functions[f].name);
  }
  std::vector<RuleOutcome> out;
  for (const auto& m : policy.compiler().modules()) {
    for (const auto& rule : m->rules) {
      for (const rego::Rule* r = rule.get(); r != nullptr; r = r->else_rule.get()) {
        RuleOutcome o = OutcomeOf(*m, *r, view);
        std::string set;
        for (const std::string& step : rego::Compiler::GroundPath(*rule)) set += (set.empty() ? "" : ".") + step;
        if (o.what != What::kSkipped || asked.contains(set)) out.push_back(std::move(o));
      }
    }
  }
  return out;
}

std::vector<std::string> ExplainLines(const rego::Policy& policy, const rego::Trace& trace) {
  std::vector<std::string> out;
  for (const RuleOutcome& o : Explain(policy, trace)) {
    std::string line = o.file + ":" + std::to_string(o.row) + ": " + o.rule + ": ";
    switch (o.what) {
      case What::kValue: line += "gave a value"; break;
      case What::kStopped: line += "stopped at line " + std::to_string(o.literal_row) + ": " + o.literal; break;
      case What::kSkipped: line += "not tried: another rule had decided, or its conditions on input rule it out"; break;
    }
    out.push_back(std::move(line));
  }
  return out;
}

std::string ExplainJson(const std::vector<RuleOutcome>& outcomes) {
  JsonText j;
  j.BeginObject();
  j.Key("rules");
  j.BeginArray();
  for (const RuleOutcome& o : outcomes) {
    j.BeginObject();
    j.Member("rule", o.rule);
    j.Member("file", o.file);
    j.Member("row", int64_t{o.row});
    j.Member("outcome", o.what == What::kValue ? "value" : o.what == What::kStopped ? "stopped" : "skipped");
    if (o.what == What::kStopped) {
      j.Member("literal", o.literal);
      j.Member("literal_row", int64_t{o.literal_row});
    }
    j.EndObject();
  }
  j.EndArray();
  j.EndObject();
  return j.Take() + "\n";
}

}  // namespace hexr::policy
