// Where the texts behind salted digests are kept, apart from the log, so that they can be erased: the log stays valid,
// and a digest whose salt is gone says nothing about its text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "ledger/types.h"

namespace hexr::ledger {

struct StoredText {
  crypto::Sha256Digest digest{};
  SaltedText::Salt salt{};
  std::string text;
  WallTime time{};
  std::string instance;  // empty where the record names none
};

// Belongs to one thread.
class TextStore {
 public:
  virtual ~TextStore() = default;
  // All of them, on disk when OK; none on an error. A digest that is there already stays as it is.
  virtual Status Put(const std::vector<StoredText>& texts) = 0;
  // NOT_FOUND: never kept, or erased. DATA_LOSS: kept, and not what the digest says.
  virtual Result<StoredText> Get(const crypto::Sha256Digest& digest) const = 0;
  // How many were erased. Salt and text are gone from the disk, as far as a file system can say so.
  virtual Result<uint64_t> Erase(const crypto::Sha256Digest& digest) = 0;
  virtual Result<uint64_t> EraseInstance(const InstanceId& instance) = 0;
  virtual Result<uint64_t> EraseBefore(WallTime time) = 0;
};

}  // namespace hexr::ledger
