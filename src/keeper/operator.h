// Who asks for an operator's command, by the kernel's word.
#pragma once

#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "identity/digest_cache.h"
#include "identity/process.h"
#include "ledger/types.h"
#include "runtime/unique_fd.h"

namespace hexr::keeper {

struct Operator {
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t pid = 0;
  std::shared_ptr<const runtime::UniqueFd> pidfd;
};

// Names operators in records: {"uid", "pid", "exe_sha256"}, the last where it is known. Belongs to the keeper's loop.
class OperatorNames {
 public:
  // Both outlive it.
  OperatorNames(const identity::ProcessReader& reader, const Clock& clock) : reader_(reader), digests_(clock) {}

  // `may_read`: a program that was not seen before is read for its digest, which takes milliseconds.
  ledger::Body Name(const Operator& who, bool may_read);

 private:
  const identity::ProcessReader& reader_;
  identity::DigestCache digests_;
};

}  // namespace hexr::keeper
