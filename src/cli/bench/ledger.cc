#include "cli/bench/ledger.h"

#include <filesystem>

#include "base/random.h"
#include "cli/bench/cpu_time.h"
#include "cli/bench/scratch_folder.h"
#include "ledger/journal_writer.h"
#include "ledger/ledger.h"
#include "ledger/verify.h"

namespace hexr::cli::bench {
namespace {

using ledger::Body;
using ledger::Code;

constexpr unsigned kInstances = 50;

// A decision on a tool call, as a gateway records it.
Result<ledger::Event> Decision(const IdSegment& tenant, const InstanceId& instance, uint64_t number, WallTime time) {
  ASSIGN_OR_RETURN(SpiffeId agent, SpiffeId::Parse("spiffe://bench.hexr/agent/default/crew/researcher"));
  ASSIGN_OR_RETURN(ledger::PublicName tool, ledger::PublicName::Parse("files/read_file"));
  ASSIGN_OR_RETURN(ledger::PublicName call, ledger::PublicName::Parse("call-" + std::to_string(number)));
  Body body;
  body.Set("action", Code("tools.call")).Set("number", number).Set("tool", tool).Set("verdict", Code("allow"));
  return ledger::Event{.time = time,
                       .kind = ledger::RecordKind::kDecision,
                       .spiffe_id = std::move(agent),
                       .instance = instance,
                       .tenant = tenant,
                       .call_id = std::move(call),
                       .body = std::move(body)};
}

struct Rates {
  double append, sequence, verify;
};

// One log from empty to verified. Rates are records per second of CPU that this process used, its threads included.
Result<Rates> Round(const std::string& root, uint64_t records) {
  const SystemClock clock;
  SystemRandom random;
  ASSIGN_OR_RETURN(const TrustDomain domain, TrustDomain::Parse("bench.hexr"));
  ASSIGN_OR_RETURN(const IdSegment tenant, IdSegment::Parse("default"));
  ASSIGN_OR_RETURN(ledger::Ledger book, ledger::Ledger::Open({.root = root, .trust_domain = domain, .node = "bench"},
                                                             crypto::Secret::Random(32, random), clock, random));
  ASSIGN_OR_RETURN(ledger::TenantLedger* const log, book.Of(tenant));
  ASSIGN_OR_RETURN(ledger::NewJournal journal, log->sequencer().OpenJournal("gateway/bench"));
  ASSIGN_OR_RETURN(auto writer, ledger::JournalWriter::Open(std::move(journal.fd), std::move(journal.ticket),
                                                            ledger::SyncPolicy::kWritten));
  std::vector<ledger::Event> events;
  events.reserve(records);
  for (uint64_t i = 0; i < records; ++i) {
    const InstanceId instance = InstanceId::Make(i % kInstances, "benchbench");
    ASSIGN_OR_RETURN(ledger::Event e, Decision(tenant, instance, i, clock.Wall()));
    events.push_back(std::move(e));
  }
  const auto rate = [records](CpuTime used) {
    return static_cast<double>(records) / std::chrono::duration<double>(used).count();
  };
  Rates rates{};
  CpuTime before = OwnCpuTime();
  for (const ledger::Event& e : events) RETURN_IF_ERROR(writer->Append(e));
  RETURN_IF_ERROR(writer->Close());
  rates.append = rate(OwnCpuTime() - before);
  events.clear();
  before = OwnCpuTime();
  RETURN_IF_ERROR(book.Flush());
  rates.sequence = rate(OwnCpuTime() - before);
  before = OwnCpuTime();
  ASSIGN_OR_RETURN(const ledger::VerifyReport report, ledger::VerifyLog(log->storage(), {.log_key = log->key()}));
  rates.verify = rate(OwnCpuTime() - before);
  if (report.problems_total != 0 || report.records < records) return Internal("the benchmark's log does not verify");
  return rates;
}

}  // namespace

Result<Findings> MeasureLedger(const Options& options) {
  const uint64_t records = options.quick ? 10'000 : 200'000;
  const size_t rounds = options.quick ? 1 : 5;
  std::vector<double> append, sequence, verify, both;
  for (size_t i = 0; i < rounds; ++i) {
    ASSIGN_OR_RETURN(const ScratchFolder folder, ScratchFolder::Make(ScratchFolder::Where::kMemory));
    ASSIGN_OR_RETURN(const Rates r, Round(folder.path() + "/ledger", records));
    append.push_back(r.append);
    sequence.push_back(r.sequence);
    verify.push_back(r.verify);
    both.push_back(1 / (1 / r.sequence + 1 / r.verify));
  }
  const auto figure = [&](std::string name, std::vector<double> rates, std::optional<Goal> goal) {
    return Figure{std::move(name), Percentile(std::move(rates), 0.5), "records/s per core", goal, rounds * records};
  };
  return Findings{{figure("append", append, std::nullopt), figure("sequence", sequence, AtLeast(200'000)),
                   figure("verify", verify, AtLeast(200'000)), figure("sequence_and_verify", both, AtLeast(200'000))},
                  {{"records", std::to_string(records) + " a round, median of " + std::to_string(rounds) + " rounds"},
                   {"ledger", "policy written, checkpoint every 4,096 records, files in memory"}}};
}

}  // namespace hexr::cli::bench
