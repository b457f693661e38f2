// Runs the test_ rules of a policy as `opa test` does: a rule that is true passes; todo_test_ rules are skipped; a rule
// test_x[name] has a sub-test for each name.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "policy/documents.h"
#include "policy/rego/engine.h"
#include "policy/tools/coverage.h"

namespace hexr::policy {

struct TestOptions {
  std::string run;  // regular expression over "data.package.test_name"; "": all
  rego::Version version = rego::Version::kV1;
  bool coverage = false;
};

struct SubResult {
  std::string name;
  bool pass = false;
};
struct TestResult {
  std::string package, name, file;
  uint32_t row = 0, col = 0;
  bool pass = false, skip = false;
  std::string error;   // the rule could not be evaluated
  std::string output;  // of print, a line each
  std::vector<SubResult> subs;
  int64_t duration_ns = 0;
};
struct TestReport {
  std::vector<TestResult> results;  // by file and place
  Coverage coverage;                // when asked for
  size_t passed() const;
  size_t failed() const;
  size_t skipped() const;
};

// INVALID_ARGUMENT with every error of the sources, or for a bad expression in `run`.
Result<TestReport> RunTests(const Documents& documents, const TestOptions& options, const Clock& clock, Random& random);
// As `opa test` prints; without `verbose`, failures, skips and the sums alone.
std::string TestText(const TestReport& report, bool verbose);
std::string TestJson(const TestReport& report);

}  // namespace hexr::policy
