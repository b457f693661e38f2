// The keeper's end: reads the journals of one log, numbers their records, keeps their texts, publishes checkpoints.
// Every record that a journal holds reaches the log once, whatever dies in between, and everything that cannot reach
// it is a record itself: gaps, damaged and missing journals, records that break the rules. Belongs to one thread.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "base/spiffe_id.h"
#include "ledger/journal_reader.h"
#include "ledger/record_scan.h"
#include "ledger/sequencer_state.h"
#include "ledger/storage.h"
#include "ledger/text_store.h"
#include "ledger/tile_log.h"

namespace hexr::ledger {

struct SequencerOptions {
  std::optional<IdSegment> tenant;  // whose log; absent: the node's
  SpiffeId node;                    // whom the log's records about itself are about: the trust domain
  std::chrono::milliseconds commit_interval{1000};
  uint64_t commit_records = 4096;  // a checkpoint at the latest after so many, or the interval
  // Lent to the reader of the journal that is being read. Absent: one of this sequencer's own.
  std::shared_ptr<Bytes> read_buffer = nullptr;
};

class Sequencer {
 public:
  // `log`, `signer`, `texts`, `clock` and `random` outlive it. `journals` is a folder of this log's own.
  // DATA_LOSS: the log, its state and its journals do not fit together; nothing is changed then.
  static Result<std::unique_ptr<Sequencer>> Open(SequencerOptions options, Storage& log, const std::string& journals,
                                                 const crypto::Secret& master, const NoteSigner& signer,
                                                 TextStore& texts, const Clock& clock, Random& random);

  // A journal for one more process. `label` says which ("gateway/acme") and with it what may stand in it (MayRecord).
  // It is only handed out when it is also read. RESOURCE_EXHAUSTED: the label has limits::kMaxJournalsPerLabel that are
  // not in the log yet, or too many damaged ones lie aside. Any other error: nothing was made.
  Result<NewJournal> OpenJournal(std::string_view label);

  // Reads what the journals hold and publishes a checkpoint when one is due. An error (a full disk) loses nothing: the
  // next Poll does again what is left. Called often: its time is the log's delay.
  struct Progress {
    uint64_t records = 0;  // frames that were read from journals
    bool more = false;     // a journal's turn ended before the journal did: Poll again at once
    bool committed = false;
    std::optional<MonoTime> due = {};  // when what was read has to be in a checkpoint: Poll again then
  };
  Result<Progress> Poll();
  // Poll in its two halves, for who has other logs to look after in between. Read reads nothing while a commit that has
  // failed is not through.
  Result<Progress> Read();
  bool commit_due() const;
  bool commit_failed() const { return commit_failed_; }
  Status Commit();
  // Poll until the journals are read to their ends, then a checkpoint.
  Status Flush();

  TileLog& log() { return log_; }
  const TileLog& log() const { return log_; }

 private:
  struct Tail : JournalState {
    std::optional<JournalReader> reader;  // absent: closed before this start
    std::string spiffe_id;                // the last one that was checked in full
  };

  Sequencer(SequencerOptions options, DirectoryStorage folder, std::string journals, crypto::Secret master,
            crypto::AeadKey state_key, TileLog log, TextStore& texts, const Clock& clock, Random& random);
  Status Recover();
  Status AdoptJournals(const SequencerSnapshot& snapshot);
  Status AddTail(const std::string& writer, const JournalState* state);

  Status ReadTail(const std::string& writer, Tail& tail, Progress& progress);
  void TakeFrame(const std::string& writer, Tail& tail, const JournalFrame& frame);
  void TakeRecord(const std::string& writer, Tail& tail, const JournalFrame& frame);
  // Why a record cannot stand in this log; null when it can.
  const char* Objection(const std::string& writer, Tail& tail, const RecordView& view) const;
  void CloseTail(const std::string& writer, Tail& tail, Code how, uint64_t torn_bytes);
  void RecordAboutLog(Body body);
  void RecordGap(const std::string& writer, std::string_view instance, uint64_t first, uint64_t last);

  Status MakeRoomFor(std::string_view label);
  size_t JournalsOf(std::string_view label) const;
  Status RemoveClosed();
  std::string Snapshot() const;
  std::string JournalPath(const std::string& writer) const { return journals_ + "/" + writer + ".journal"; }

  const SequencerOptions options_;
  const std::shared_ptr<Bytes> read_buffer_;
  DirectoryStorage folder_;
  const std::string journals_;
  const crypto::Secret master_;
  const crypto::AeadKey state_key_;
  TileLog log_;
  TextStore& texts_;
  const Clock& clock_;
  Random& random_;

  std::string own_writer_;  // this life of the sequencer, as a writer of the log
  uint64_t own_count_ = 0;
  std::map<std::string, Tail> tails_;
  std::string committed_;                             // the snapshot of the last checkpoint
  std::map<std::string, JournalEnd> committed_ends_;  // and how its journals were, by writer
  std::vector<StoredText> pending_texts_;
  size_t pending_text_bytes_ = 0;
  std::optional<MonoTime> pending_since_;
  std::optional<MonoTime> committed_at_;
  bool commit_failed_ = false;
  std::string entry_;  // reused for each record
};

}  // namespace hexr::ledger
