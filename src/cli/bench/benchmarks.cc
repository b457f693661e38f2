#include "cli/bench/attribution.h"
#include "cli/bench/bench.h"
#include "cli/bench/identity.h"
#include "cli/bench/launch.h"
#include "cli/bench/ledger.h"

namespace hexr::cli::bench {

const std::vector<Benchmark>& Benchmarks() {
  static const std::vector<Benchmark> table = {
      {"attribution", "from a connection to the process that holds it", MeasureAttribution},
      {"identity", "start, SVIDs, revocation and memory of a node with a thousand live agents", MeasureIdentity},
      {"launch", "an agent's start over its program's own, whose time it is, and execs inside", MeasureLaunch},
      {"ledger", "records appended, sequenced and verified, per second of one core", MeasureLedger},
  };
  return table;
}

}  // namespace hexr::cli::bench
