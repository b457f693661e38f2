// Why a decision came out as it did: rule by rule, which gave a value, and which literal stopped the others.
#pragma once

#include <string>
#include <vector>

#include "policy/rego/engine.h"

namespace hexr::policy {

struct RuleOutcome {
  std::string rule;  // data.hexr.authz.allow
  std::string file;
  uint32_t row = 0, col = 0;
  enum class What : uint8_t { kValue, kStopped, kSkipped } what = What::kSkipped;
  // kStopped: the literal no way led beyond.
  std::string literal;
  uint32_t literal_row = 0;
};

// The rules that were looked at, in the order of the source; those of rule sets nobody asked for are left out. A rule
// set's skipped rules are those that the index ruled out.
std::vector<RuleOutcome> Explain(const rego::Policy& policy, const rego::Trace& trace);
// One line each: "allow  authz.rego:7  stopped at line 9: input.role == "admin"".
std::vector<std::string> ExplainLines(const rego::Policy& policy, const rego::Trace& trace);
std::string ExplainJson(const std::vector<RuleOutcome>& outcomes);

}  // namespace hexr::policy
