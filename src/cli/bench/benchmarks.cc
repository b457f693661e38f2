#include "cli/bench/bench.h"
#include "cli/bench/identity.h"
#include "cli/bench/ledger.h"

namespace hexr::cli::bench {

const std::vector<Benchmark>& Benchmarks() {
  static const std::vector<Benchmark> table = {
      {"identity", "start, SVIDs, revocation and memory of a node with a thousand live agents", MeasureIdentity},
      {"ledger", "records appended, sequenced and verified, per second of one core", MeasureLedger},
  };
  return table;
}

}  // namespace hexr::cli::bench
