// Runs cases in the format of OPA's conformance suite: {"cases": [{note, query, modules, data, input, …,
// want_result}]}.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "policy/rego/engine.h"

namespace hexr::rego {

struct CaseFailure {
  std::string note;
  std::string why;
};

struct ConformanceReport {
  size_t passed = 0;
  std::vector<CaseFailure> failures;
};

// One file's text. Malformed files are INVALID_ARGUMENT; a case that fails is part of the report.
Status RunCases(std::string_view json, Version version, const Clock& clock, ConformanceReport& report);
// Every .json file under `folder`, in order of name. NOT_FOUND when there is none.
Result<ConformanceReport> RunFolder(const std::string& folder, Version version, const Clock& clock);

}  // namespace hexr::rego
