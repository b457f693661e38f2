#include "identity/socket_evidence.h"

#include <fcntl.h>

#include <cerrno>

namespace hexr::identity {

Result<ProcessEvidence> SocketEvidence::EvidenceOf(wire::WriterTag writer) const {
  if (server_ == nullptr) return Unavailable("the node is starting");
  ASSIGN_OR_RETURN(const net::WriterEvidence seen, server_->EvidenceOf(writer));
  ProcessEvidence evidence{seen.pid, {{seen.uid, seen.gid}}, {}};
  if (seen.pidfd >= 0) {
    evidence.pidfd = runtime::UniqueFd(::fcntl(seen.pidfd, F_DUPFD_CLOEXEC, 0));
    if (!evidence.pidfd) return ErrnoError("dup pidfd", errno);
  }
  return evidence;
}

}  // namespace hexr::identity
