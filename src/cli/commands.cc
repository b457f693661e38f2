#include "cli/backup/backup.h"
#include "cli/bench/bench.h"
#include "cli/bundles.h"
#include "cli/command.h"
#include "cli/completion.h"
#include "cli/crew.h"
#include "cli/demo.h"
#include "cli/guard/guard_commands.h"
#include "cli/instances.h"
#include "cli/ledger.h"
#include "cli/node.h"
#include "cli/policy/policy_commands.h"
#include "cli/run.h"
#include "cli/svid.h"
#include "cli/tenants.h"
#include "cli/trust.h"
#include "cli/vault.h"
#include "cli/witness.h"
#include "cli/words.h"

namespace hexr::cli {
namespace {

std::vector<Command> RunCommands() { return {RunCommand()}; }

std::vector<Command> All() {
  std::vector<Command> all;
  for (auto* group : {NodeCommands, RunCommands, CrewCommands, InstanceCommands, TenantCommands, SvidCommands,
                      BundleCommands, TrustCommands, VaultCommands, LedgerCommands, WitnessCommands, PolicyCommands,
                      GuardCommands, DemoCommands, BackupCommands, bench::BenchCommands, CompletionCommands, HelpCommands}) {
    for (Command& c : group()) all.push_back(std::move(c));
  }
  return all;
}

}  // namespace

const std::vector<Command>& Commands() {
  static const std::vector<Command> table = All();
  return table;
}

}  // namespace hexr::cli
