#include "policy/tools/coverage.h"

#include <cmath>
#include <cstdio>

#include "policy/tools/json_text.h"
#include "policy/tools/trace_view.h"

namespace hexr::policy {
namespace {

double Percent(size_t covered, size_t missed) {
  const size_t all = covered + missed;
  return all == 0 ? 0 : std::round(10000.0 * static_cast<double>(covered) / static_cast<double>(all)) / 100;
}

std::string Number(double d) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", d);
  std::string out = text;
  while (out.ends_with('0')) out.pop_back();
  if (out.ends_with('.')) out.pop_back();
  return out;
}

// Rows that follow one another are one range.
void WriteRanges(JsonText& j, std::string_view key, const std::set<uint32_t>& rows) {
  if (rows.empty()) return;
  j.Key(key);
  j.BeginArray();
  for (auto it = rows.begin(); it != rows.end();) {
    const uint32_t first = *it;
    uint32_t last = first;
    while (++it != rows.end() && *it == last + 1) last = *it;
    j.BeginObject();
    for (const auto& [name, row] : {std::pair{"start", first}, std::pair{"end", last}}) {
      j.Key(name);
      j.BeginObject();
      j.Member("row", int64_t{row});
      j.EndObject();
    }
    j.EndObject();
  }
  j.EndArray();
}

void WriteCounts(JsonText& j, size_t covered, size_t missed) {
  j.Member("covered_lines", static_cast<int64_t>(covered));
  j.Member("not_covered_lines", static_cast<int64_t>(missed));
  j.Key("coverage");
  j.Plain(Number(Percent(covered, missed)));
}

}  // namespace

double Coverage::percent() const { return Percent(covered_lines, not_covered_lines); }

Coverage MeasureCoverage(const rego::Policy& policy, const rego::Trace& trace) {
  const TraceView view(policy.program(), trace);
  Coverage out;
  for (const auto& m : policy.compiler().modules()) {
    if (m->file.empty()) continue;
    FileCoverage& file = out.files[m->file];
    std::set<uint32_t> all;
    auto note = [&](uint32_t row, bool reached) {
      if (row == 0) return;
      all.insert(row);
      if (reached) file.covered.insert(row);
    };
    for (const auto& rule : m->rules) {
      for (const rego::Rule* r = rule.get(); r != nullptr; r = r->else_rule.get()) {
        note(r->at.row, view.Succeeded(r->at));
        if (r->generated_body || r->is_default) continue;
        VisitLiterals(r->body, [&](const rego::Expr& e) {
          if (!e.generated) note(e.at.row, view.Reached(e.at));
        });
      }
    }
    for (uint32_t row : all) {
      if (!file.covered.contains(row)) file.not_covered.insert(row);
    }
    out.covered_lines += file.covered.size();
    out.not_covered_lines += file.not_covered.size();
  }
  return out;
}

std::string CoverageJson(const Coverage& coverage) {
  JsonText j;
  j.BeginObject();
  j.Key("files");
  j.BeginObject();
  for (const auto& [name, file] : coverage.files) {
    j.Key(name);
    j.BeginObject();
    WriteRanges(j, "covered", file.covered);
    WriteRanges(j, "not_covered", file.not_covered);
    WriteCounts(j, file.covered.size(), file.not_covered.size());
    j.EndObject();
  }
  j.EndObject();
  WriteCounts(j, coverage.covered_lines, coverage.not_covered_lines);
  j.EndObject();
  return j.Take() + "\n";
}

}  // namespace hexr::policy
