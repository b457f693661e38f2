// A checkpoint: what a log commits to at one size. Source: C2SP tlog-checkpoint. Value; thread-compatible.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ledger/merkle.h"
#include "ledger/note.h"

namespace hexr::ledger {

struct Checkpoint {
  std::string origin;  // the log's name, not empty
  uint64_t size = 0;
  Hash root = {};
  std::vector<std::string> extensions;  // ours have none; others' are kept as they are

  // The text of a note: origin, size, base64 of the root, extensions, a newline after each.
  std::string ToText() const;
  // INVALID_ARGUMENT for any other form: there is one text for one checkpoint.
  static Result<Checkpoint> Parse(std::string_view text);
  bool operator==(const Checkpoint&) const = default;
};

// A checkpoint that the log's own key has signed. Only Verify makes one.
class VerifiedCheckpoint {
 public:
  // PERMISSION_DENIED: not signed by `log_key`, or another log's (origin is the key's name).
  static Result<VerifiedCheckpoint> Verify(std::string_view note, const VerifierKey& log_key);

  const Checkpoint& checkpoint() const { return checkpoint_; }
  const Note& note() const { return note_; }

 private:
  VerifiedCheckpoint(Checkpoint checkpoint, Note note) : checkpoint_(std::move(checkpoint)), note_(std::move(note)) {}
  Checkpoint checkpoint_;
  Note note_;
};

// Decimal without leading zeros, at most 2^63-1: how sizes and indexes are written in all C2SP texts.
Result<uint64_t> ParseTreeSize(std::string_view text);
// Base64 of exactly 32 bytes.
Result<Hash> ParseHash(std::string_view text);

}  // namespace hexr::ledger
