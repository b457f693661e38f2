#include "net/grpc_unix_server.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "runtime/process.h"

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif
#ifndef SCM_PIDFD
#define SCM_PIDFD 0x04
#endif

namespace hexr::net {

using runtime::UniqueFd;

namespace {
constexpr size_t kReadBytes = 64 * 1024;
constexpr size_t kWriteBytes = 64 * 1024;
}  // namespace

struct GrpcUnixServer::Writer {
  ucred cred{};
  UniqueFd pidfd;
  uint64_t inode = 0;  // of the pidfd; 0 where the kernel has none: then the credentials alone tell writers apart
};

struct GrpcUnixServer::Connection {
  uint64_t id = 0;
  uint32_t user = 0;  // who connected: for the per-user bound
  UniqueFd fd;
  std::unique_ptr<wire::GrpcConnection> grpc;
  std::map<wire::WriterTag, std::unique_ptr<Writer>> writers;
  std::string unsent;  // of what was taken from grpc and the socket did not take
  bool flush_posted = false;
  runtime::FdWatch watch;
  runtime::Timer deadline;
};

GrpcUnixServer::GrpcUnixServer(runtime::Loop& loop, const Clock& clock, UniqueFd listener,
                               const wire::GrpcRouter& router, GrpcUnixServerOptions options)
    : loop_(loop),
      clock_(clock),
      listener_(std::move(listener)),
      router_(router),
      options_(options),
      self_(std::make_shared<GrpcUnixServer*>(this)) {
  // Set on the listener, accepted sockets have it from their first byte on.
  const int on = 1;
  (void)setsockopt(listener_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  if (options_.use_pidfd) (void)setsockopt(listener_.get(), SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on);
  watch_ = loop_.Watch(listener_.get(), [this] { Accept(); });
}

GrpcUnixServer::~GrpcUnixServer() {
  while (!connections_.empty()) Close(*connections_.begin()->second);
}

void GrpcUnixServer::Accept() {
  for (int batch = 0; batch < 64; ++batch) {
    UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    ucred cred{};
    socklen_t size = sizeof cred;
    if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &cred, &size) != 0) continue;
    const int on = 1;
    if (setsockopt(fd.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) continue;
    if (options_.use_pidfd) (void)setsockopt(fd.get(), SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on);
    size_t& of_user = per_user_[cred.uid];
    if (connections_.size() >= options_.max_connections || of_user >= options_.max_connections_per_user) {
      Log(LogLevel::kWarn, "api.too_many_connections", {{"uid", cred.uid}, {"connections", of_user}});
      continue;  // closes it
    }
    ++of_user;
    auto c = std::make_unique<Connection>();
    c->id = next_connection_++;
    c->user = cred.uid;
    c->fd = std::move(fd);
    c->grpc = std::make_unique<wire::GrpcConnection>(
        router_, clock_, [this, id = c->id] { FlushSoon(id); }, options_.grpc);
    Connection* raw = c.get();
    c->watch = loop_.Watch(
        c->fd.get(), [this, raw] { Readable(*raw); }, [this, raw] { Flush(*raw); });
    connections_.emplace(c->id, std::move(c));
  }
}

Result<wire::WriterTag> GrpcUnixServer::TagOf(Connection& c, Writer writer) {
  for (const auto& [tag, w] : c.writers) {
    if (w->inode == writer.inode && w->cred.pid == writer.cred.pid && w->cred.uid == writer.cred.uid &&
        w->cred.gid == writer.cred.gid) {
      return tag;
    }
  }
  if (c.writers.size() >= limits::kMaxWritersPerConnection)
    return ResourceExhausted("too many processes write on one connection");
  const wire::WriterTag tag = next_tag_++;
  const auto it = c.writers.emplace(tag, std::make_unique<Writer>(std::move(writer))).first;
  writers_[tag] = it->second.get();
  return tag;
}

void GrpcUnixServer::Readable(Connection& c) {
  uint8_t buffer[kReadBytes];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred)) + 2 * CMSG_SPACE(sizeof(int))];
  iovec v{buffer, sizeof buffer};
  msghdr m{};
  m.msg_iov = &v;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  const ssize_t n = recvmsg(c.fd.get(), &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  Writer writer;
  bool named = false;
  for (cmsghdr* h = n < 0 ? nullptr : CMSG_FIRSTHDR(&m); h != nullptr; h = CMSG_NXTHDR(&m, h)) {
    if (h->cmsg_level != SOL_SOCKET) continue;
    if (h->cmsg_type == SCM_CREDENTIALS) {
      std::memcpy(&writer.cred, CMSG_DATA(h), sizeof writer.cred);
      named = true;
    } else if (h->cmsg_type == SCM_PIDFD || h->cmsg_type == SCM_RIGHTS) {
      // A client that sends descriptors of its own gets them closed: SCM_RIGHTS is nothing to us.
      for (size_t at = 0; at + sizeof(int) <= h->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(h) + at, sizeof fd);
        UniqueFd owned(fd);
        if (h->cmsg_type == SCM_PIDFD) writer.pidfd = std::move(owned);
      }
    }
  }
  if (n <= 0 || !named) return Close(c);
  if (writer.pidfd) writer.inode = runtime::PidfdInode(writer.pidfd.get()).value_or(0);
  const auto tag = TagOf(c, std::move(writer));
  if (!tag.ok()) return Close(c);
  const uint64_t id = c.id;
  const Status fed = c.grpc->Feed({buffer, static_cast<size_t>(n)}, *tag);
  if (!connections_.contains(id)) return;
  Flush(c);  // also the reason of a refusal
  if (!connections_.contains(id)) return;
  if (!fed.ok()) return Close(c);
  ArmDeadline(c);
}

