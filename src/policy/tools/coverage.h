// Which lines of a policy decisions have reached.
#pragma once

#include <map>
#include <set>
#include <string>

#include "policy/rego/engine.h"

namespace hexr::policy {

struct FileCoverage {
  std::set<uint32_t> covered, not_covered;  // rows
};
struct Coverage {
  std::map<std::string, FileCoverage> files;
  size_t covered_lines = 0, not_covered_lines = 0;
  double percent() const;  // 0 to 100, two decimals
};

Coverage MeasureCoverage(const rego::Policy& policy, const rego::Trace& trace);
// {files: {NAME: {covered: [{start: {row}, end: {row}}], not_covered, …}}, covered_lines, not_covered_lines, coverage}
std::string CoverageJson(const Coverage& coverage);

}  // namespace hexr::policy
