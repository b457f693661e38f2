#include "identity/socket_evidence.h"

#include <fcntl.h>

#include <cerrno>

namespace hexr::identity {

Result<std::string> OwnerOf(Core& core, const net::PeerEvidence& connector) {
  ProcessEvidence evidence{connector.pid, {{connector.uid, connector.gid}}, {}};
  if (connector.pidfd) evidence.pidfd = runtime::UniqueFd(::fcntl(connector.pidfd.get(), F_DUPFD_CLOEXEC, 0));
  ASSIGN_OR_RETURN(const auto instance, core.InstanceOf(evidence));
  return instance ? instance->value() : std::string();
}

Result<ProcessEvidence> SocketEvidence::EvidenceOf(wire::WriterTag writer) const {
  if (server_ == nullptr) return Unavailable("the node is starting");
  ASSIGN_OR_RETURN(const net::WriterEvidence seen, server_->EvidenceOf(writer));
  ProcessEvidence evidence{seen.pid, {{seen.uid, seen.gid}}, {}, writer};
  if (seen.pidfd >= 0) {
    evidence.pidfd = runtime::UniqueFd(::fcntl(seen.pidfd, F_DUPFD_CLOEXEC, 0));
    if (!evidence.pidfd) return ErrnoError("dup pidfd", errno);
  }
  return evidence;
}

}  // namespace hexr::identity
