#include "cli/bench/bench.h"
#include "cli/bench/ledger.h"

namespace hexr::cli::bench {

const std::vector<Benchmark>& Benchmarks() {
  static const std::vector<Benchmark> table = {
      {"ledger", "records appended, sequenced and verified, per second of one core", MeasureLedger},
  };
  return table;
}

}  // namespace hexr::cli::bench
