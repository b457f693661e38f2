// Scores the guard on labelled texts, thresholds as shipped: what `hexr guard eval` prints. Formats: one JSON object a
// line, {text, label, channel, source} for injection; {full_text, spans} or {text, expected_positions, _test} for pii;
// {text, kind} or {line, label, start, end} for secrets.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "guard/guard.h"

namespace hexr::guard {

struct EvalFile {
  std::string name;
  std::string content;
};

// {task, n, tp, fp, tn, fn, recall, fpr, precision, f1, per_source, per_type}. `on_prediction` gets one object a row.
// INVALID_ARGUMENT names file and line of a row that is not in a format above.
Result<wire::Json> Evaluate(Worker& worker, const Clock& clock, std::string_view task,
                            const std::vector<EvalFile>& files,
                            const std::function<void(const wire::Json&)>& on_prediction);

}  // namespace hexr::guard
