// How far the sequencer has read each journal, as of a size of the log. It is written, sealed, before the checkpoint
// of that size, together with the one before: whichever checkpoint a crash leaves has its state.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "crypto/aead.h"
#include "ledger/journal_reader.h"

namespace hexr::ledger {

enum class JournalEnd : uint8_t {
  kOpen,      // read on
  kRemove,    // its end is in the log: the file only waits to be removed
  kPutAside,  // its end is in the log, and not all of it could be read: the file is kept for people
};

struct JournalState {
  std::string label;
  JournalPosition position;
  JournalEnd end = JournalEnd::kOpen;
  std::map<std::string, uint64_t, std::less<>> counts;  // instance → records so far
  bool operator==(const JournalState&) const = default;
};

struct SequencerSnapshot {
  uint64_t log_size = 0;
  std::map<std::string, JournalState> journals;  // by writer
  bool operator==(const SequencerSnapshot&) const = default;
};

// A snapshot's text, journal by journal in the order of their writers.
std::string BeginSnapshot(uint64_t log_size);
void AddJournal(std::string_view writer, const JournalState& journal, std::string& snapshot);

// `snapshots`: such texts, one behind the other. `log` is the log's origin: a state opens for its own log only.
Bytes SealSnapshots(std::string_view snapshots, const crypto::AeadKey& key, std::string_view log, Random& random);
// DATA_LOSS: not sealed by this key for this log, or of another form.
Result<std::vector<SequencerSnapshot>> OpenSnapshots(ByteView sealed, const crypto::AeadKey& key, std::string_view log);

}  // namespace hexr::ledger
