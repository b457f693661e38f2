#include <gtest/gtest.h>

#include "policy/rego/conformance/runner.h"

namespace hexr::rego {
namespace {

class RegoConformance : public testing::TestWithParam<std::pair<const char*, Version>> {};

TEST_P(RegoConformance, EveryCasePasses) {
  SystemClock clock;
  auto report = RunFolder(std::string(HEXR_SOURCE_DIR "/test/data/rego/") + GetParam().first, GetParam().second, clock);
  ASSERT_TRUE(report.ok()) << report.error().ToString();
  for (const auto& f : report->failures) ADD_FAILURE() << f.note << ": " << f.why;
  EXPECT_GT(report->passed, 1000u);
}

INSTANTIATE_TEST_SUITE_P(Suites, RegoConformance,
                         testing::Values(std::pair("v1", Version::kV1), std::pair("v0", Version::kV0)),
                         [](const auto& param) { return std::string(param.param.first); });

TEST(RegoConformance, AFailingCaseIsReported) {
  SystemClock clock;
  ConformanceReport report;
  auto s = RunCases(R"({"cases": [{"note": "a", "query": "x = 1", "want_result": [{"x": 2}]},
                                  {"note": "b", "query": "x = 1", "want_result": [{"x": 1}]}]})",
                    Version::kV1, clock, report);
  ASSERT_TRUE(s.ok());
  EXPECT_EQ(report.passed, 1u);
  ASSERT_EQ(report.failures.size(), 1u);
  EXPECT_EQ(report.failures[0].note, "a");
}

}  // namespace
}  // namespace hexr::rego
