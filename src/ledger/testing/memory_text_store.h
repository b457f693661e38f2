// A text store for tests.
#pragma once

#include <map>

#include "ledger/text_store.h"

namespace hexr::ledger::testing {

class MemoryTextStore final : public TextStore {
 public:
  bool full = false;

  Status Put(const std::vector<StoredText>& texts) override {
    if (full) return ResourceExhausted("write texts: No space left on device");
    for (const StoredText& text : texts) texts_.emplace(text.digest, text);
    return Ok();
  }
  Result<StoredText> Get(const crypto::Sha256Digest& digest) const override {
    const auto at = texts_.find(digest);
    if (at == texts_.end()) return NotFound("no such text");
    return at->second;
  }
  Result<uint64_t> Erase(const crypto::Sha256Digest& digest) override { return texts_.erase(digest); }
  Result<uint64_t> EraseInstance(const InstanceId& instance) override {
    return std::erase_if(texts_, [&](const auto& text) { return text.second.instance == instance.value(); });
  }
  Result<uint64_t> EraseBefore(WallTime time) override {
    return std::erase_if(texts_, [&](const auto& text) { return text.second.time < time; });
  }

 private:
  std::map<crypto::Sha256Digest, StoredText> texts_;
};

}  // namespace hexr::ledger::testing
