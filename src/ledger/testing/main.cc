// The process that ledger_test limits and kills.
//
//   ledger_child write PATH 0  appends to a new journal for ever; each acknowledged number goes to stdout, 8 bytes
//   ledger_child cut PATH 0    appends to a new journal under file size limits; exits with the number acknowledged
//   ledger_child keep DIR N    is a keeper and a gateway in one: appends from number N on and sequences, for ever;
//                              each acknowledged number goes to stdout
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>

#include "ledger/journal_writer.h"
#include "ledger/sequencer.h"
#include "ledger/testing/events.h"
#include "ledger/testing/memory_text_store.h"

namespace hexr::ledger::testing {
namespace {

std::unique_ptr<JournalWriter> OpenNew(const char* path) {
  SystemRandom random;
  const SystemClock clock;
  NewJournal journal = CreateJournal(path, "gateway/acme", TestMaster(), clock, random).value();
  return JournalWriter::Open(std::move(journal.fd), std::move(journal.ticket), SyncPolicy::kWritten).value();
}

int Write(const char* path) {
  const auto writer = OpenNew(path);
  for (uint64_t i = 0;; ++i) {
    if (!writer->Append(TestEvent(1, i)).ok()) return 1;
    if (::write(STDOUT_FILENO, &i, sizeof i) != sizeof i) return 1;
  }
}

void LimitFileSize(rlim_t bytes) {
  const struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
  ::setrlimit(RLIMIT_FSIZE, &limit);
}

int Cut(const char* path) {
  ::signal(SIGXFSZ, SIG_IGN);
  const auto writer = OpenNew(path);
  int acknowledged = 0;
  for (rlim_t round = 0; round < 20; ++round) {
    const auto size = static_cast<rlim_t>(std::filesystem::file_size(path));
    LimitFileSize(size + round * 37);  // the first round has no room at all
    const Status limited = writer->Append(TestEvent(1, static_cast<uint64_t>(acknowledged)));
    if (limited.ok()) ++acknowledged;
    if (!limited.ok() && std::filesystem::file_size(path) != size) return 99;  // something of it stayed
    LimitFileSize(RLIM_INFINITY);
    if (!writer->Append(TestEvent(1, static_cast<uint64_t>(acknowledged++))).ok()) return 98;  // space again, and refused
  }
  return writer->Close().ok() ? acknowledged : 97;
}

int Keep(const std::string& folder, uint64_t number) {
  SystemRandom random;
  const SystemClock clock;
  const NoteSigner signer = TestSigner("example.org/log");
  DirectoryStorage storage = DirectoryStorage::Open(folder + "/log").value();
  MemoryTextStore texts;
  SequencerOptions options{.tenant = IdSegment::Parse("acme").value(),
                           .node = SpiffeId::Parse("spiffe://example.org").value(),
                           .commit_interval = std::chrono::milliseconds(1),
                           .commit_records = 50};
  auto sequencer = Sequencer::Open(std::move(options), storage, folder + "/journals", TestMaster(), signer, texts, clock, random).value();
  NewJournal journal = sequencer->OpenJournal("gateway/acme").value();
  const auto writer = JournalWriter::Open(std::move(journal.fd), std::move(journal.ticket), SyncPolicy::kWritten).value();
  for (;; ++number) {
    if (!writer->Append(TestEvent(static_cast<unsigned>(number % 3), number)).ok()) return 1;
    if (::write(STDOUT_FILENO, &number, sizeof number) != sizeof number) return 1;
    if (number % 7 == 0 && !sequencer->Poll().ok()) return 2;
  }
}

}  // namespace
}  // namespace hexr::ledger::testing

int main(int argc, char** argv) {
  using namespace std::string_view_literals;
  if (argc == 4 && argv[1] == "write"sv) return hexr::ledger::testing::Write(argv[2]);
  if (argc == 4 && argv[1] == "cut"sv) return hexr::ledger::testing::Cut(argv[2]);
  if (argc == 4 && argv[1] == "keep"sv) return hexr::ledger::testing::Keep(argv[2], std::stoull(argv[3]));
  std::fputs("usage: ledger_child write|cut|keep PATH NUMBER\n", stderr);
  return 96;
}