void GrpcUnixServer::FlushSoon(uint64_t id) {
  const auto it = connections_.find(id);
  if (it == connections_.end() || it->second->flush_posted) return;
  it->second->flush_posted = true;
  loop_.Post([weak = std::weak_ptr<GrpcUnixServer*>(self_), id] {
    const auto self = weak.lock();
    if (!self) return;
    const auto found = (*self)->connections_.find(id);
    if (found != (*self)->connections_.end()) (*self)->Flush(*found->second);
  });
}

void GrpcUnixServer::Flush(Connection& c) {
  c.flush_posted = false;
  for (;;) {
    if (c.unsent.empty()) {
      out_.clear();
      c.grpc->TakeOutput(out_, kWriteBytes);
      if (out_.empty()) break;
      std::swap(c.unsent, out_);
    }
    const ssize_t n = send(c.fd.get(), c.unsent.data(), c.unsent.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN) return Close(c);
    if (n > 0) {
      explicit_bzero(c.unsent.data(), static_cast<size_t>(n));  // it may have been a private key
      c.unsent.erase(0, static_cast<size_t>(n));
    }
    if (!c.unsent.empty()) {
      c.watch.WantWrite(true);
      return;
    }
    std::swap(c.unsent, out_);  // the buffer goes back: an idle connection holds none
  }
  c.watch.WantWrite(false);
  if (c.grpc->finished()) Close(c);
}

void GrpcUnixServer::ArmDeadline(Connection& c) {
  const auto next = c.grpc->NextDeadline();
  if (!next) return c.deadline.Cancel();
  c.deadline = loop_.After(std::max(std::chrono::nanoseconds(0), *next - clock_.Mono()), [this, id = c.id] {
    const auto it = connections_.find(id);
    if (it == connections_.end()) return;
    it->second->grpc->OnDeadline();
    Flush(*it->second);
    const auto still = connections_.find(id);
    if (still != connections_.end()) ArmDeadline(*still->second);
  });
}

void GrpcUnixServer::Close(Connection& c) {
  auto node = connections_.extract(c.id);
  if (node.empty()) return;
  std::unique_ptr<Connection> owned = std::move(node.mapped());
  owned->watch = runtime::FdWatch();
  owned->deadline.Cancel();
  // The calls end first: a service may still ask for the evidence of its writer.
  owned->grpc.reset();
  for (const auto& [tag, w] : owned->writers) writers_.erase(tag);
  const auto user = per_user_.find(owned->user);
  if (--user->second == 0) per_user_.erase(user);
}

Result<WriterEvidence> GrpcUnixServer::EvidenceOf(wire::WriterTag writer) const {
  const auto it = writers_.find(writer);
  if (it == writers_.end()) return NotFound("the writer's connection is gone");
  const Writer& w = *it->second;
  return WriterEvidence{w.cred.pid, w.cred.uid, w.cred.gid, w.pidfd ? w.pidfd.get() : -1};
}

void GrpcUnixServer::Drain() {
  watch_ = runtime::FdWatch();
  std::vector<uint64_t> ids;
  for (const auto& [id, c] : connections_) ids.push_back(id);
  for (const uint64_t id : ids) {
    const auto it = connections_.find(id);
    if (it == connections_.end()) continue;
    it->second->grpc->Drain();
    Flush(*it->second);
  }
}

}  // namespace hexr::net
