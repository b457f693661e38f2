// Witnesses: somebody else who remembers how far a log had come, and signs for it. Both ends, without I/O.
// Source: C2SP tlog-witness (c2sp.org/tlog-witness), tlog-cosignature.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/limits/ledger.h"
#include "base/mutex.h"
#include "base/result.h"
#include "ledger/checkpoint.h"
#include "ledger/merkle.h"
#include "ledger/note.h"
#include "ledger/storage.h"
#include "ledger/tile_log.h"

namespace hexr::ledger {

// The body of POST /add-checkpoint.
struct AddCheckpointRequest {
  uint64_t old_size = 0;
  Proof proof;
  std::string checkpoint;  // a signed note

  std::string ToBody() const;
  // INVALID_ARGUMENT: another form. RESOURCE_EXHAUSTED: over limits::kMaxAddCheckpointBytes.
  static Result<AddCheckpointRequest> Parse(std::string_view body);
};

struct WitnessAnswer {
  int status = 500;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// A witness. Its memory is a storage of its own: one file a log, replaced as a whole, on disk before a cosignature
// leaves. Thread-safe; calls are answered one after the other, so that no two can race past the same size.
class Witness {
 public:
  // `logs`: the keys it knows, several of one name allowed. All references outlive it. The key of `signer` is of type
  // kCosignatureV1.
  static Result<Witness> Open(Storage& state, const NoteSigner& signer, std::vector<VerifierKey> logs,
                              const Clock& clock);

  // Answers POST /add-checkpoint: 200 with the cosignature, 400 form, 403 not signed by the log, 404 unknown log,
  // 409 another size (it is the body), or another root at the same size, 413 too large, 422 the log is not consistent
  // with what was seen before, 500 the state could not be written: nothing is signed then.
  WitnessAnswer AddCheckpoint(std::string_view body);

  // The last checkpoint it cosigned for a log, with the cosignature: what an auditor asks for (`verify --witness`).
  // NOT_FOUND: none yet.
  Result<std::string> Latest(std::string_view origin) const;
  const VerifierKey& key() const { return signer_->verifier(); }

  Witness(Witness&& other) noexcept
      : state_(other.state_), signer_(other.signer_), logs_(std::move(other.logs_)), clock_(other.clock_) {}

 private:
  Witness(Storage& state, const NoteSigner& signer, std::vector<VerifierKey> logs, const Clock& clock)
      : state_(&state), signer_(&signer), logs_(std::move(logs)), clock_(&clock) {}
  Result<std::optional<Checkpoint>> Remembered(std::string_view origin) const;

  mutable Mutex mutex_;
  Storage* state_;
  const NoteSigner* signer_;
  std::vector<VerifierKey> logs_;
  const Clock* clock_;
};

// The log's end: which witness has seen how much, and what to send to it next. One object a witness; belongs to the
// thread of its log.
class WitnessClient {
 public:
  explicit WitnessClient(VerifierKey witness) : witness_(std::move(witness)) {}

  const VerifierKey& witness() const { return witness_; }
  // The size that this witness cosigned last, as far as we know.
  uint64_t cosigned_size() const { return cosigned_size_; }

  // The body to POST for the published checkpoint; empty when the witness has cosigned it already.
  Result<std::string> NextRequest(const TileLog& log, const Storage& storage);
  // What came back for it. True: the cosignature is in the log's checkpoint and history. False: the witness is at
  // another size than we thought; ask for NextRequest again. PERMISSION_DENIED: refused, or an answer that is not this
  // witness's signature. UNAVAILABLE: try later.
  Result<bool> TakeAnswer(TileLog& log, int status, std::string_view body);

 private:
  VerifierKey witness_;
  uint64_t cosigned_size_ = 0;
  std::optional<Note> asked_;
};

}  // namespace hexr::ledger
