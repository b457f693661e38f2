// Records a second through each part of the ledger, on one core. Sequencing includes opening the journal's frames,
// checking the records, hashing, and writing tiles and checkpoints to a disk in memory.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <fstream>

#include "ledger/journal_reader.h"
#include "ledger/journal_writer.h"
#include "ledger/sequencer.h"
#include "ledger/testing/events.h"
#include "ledger/testing/memory_storage.h"
#include "ledger/testing/memory_text_store.h"
#include "ledger/verify.h"

namespace hexr::ledger {
namespace {

constexpr uint64_t kRecords = 200'000;

// A folder in memory where there is one: the disk is not what is measured.
std::string Folder(const std::string& name) {
  const std::string base =
      std::filesystem::exists("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path().string();
  return base + "/hexr_ledger_bench_" + std::to_string(::getpid()) + "_" + name;
}

struct World {
  explicit World(const std::string& name) : folder(Folder(name)) { std::filesystem::remove_all(folder); }
  ~World() { std::filesystem::remove_all(folder); }
  std::unique_ptr<Sequencer> Open() {
    SequencerOptions options{.tenant = IdSegment::Parse("acme").value(),
                             .node = SpiffeId::Parse("spiffe://example.org").value(),
                             .commit_interval = std::chrono::milliseconds(1000),
                             .commit_records = 16384};
    return Sequencer::Open(std::move(options), log, folder, testing::TestMaster(), signer, texts, clock, random)
        .value();
  }
  std::string folder;
  testing::MemoryStorage log;
  testing::MemoryTextStore texts;
  NoteSigner signer = testing::TestSigner("example.org/log");
  SystemClock clock;
  SystemRandom random;
};

void Fill(World& world, Sequencer& sequencer, uint64_t records) {
  (void)world;
  NewJournal journal = sequencer.OpenJournal("gateway/acme").value();
  auto writer = JournalWriter::Open(std::move(journal.fd), std::move(journal.ticket), SyncPolicy::kWritten).value();
  for (uint64_t i = 0; i < records; ++i)
    HEXR_CHECK(writer->Append(testing::TestEvent(static_cast<unsigned>(i % 50), i)).ok());
  HEXR_CHECK(writer->Close().ok());
}

void Append(benchmark::State& state) {
  World world("append");
  auto sequencer = world.Open();
  NewJournal journal = sequencer->OpenJournal("gateway/acme").value();
  auto writer = JournalWriter::Open(std::move(journal.fd), std::move(journal.ticket), SyncPolicy::kWritten).value();
  const Event event = testing::TestEvent(1, 1);
  for (auto _ : state) HEXR_CHECK(writer->Append(event).ok());
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(Append);

void Sequence(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    World world("sequence");
    auto sequencer = world.Open();
    Fill(world, *sequencer, kRecords);
    state.ResumeTiming();
    HEXR_CHECK(sequencer->Flush().ok());
    state.PauseTiming();
    HEXR_CHECK(sequencer->log().committed().size == kRecords + 3);
    sequencer.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRecords));
}
BENCHMARK(Sequence)->Unit(benchmark::kMillisecond);

void Verify(benchmark::State& state) {
  World world("verify");
  auto sequencer = world.Open();
  Fill(world, *sequencer, kRecords);
  HEXR_CHECK(sequencer->Flush().ok());
  for (auto _ : state) {
    const VerifyReport report = VerifyLog(world.log, {.log_key = world.signer.verifier()}).value();
    HEXR_CHECK(report.problems_total == 0 && report.records == kRecords + 3);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRecords));
}
BENCHMARK(Verify)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace hexr::ledger
