#include "keeper/operator.h"

#include <fcntl.h>

namespace hexr::keeper {

ledger::Body OperatorNames::Name(const Operator& who, bool may_read) {
  ledger::Body body;
  body.Set("uid", who.uid).Set("pid", who.pid);
  if (!who.pidfd) return body;
  identity::ProcessEvidence evidence{.pid = who.pid, .owner = {{who.uid, who.gid}}, .pidfd = {}};
  evidence.pidfd = runtime::UniqueFd(fcntl(who.pidfd->get(), F_DUPFD_CLOEXEC, 0));
  const auto facts = reader_.Read(evidence);
  if (!facts.ok() || !facts->exe_file || !facts->exe_fd) return body;
  if (const auto* known = digests_.Find(*facts->exe_file)) {
    body.Set("exe_sha256", *known);
  } else if (may_read) {
    const auto digest = digests_.DigestOf(facts->exe_fd.get(), *facts->exe_file);
    if (digest.ok()) body.Set("exe_sha256", *digest);
  }
  return body;
}

}  // namespace hexr::keeper
