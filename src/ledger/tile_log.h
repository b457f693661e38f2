// The writer of one log: entries in, tiles and signed checkpoints out. One writer a log; belongs to one thread.
//
// Order on disk: tiles and bundles first, synced, then the checkpoint that needs them, by rename. A crash at any point
// leaves the last checkpoint with all its tiles; whatever was beyond it comes again from the journals.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "ledger/checkpoint.h"
#include "ledger/merkle.h"
#include "ledger/note.h"
#include "ledger/storage.h"
#include "ledger/tree_edge.h"

namespace hexr::ledger {

class TileLog {
 public:
  // Continues the log in `storage`, or begins one with an empty checkpoint. All three outlive the log.
  // DATA_LOSS: tiles without a checkpoint, or tiles that do not lead to the root of the checkpoint.
  // PERMISSION_DENIED: a checkpoint that `signer` has not signed.
  static Result<TileLog> Open(Storage& storage, const NoteSigner& signer, const Clock& clock);

  // With what is not committed yet.
  uint64_t size() const { return edge_.size(); }
  uint64_t pending() const { return size() - committed_.size; }
  // The last published checkpoint and its note, cosignatures included.
  const Checkpoint& committed() const { return committed_; }
  const Note& committed_note() const { return note_; }

  // Adds an entry of at most kMaxEntryBytes, in memory.
  void Append(ByteView entry);
  // Writes everything, signs and publishes a checkpoint. On an error nothing is published, nothing is lost from
  // memory, and a later Commit does the work again: a full disk is waited out. No entries since the last: OK, nothing.
  Status Commit();
  // Adds a witness's line to the note of `checkpoint` and keeps that note in the history; when it is still the
  // published one, publishes it with the line. The caller has verified the signature.
  Status AddCosignatures(const Note& checkpoint);

 private:
  TileLog(Storage& storage, const NoteSigner& signer, const Clock& clock, Checkpoint committed, Note note);
  Status Recover();
  Status WriteTiles();
  Status RemovePartials(const std::vector<std::string>& folders);
  Status AppendHistory(const std::string& note);

  Storage* storage_;
  const NoteSigner* signer_;
  const Clock* clock_;
  Checkpoint committed_;
  Note note_;
  TreeEdge edge_;
  uint64_t tiles_on_disk_ = 0;  // the size whose tiles are all written and synced
  Bytes bundle_;                // the entries of the last, partial bundle
  // Tiles and bundles that became full and are not on disk, and the folders of their partial forms.
  std::vector<Storage::File> full_;
  std::vector<std::string> superseded_;
  std::optional<MonoTime> history_kept_;
  bool history_may_be_torn_ = true;  // by a crash before this start, or by a failed append
};

}  // namespace hexr::ledger
