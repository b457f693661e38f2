#include "net/unix_peer.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/limits/identity.h"
#include "runtime/process.h"

namespace hexr::net {
namespace {

// Newer than Debian 12's headers (linux 6.5).
constexpr int kSoPassPidfd = 76;
constexpr int kSoPeerPidfd = 77;
constexpr int kScmPidfd = 0x04;

constexpr size_t kMaxRights = 253;  // SCM_MAX_FD of the kernel: as many can arrive with one message

}  // namespace

Result<PeerTier> EnablePeerEvidence(int socket, PeerTier best) {
  const int on = 1;
  if (setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) return ErrnoError("SO_PASSCRED", errno);
  if (best == PeerTier::kCredentials) return PeerTier::kCredentials;
  if (setsockopt(socket, SOL_SOCKET, kSoPassPidfd, &on, sizeof on) == 0) return PeerTier::kPidfd;
  if (errno == ENOPROTOOPT) return PeerTier::kCredentials;
  return ErrnoError("SO_PASSPIDFD", errno);
}

Result<PeerEvidence> ConnectorOf(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return ErrnoError("SO_PEERCRED", errno);
  PeerEvidence out{.pid = credentials.pid, .uid = credentials.uid, .gid = credentials.gid, .pidfd = {}};
  int pidfd = -1;
  size = sizeof pidfd;
  // Fails on kernels without it, and for a process that has gone: the lower tier is what is left then.
  if (getsockopt(socket, SOL_SOCKET, kSoPeerPidfd, &pidfd, &size) == 0) out.pidfd = runtime::UniqueFd(pidfd);
  return out;
}

Result<ReceivedBytes> ReceiveWithEvidence(int socket, std::span<uint8_t> buffer, Evidence evidence) {
  alignas(
      cmsghdr) char control[CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(sizeof(int)) + CMSG_SPACE(kMaxRights * sizeof(int))];
  iovec io{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n = 0;
  do {
    n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    if (errno == EAGAIN) return NotFound("nothing to read");
    return Unavailable(std::string("read: ") + std::strerror(errno));
  }
  ReceivedBytes out;
  out.size = static_cast<size_t>(n);
  bool named = false;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET) continue;
    const size_t size = c->cmsg_len - CMSG_LEN(0);
    if (c->cmsg_type == SCM_RIGHTS) {
      for (size_t at = 0; at + sizeof(int) <= size; at += sizeof(int)) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
        runtime::UniqueFd(fd).reset();
      }
    } else if (c->cmsg_type == kScmPidfd && size == sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
      if (fd >= 0) out.writer.pidfd = runtime::UniqueFd(fd);
    } else if (c->cmsg_type == SCM_CREDENTIALS && size == sizeof(ucred)) {
      ucred credentials{};
      std::memcpy(&credentials, CMSG_DATA(c), sizeof credentials);
      out.writer.pid = credentials.pid;
      out.writer.uid = credentials.uid;
      out.writer.gid = credentials.gid;
      named = true;
    }
  }
  if (out.size > 0 && !named && evidence == Evidence::kRequired)
    return PermissionDenied("bytes whose writer the kernel does not name");
  return out;
}

bool WriterTable::Matches(const Entry& entry, const PeerEvidence& evidence, uint64_t inode, uint64_t start_time) const {
  const PeerEvidence& known = entry.writer.evidence;
  if (known.pid != evidence.pid || known.uid != evidence.uid || known.gid != evidence.gid) return false;
  if (inode != 0 || entry.pidfd_inode != 0) return inode == entry.pidfd_inode;
  return start_time != 0 && start_time == entry.start_time;
}

Result<uint64_t> WriterTable::TagOf(PeerEvidence evidence) {
  uint64_t inode = 0;
  uint64_t start_time = 0;
  if (evidence.pidfd) {
    ASSIGN_OR_RETURN(inode, runtime::PidfdInode(evidence.pidfd.get()));
  }
  if (inode == 0 && evidence.pid > 0) {
    // A writer that has gone by now has no start time, and so is never taken for another one.
    auto started = runtime::ProcessStartTime(static_cast<pid_t>(evidence.pid));
    if (started.ok()) start_time = *started;
  }
  for (const auto& entry : entries_) {
    if (Matches(*entry, evidence, inode, start_time)) return entry->writer.tag;
  }
  if (entries_.size() >= limits::kMaxWritersPerConnection) {
    return ResourceExhausted("too many processes write on one connection");
  }
  auto entry = std::make_unique<Entry>();
  entry->writer.tag = next_tag_++;
  entry->writer.evidence = std::move(evidence);
  entry->pidfd_inode = inode;
  entry->start_time = start_time;
  entries_.push_back(std::move(entry));
  return entries_.back()->writer.tag;
}

const PeerEvidence* WriterTable::Find(uint64_t tag) const {
  const auto it = std::find_if(entries_.begin(), entries_.end(), [tag](const auto& e) { return e->writer.tag == tag; });
  return it == entries_.end() ? nullptr : &(*it)->writer.evidence;
}

}  // namespace hexr::net
