#include "runtime/packet.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/limits/messages.h"

#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif

namespace hexr::runtime {

Result<std::pair<UniqueFd, UniqueFd>> MakePacketPair() {
  int fds[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
    return ErrnoError("socketpair", errno);
  return std::pair(UniqueFd(fds[0]), UniqueFd(fds[1]));
}

Status SendPacket(int socket, ByteView data, std::span<const int> fds, bool* would_block) {
  if (would_block != nullptr) *would_block = false;
  if (data.empty()) return InvalidArgument("packet: empty");
  if (data.size() > limits::kMaxInlineMessageBytes) return ResourceExhausted("packet: over the limit for one message");
  if (fds.size() > limits::kMaxMessageFds) return ResourceExhausted("packet: too many descriptors");
  alignas(
      cmsghdr) char control[CMSG_SPACE(sizeof(int) * limits::kMaxMessageFds)] = {};  // its padding goes to the kernel
  iovec v{const_cast<uint8_t*>(data.data()), data.size()};
  msghdr m{};
  m.msg_iov = &v;
  m.msg_iovlen = 1;
  if (!fds.empty()) {
    m.msg_control = control;
    m.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
  }
  for (;;) {
    if (sendmsg(socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return Ok();
    if (errno == EINTR) continue;
    if (would_block != nullptr) *would_block = errno == EAGAIN || errno == EWOULDBLOCK;
    return ErrnoError("send", errno);
  }
}

Result<Packet> ReceivePacket(int socket) {
  Packet p;
  uint8_t buffer[limits::kMaxInlineMessageBytes];  // on the stack, uninitialised: most messages are small
  alignas(cmsghdr) char
      control[CMSG_SPACE(sizeof(int) * limits::kMaxMessageFds) + CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(sizeof(int))];
  iovec v{buffer, sizeof buffer};
  msghdr m{};
  m.msg_iov = &v;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  ssize_t n = 0;
  // ECONNRESET, once: the peer has gone and left something of ours unread. What it said before that is there still.
  do {
    n = recvmsg(socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (n < 0 && (errno == EINTR || errno == ECONNRESET));
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return NotFound("receive: nothing there");
  if (n < 0) return ErrnoError("receive", errno);
  p.data.assign(buffer, buffer + n);
  explicit_bzero(buffer, static_cast<size_t>(n));  // some messages hold secrets
  // Descriptors first: whatever is wrong with the message, none may leak.
  for (cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
    if (c->cmsg_level != SOL_SOCKET) continue;
    const size_t bytes = c->cmsg_len - CMSG_LEN(0);
    if (c->cmsg_type == SCM_RIGHTS) {
      for (size_t i = 0; i + sizeof(int) <= bytes; i += sizeof(int)) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(c) + i, sizeof fd);
        p.fds.emplace_back(fd);
      }
    } else if (c->cmsg_type == SCM_PIDFD && bytes >= sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c), sizeof fd);
      p.sender_pidfd = UniqueFd(fd);
    } else if (c->cmsg_type == SCM_CREDENTIALS && bytes >= sizeof(ucred)) {
      ucred cred{};
      std::memcpy(&cred, CMSG_DATA(c), sizeof cred);
      p.sender_pid = cred.pid;
      p.sender_uid = cred.uid;
    }
  }
  if (n == 0) return Unavailable("receive: the peer has gone");
  if ((m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return DataLoss("receive: message over the limit");
  return p;
}

}  // namespace hexr::runtime
