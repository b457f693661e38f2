// The process that ledger_test limits and kills.
//
//   ledger_child write PATH 0  appends to a new journal for ever; each acknowledged number goes to stdout, 8 bytes
//   ledger_child cut PATH 0    appends to a new journal under file size limits; exits with the number acknowledged
//   ledger_child keep DIR N    is a keeper and a gateway in one: appends from number N on and sequences, for ever;
//                              each acknowledged number goes to stdout
//   ledger_child log DIR N     writes a log of N records and more, cosigned halfway, with a proof of a record
//   (DIR/proof),
//                              the request to the witness (DIR/request) and the witness's key (DIR/witness.vkey)
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>

#include "ledger/journal_writer.h"
#include "ledger/prove.h"
#include "ledger/sequencer.h"
#include "ledger/testing/events.h"
#include "ledger/testing/memory_text_store.h"
#include "ledger/witness.h"

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
    if (!writer->Append(TestEvent(1, static_cast<uint64_t>(acknowledged++))).ok())
      return 98;  // space again, and refused
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
  auto sequencer =
      Sequencer::Open(std::move(options), storage, folder + "/journals", TestMaster(), signer, texts, clock, random)
          .value();
  NewJournal journal = sequencer->OpenJournal("gateway/acme").value();
  const auto writer =
      JournalWriter::Open(std::move(journal.fd), std::move(journal.ticket), SyncPolicy::kWritten).value();
  for (;; ++number) {
    if (!writer->Append(TestEvent(static_cast<unsigned>(number % 3), number)).ok()) return 1;
    if (::write(STDOUT_FILENO, &number, sizeof number) != sizeof number) return 1;
    if (number % 7 == 0 && !sequencer->Poll().ok()) return 2;
  }
}

Status WriteLog(const std::string& folder, uint64_t records) {
  SystemRandom random;
  const SystemClock clock;
  const NoteSigner signer = TestSigner("example.org/log");
  const NoteSigner cosigner = TestSigner("witness.example/w", NoteKeyType::kCosignatureV1, 5);
  ASSIGN_OR_RETURN(DirectoryStorage out, DirectoryStorage::Open(folder));
  ASSIGN_OR_RETURN(DirectoryStorage storage, DirectoryStorage::Open(folder + "/log"));
  ASSIGN_OR_RETURN(DirectoryStorage memory, DirectoryStorage::Open(folder + "/witness"));
  ASSIGN_OR_RETURN(Witness witness, Witness::Open(memory, cosigner, {signer.verifier()}, clock));
  MemoryTextStore texts;
  SequencerOptions options{.tenant = IdSegment::Parse("acme").value(),
                           .node = SpiffeId::Parse("spiffe://example.org").value()};
  ASSIGN_OR_RETURN(auto sequencer, Sequencer::Open(std::move(options), storage, folder + "/journals", TestMaster(),
                                                   signer, texts, clock, random));
  ASSIGN_OR_RETURN(NewJournal journal, sequencer->OpenJournal("gateway/acme"));
  ASSIGN_OR_RETURN(auto writer,
                   JournalWriter::Open(std::move(journal.fd), std::move(journal.ticket), SyncPolicy::kWritten));
  WitnessClient client(cosigner.verifier());
  for (uint64_t i = 0; i < records; ++i) {
    RETURN_IF_ERROR(writer->Append(TestEvent(static_cast<unsigned>(i % 5), i)));
    if (i != records / 2 && i + 1 != records) continue;
    RETURN_IF_ERROR(sequencer->Flush());
    ASSIGN_OR_RETURN(const std::string request, client.NextRequest(sequencer->log(), storage));
    RETURN_IF_ERROR(out.Replace("request", AsBytes(request)));
    const WitnessAnswer answer = witness.AddCheckpoint(request);
    ASSIGN_OR_RETURN(const bool cosigned, client.TakeAnswer(sequencer->log(), answer.status, answer.body));
    if (!cosigned) return Internal("the witness is elsewhere");
  }
  ASSIGN_OR_RETURN(const std::string proof, Prove(storage, signer.verifier(), records / 3));
  RETURN_IF_ERROR(out.Replace("proof", AsBytes(proof)));
  return out.Replace("witness.vkey", AsBytes(cosigner.verifier().ToString() + "\n"));
}

}  // namespace
}  // namespace hexr::ledger::testing

int main(int argc, char** argv) {
  using namespace std::string_view_literals;
  if (argc == 4 && argv[1] == "write"sv) return hexr::ledger::testing::Write(argv[2]);
  if (argc == 4 && argv[1] == "cut"sv) return hexr::ledger::testing::Cut(argv[2]);
  if (argc == 4 && argv[1] == "keep"sv) return hexr::ledger::testing::Keep(argv[2], std::stoull(argv[3]));
  if (argc == 4 && argv[1] == "log"sv) {
    const hexr::Status status = hexr::ledger::testing::WriteLog(argv[2], std::stoull(argv[3]));
    if (!status.ok()) std::fprintf(stderr, "%s\n", status.error().ToString().c_str());
    return status.ok() ? 0 : 1;
  }
  std::fputs("usage: ledger_child write|cut|keep|log PATH NUMBER\n", stderr);
  return 96;
}
