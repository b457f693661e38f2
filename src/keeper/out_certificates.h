// The certificates that are out, in a file of their own: with the kernel before they leave, so that the next keeper can
// revoke what this one issued. Each row is sealed for its place, under a key of the keeper's; when it ends stands in
// clear. Rows are numbered and revocations counted: one that is taken out is missed. What is not found out: a file that
// was put back as it once was, or cut at its end, after the last revocation and sweep. Belongs to the keeper's loop.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "identity/svid_keeper.h"
#include "store/database.h"

namespace hexr::keeper {

class OutCertificates final : public identity::OutStore {
 public:
  // `key`: 32 bytes, of this file alone.
  static Result<OutCertificates> Open(const std::string& path, crypto::Secret key, const Clock& clock, Random& random);

  // Load comes first: it knows the numbers.
  Status Add(const identity::OutCertificate& certificate) override;
  Status Revoked(ByteView serial, WallTime at) override;
  // DATA_LOSS: the file is not as it was left. FAILED_PRECONDITION: it was sealed under another key.
  Result<std::vector<identity::OutCertificate>> Load() override;

 private:
  struct Statements {
    store::Statement add, revoke, set_head;
  };
  struct Head {
    uint64_t removed = 0;
    int64_t removed_until = 0;
    uint64_t removed_last = 0;
    uint64_t last = 0;
    uint64_t revocations = 0;
  };
  OutCertificates(std::string path, store::Database db, Statements statements, crypto::AeadKey key,
                  crypto::Secret serial_key, const Clock& clock, Random& random)
      : path_(std::move(path)),
        db_(std::move(db)),
        statements_(std::move(statements)),
        key_(std::move(key)),
        serial_key_(std::move(serial_key)),
        clock_(&clock),
        random_(&random) {}
  crypto::Sha256Digest DigestOf(ByteView serial) const;
  Result<std::vector<identity::OutCertificate>> ReadAll();
  Result<std::optional<Head>> ReadHead();
  Status WriteHead(const Head& head);
  Status RemoveEnded();
  Result<bool> TakeOverPlainRows();  // from releases that did not seal; whether there were any
  Error Changed(std::string_view what) const;

  std::string path_;
  store::Database db_;
  Statements statements_;  // before db_ goes
  crypto::AeadKey key_;
  crypto::Secret serial_key_;
  const Clock* clock_;
  Random* random_;
  Head head_;
  bool loaded_ = false;
  uint64_t added_ = 0;
};

}  // namespace hexr::keeper
