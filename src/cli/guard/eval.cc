#include "guard/eval/eval.h"

#include <cstdio>
#include <fstream>

#include "base/clock.h"
#include "cli/files.h"
#include "cli/guard/engine.h"
#include "cli/guard/guard_commands.h"
#include "cli/output.h"

namespace hexr::cli {
namespace {

std::string Percent(const wire::Json& counts, std::string_view key) {
  const wire::Json* v = counts.Find(key);
  char text[16];
  std::snprintf(text, sizeof text, "%.1f %%", v == nullptr ? 0.0 : 100 * v->ToDouble().value_or(0));
  return text;
}

std::vector<std::string> RowOf(const std::string& name, const wire::Json& counts) {
  return {name,
          Text(counts, "n"),
          Text(counts, "tp"),
          Text(counts, "fp"),
          Text(counts, "tn"),
          Text(counts, "fn"),
          Percent(counts, "recall"),
          Percent(counts, "fpr"),
          Percent(counts, "precision"),
          Percent(counts, "f1")};
}

void PrintEvaluation(const wire::Json& result) {
  std::vector<std::vector<std::string>> rows;
  for (const char* part : {"per_source", "per_type"}) {
    if (const wire::JsonObject* table = result.Find(part)->as_object()) {
      for (const auto& [name, counts] : *table) rows.push_back(RowOf(name.empty() ? "-" : name, counts));
    }
  }
  rows.push_back(RowOf("all", result));
  PrintTable({"SET", "N", "TP", "FP", "TN", "FN", "RECALL", "FPR", "PRECISION", "F1"}, rows);
}

}  // namespace

int RunGuardEval(const Invocation& in) {
  std::vector<guard::EvalFile> files;
  for (const std::string& name : in.All("FILE")) {
    auto content = ReadNamedFile(name);
    if (!content.ok()) return Fail(content.error());
    files.push_back({name, std::move(content).value()});
  }
  std::ofstream predictions;
  if (in.Has("--predictions")) {
    predictions.open(in.Get("--predictions"), std::ios::binary | std::ios::trunc);
    if (!predictions) return Fail(InvalidArgument("--predictions " + in.Get("--predictions") + " cannot be written"));
  }
  const auto worker = OpenGuard(in);
  if (!worker.ok()) return Fail(worker.error());
  const SystemClock clock;
  const auto result = guard::Evaluate(**worker, clock, in.Get("--task"), files, [&](const wire::Json& row) {
    if (predictions.is_open()) predictions << wire::ToJson(row) << '\n';
  });
  if (!result.ok()) return Fail(result.error());
  if (predictions.is_open() && !predictions.flush())
    return Fail(InvalidArgument("--predictions " + in.Get("--predictions") + " cannot be written"));
  if (in.output == Output::kJson)
    PrintJson(*result);
  else
    PrintEvaluation(*result);
  return kYes;
}

}  // namespace hexr::cli
