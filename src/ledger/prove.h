// Single records, with proof: what `show`, `tail`, `prove` and `export` stand on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ledger/checkpoint.h"
#include "ledger/note.h"
#include "ledger/storage.h"
#include "ledger/types.h"

namespace hexr::ledger {

// Record `index` as published, checked by an inclusion proof against the signed checkpoint.
// OUT_OF_RANGE: no such record. DATA_LOSS: the files do not prove it.
Result<Record> ReadRecord(const Storage& log, const VerifierKey& log_key, uint64_t index);
// Records [from, from + max) or as many as there are, each checked as above.
Result<std::vector<Record>> ReadRecords(const Storage& log, const VerifierKey& log_key, uint64_t from, uint64_t max);

// A record with all that shows that it is in the log, in one text (C2SP tlog-proof@v1, the record as its extra data).
Result<std::string> Prove(const Storage& log, const VerifierKey& log_key, uint64_t index);

struct ProvenRecord {
  Record record;
  Checkpoint checkpoint;
  std::vector<std::string> witnesses;  // names of those of the given ones that cosigned the checkpoint
};
// Needs nothing but the text and the keys. PERMISSION_DENIED: not signed by the log, or by fewer than `needed` of the
// witnesses. DATA_LOSS: the proof does not lead from the record to the checkpoint. INVALID_ARGUMENT: no such text.
Result<ProvenRecord> VerifyProof(std::string_view proof, const VerifierKey& log_key,
                                 const std::vector<VerifierKey>& witnesses, size_t needed);

// Copies the log at its published size, with its history and key: what VerifyLog needs. `to` is empty. The copy is
// as good or bad as the original: verify it.
Status Export(const Storage& log, const VerifierKey& log_key, Storage& to);

}  // namespace hexr::ledger
