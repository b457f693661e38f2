// The certificates that are out, in a file of their own: with the kernel before they leave, so that the next keeper can
// revoke what this one issued. In plain text: the log says the same of each. Belongs to the keeper's loop.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "identity/svid_keeper.h"
#include "store/database.h"

namespace hexr::keeper {

class OutCertificates final : public identity::OutStore {
 public:
  static Result<OutCertificates> Open(const std::string& path, const Clock& clock);

  Status Add(const identity::OutCertificate& certificate) override;
  Status Revoked(ByteView serial, WallTime at) override;
  Result<std::vector<identity::OutCertificate>> Load() override;

 private:
  OutCertificates(store::Database db, store::Statement add, store::Statement revoke, const Clock& clock)
      : db_(std::move(db)), add_(std::move(add)), revoke_(std::move(revoke)), clock_(&clock) {}
  Status RemoveEnded();

  store::Database db_;
  store::Statement add_, revoke_;  // before db_ goes
  const Clock* clock_;
  uint64_t added_ = 0;
};

}  // namespace hexr::keeper
