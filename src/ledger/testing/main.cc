// The process that ledger_test limits and kills.
//
//   ledger_child write PATH   appends to a new journal for ever; each acknowledged number goes to stdout, 8 bytes
//   ledger_child cut PATH     appends to a new journal under file size limits; exits with the number acknowledged
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string_view>

#include "ledger/journal_writer.h"
#include "ledger/testing/events.h"

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

}  // namespace
}  // namespace hexr::ledger::testing

int main(int argc, char** argv) {
  using namespace std::string_view_literals;
  if (argc == 3 && argv[1] == "write"sv) return hexr::ledger::testing::Write(argv[2]);
  if (argc == 3 && argv[1] == "cut"sv) return hexr::ledger::testing::Cut(argv[2]);
  std::fputs("usage: ledger_child write|cut PATH\n", stderr);
  return 96;
}
