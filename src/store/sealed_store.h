// Named secrets in one SQLite file, of which a thief of the disk learns the number and the sizes.
//
//   machine key ── wraps ──▶ data key ── seals ──▶ every name and every value
//
// A row is sealed for its own place (this store, collection, name): swapped, copied or renamed rows do not open. Names
// are looked up by a keyed digest, so that a file says nothing about who its rows belong to. What is not defended:
// whoever can write the file can put back a whole older copy of a row or of the file. One thread at a time.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/secret.h"
#include "store/database.h"

namespace hexr::store {

class SealedStore {
 public:
  // Opens or makes the file. FAILED_PRECONDITION: it was sealed under another machine key.
  static Result<SealedStore> Open(const DatabaseOptions& options, const crypto::AeadKey& machine_key, Random& random);

  // Adds or replaces. INVALID_ARGUMENT: an empty or too long name or collection, too large a value (limits/storage.h).
  Status Put(std::string_view collection, std::string_view name, const crypto::Secret& value);
  // NOT_FOUND: no such name. DATA_LOSS: the row was changed or belongs elsewhere.
  Result<crypto::Secret> Get(std::string_view collection, std::string_view name);
  // NOT_FOUND: no such name.
  Status Delete(std::string_view collection, std::string_view name);
  // Names of a collection, sorted. DATA_LOSS as for Get.
  Result<std::vector<std::string>> List(std::string_view collection);
  Result<int64_t> Count(std::string_view collection);

  // Several changes, or none.
  Result<Transaction> Begin() { return db_.Begin(); }

  Database& database() { return db_; }

 private:
  SealedStore(Database db, std::array<uint8_t, 16> id, crypto::AeadKey data_key, crypto::Secret name_key,
              Random& random)
      : db_(std::move(db)), id_(id), data_key_(std::move(data_key)), name_key_(std::move(name_key)), random_(&random) {}

  struct Row {
    crypto::Sha256Digest digest;  // stands for the name in the file
    std::string place;            // what the row is sealed for
  };
  Result<Row> RowOf(std::string_view collection, std::string_view name) const;

  Database db_;
  std::array<uint8_t, 16> id_;
  crypto::AeadKey data_key_;
  crypto::Secret name_key_;
  Random* random_;
};

}  // namespace hexr::store
