// Reads a log's files at one size: hashes for proofs, entries for people. What it returns is what the files say; only
// a proof or `verify` says that it is true. Belongs to one thread.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "ledger/checkpoint.h"
#include "ledger/merkle.h"
#include "ledger/storage.h"

namespace hexr::ledger {

class LogReader final : public HashSource {
 public:
  // `storage` outlives the reader. `size` is that of a checkpoint: only then are its partial tiles there.
  LogReader(const Storage& storage, uint64_t size) : storage_(storage), size_(size) {}

  uint64_t size() const { return size_; }
  Result<Hash> Subtree(unsigned level, uint64_t index) const override;
  // OUT_OF_RANGE beyond the size, DATA_LOSS when a file is missing or cut.
  Result<std::string> Entry(uint64_t index) const;
  // Bundle `index` whole: its file's bytes, and how many entries of it belong to this size.
  struct Bundle {
    Bytes bytes;
    unsigned width = 0;
  };
  Result<Bundle> ReadBundle(uint64_t index) const;
  Result<std::vector<Hash>> ReadTile(unsigned level, uint64_t index) const;

 private:
  using Key = std::pair<unsigned, uint64_t>;
  // The file for this width or, when it has become full since, the full one.
  Result<Bytes> ReadEither(const std::string& partial, const std::string& full, size_t max_bytes) const;

  const Storage& storage_;
  uint64_t size_;
  // The tiles read last, newest first: a proof touches a handful, and one tile many times.
  mutable std::list<std::pair<Key, std::vector<Hash>>> recent_;
};

// The checkpoint that a log publishes now. NOT_FOUND: no log here. PERMISSION_DENIED: not signed by this key.
Result<VerifiedCheckpoint> ReadCheckpoint(const Storage& storage, const VerifierKey& log_key);

// The notes of a history file, in order.
struct History {
  std::vector<std::string_view> notes;
  bool torn = false;  // it ends inside a note: a crash or a full disk while it was written
};
History SplitHistory(std::string_view text);
inline constexpr size_t kMaxHistoryBytes = 256 * 1024 * 1024;  // of one day

}  // namespace hexr::ledger
