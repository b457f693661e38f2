// The text store of one tenant: one SQLite file, each text sealed under the tenant's own key for its own digest.
// Erased rows are overwritten (secure_delete) and leave the write-ahead log with the call that erases them.
#pragma once

#include <string>

#include "base/random.h"
#include "base/result.h"
#include "crypto/aead.h"
#include "ledger/text_store.h"
#include "store/database.h"

namespace hexr::ledger {

class SealedTextStore final : public TextStore {
 public:
  // `random` outlives the store. `tenant` is mixed into every seal: a file of another tenant does not open.
  static Result<SealedTextStore> Open(const store::DatabaseOptions& options, std::string tenant, crypto::AeadKey key,
                                      Random& random);

  Status Put(const std::vector<StoredText>& texts) override;
  Result<StoredText> Get(const crypto::Sha256Digest& digest) const override;
  Result<uint64_t> Erase(const crypto::Sha256Digest& digest) override;
  Result<uint64_t> EraseInstance(const InstanceId& instance) override;
  Result<uint64_t> EraseBefore(WallTime time) override;

 private:
  SealedTextStore(store::Database db, std::string tenant, crypto::AeadKey key, Random& random)
      : db_(std::move(db)), tenant_(std::move(tenant)), key_(std::move(key)), random_(&random) {}
  std::string Context(const crypto::Sha256Digest& digest) const;
  Result<uint64_t> RunErase(store::Statement& statement);

  mutable store::Database db_;
  std::string tenant_;
  crypto::AeadKey key_;
  Random* random_;
};

}  // namespace hexr::ledger
