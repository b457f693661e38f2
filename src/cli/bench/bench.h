// `hexr bench NAME`: the published figures, measured on this machine. A benchmark measures; this measures nothing, it
// says what was measured, where, and whether the goal was met.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/command.h"
#include "wire/json.h"

namespace hexr::cli::bench {

// What the figure should be. In JSON the bound is `goal`, the side of it `better` ("lower" or "higher").
struct Goal {
  enum class Better : uint8_t { kLower, kHigher };
  Better better;
  double bound;
  bool MetBy(double value) const { return better == Better::kLower ? value <= bound : value >= bound; }
};
inline Goal AtMost(double bound) { return {Goal::Better::kLower, bound}; }
inline Goal AtLeast(double bound) { return {Goal::Better::kHigher, bound}; }

struct Figure {
  std::string figure;  // "first_svid_p50": letters, digits, _
  double value = 0;
  std::string unit;               // "ms", "1/s per core", "KiB", "MB" (10^6 bytes)
  std::optional<Goal> goal = {};  // absent: shown for comparison
  size_t samples = 1;
  std::map<std::string, double> peers = {};  // others, measured in the same run, in the same unit
};

struct Findings {
  std::vector<Figure> figures;
  std::map<std::string, std::string> conditions =
      {};  // of this benchmark: sizes, pace, what could not be measured and why
};

inline double Millis(std::chrono::nanoseconds d) { return std::chrono::duration<double, std::milli>(d).count(); }

struct Options {
  bool quick = false;  // few samples: shows that it works, and gives no figure to publish
};

struct Benchmark {
  std::string name;
  std::string summary;  // one line
  Result<Findings> (*measure)(const Options& options);
};
// Every benchmark, in the order of the list.
const std::vector<Benchmark>& Benchmarks();

// The value below which the share `p` (0 to 1) of the samples lies; they need not be sorted. At least one.
double Percentile(std::vector<double> samples, double p);

// {name, machine, conditions, figures: [{figure, value, unit, goal, better, met, samples, peers}]}
wire::Json ToJson(const std::string& name, const std::map<std::string, std::string>& machine, const Findings& findings);

std::vector<Command> BenchCommands();

}  // namespace hexr::cli::bench
