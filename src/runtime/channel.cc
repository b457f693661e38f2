#include "runtime/channel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "base/limits/messages.h"
#include "base/log.h"
#include "runtime/packet.h"

namespace hexr::runtime {
namespace {

// First byte of a packet: the envelope follows, or it lies in the memfd that is the last descriptor.
constexpr uint8_t kInline = 1;
constexpr uint8_t kMemfd = 2;

Status WriteAll(int fd, ByteView data) {
  while (!data.empty()) {
    const ssize_t n = write(fd, data.data(), data.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return ErrnoError("write message", errno);
    data = data.subspan(static_cast<size_t>(n));
  }
  return Ok();
}

// `memfd` is filled where the message is too large for a packet: it goes as the last descriptor.
Result<WipedBytes> Pack(const Envelope& body, UniqueFd& memfd) {
  const size_t size = body.ByteSizeLong();
  if (size > limits::kMaxMessageBytes) return ResourceExhausted("message over the limit");
  WipedBytes data(size + 1);
  data[0] = kInline;
  HEXR_CHECK(body.SerializeToArray(data.data() + 1, static_cast<int>(size)));
  if (data.size() <= limits::kMaxInlineMessageBytes) return data;
  memfd = UniqueFd(memfd_create("hexr-message", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memfd) return ErrnoError("memfd_create", errno);
  RETURN_IF_ERROR(WriteAll(memfd.get(), ByteView(data).subspan(1)));
  if (fcntl(memfd.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return ErrnoError("seal message", errno);
  }
  return WipedBytes{kMemfd};
}

Result<WipedBytes> ReadMemfd(int fd) {
  struct stat st {};
  if (fstat(fd, &st) != 0) return ErrnoError("message memfd", errno);
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & (F_SEAL_WRITE | F_SEAL_SHRINK)) != (F_SEAL_WRITE | F_SEAL_SHRINK)) {
    return InvalidArgument("message memfd is not sealed");
  }
  if (st.st_size < 0 || static_cast<size_t>(st.st_size) > limits::kMaxMessageBytes)
    return ResourceExhausted("message over the limit");
  WipedBytes data(static_cast<size_t>(st.st_size));
  size_t done = 0;
  while (done < data.size()) {
    const ssize_t n = pread(fd, data.data() + done, data.size() - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return DataLoss("message memfd ends early");
    done += static_cast<size_t>(n);
  }
  return data;
}

Result<Message> Unpack(Packet p) {
  Message m;
  WipedBytes large;
  ByteView body;
  if (p.data[0] == kMemfd && p.data.size() == 1 && !p.fds.empty()) {
    const UniqueFd memfd = std::move(p.fds.back());
    p.fds.pop_back();
    ASSIGN_OR_RETURN(large, ReadMemfd(memfd.get()));
    body = large;
  } else if (p.data[0] == kInline) {
    body = ByteView(p.data).subspan(1);
  } else {
    return DataLoss("not a message");
  }
  if (!m.body.ParseFromArray(body.data(), static_cast<int>(body.size()))) return DataLoss("malformed message");
  m.fds = std::move(p.fds);
  return m;
}

std::vector<int> Raw(const SharedFds& fds, const UniqueFd& memfd) {
  std::vector<int> raw;
  if (fds) {
    for (const UniqueFd& f : *fds) raw.push_back(f.get());
  }
  if (memfd) raw.push_back(memfd.get());
  return raw;
}

}  // namespace

void WipeSecrets(Envelope& body) {
  switch (body.body_case()) {
    case Envelope::kAdminCall: return WipeText(*body.mutable_admin_call()->mutable_secret());
    case Envelope::kAdminResult: return WipeText(*body.mutable_admin_result()->mutable_secret());
    case Envelope::kJournal: return WipeText(*body.mutable_journal()->mutable_key());
    case Envelope::kRegisterInstance:
      if (body.register_instance().has_on_behalf_of())
        WipeText(*body.mutable_register_instance()->mutable_on_behalf_of()->mutable_token());
      return;
    case Envelope::kPublish:
      for (auto& listener : *body.mutable_publish()->mutable_listeners()) WipeText(*listener.mutable_key_pem());
      return;
    default: return;
  }
}

Channel::Reply::~Reply() {
  if (call_ != 0) Fail(Internal("the request was dropped without an answer"));
}

void Channel::Reply::Send(Envelope body, std::vector<UniqueFd> fds) {
  const uint64_t call = std::exchange(call_, 0);
  const auto channel = channel_.lock();
  if (call == 0 || !channel) return;
  body.set_call(call);
  body.set_reply(true);
  const Status s = (*channel)->Enqueue(body, std::move(fds));
  WipeSecrets(body);
  if (!s.ok()) {
    Log(LogLevel::kWarn, "channel.reply_failed", {{"channel", (*channel)->name()}, {"error", s.error()}});
  }
}

void Channel::Reply::Ack() {
  Envelope e;
  e.mutable_ack();
  Send(std::move(e));
}

void Channel::Reply::Fail(const Error& error) {
  Envelope e;
  e.mutable_failure()->set_code(static_cast<int>(error.code()));
  e.mutable_failure()->set_message(error.message());
  Send(std::move(e));
}

Channel::Channel(Loop& loop, UniqueFd socket, std::string name, OnRequest on_request, OnClosed on_closed)
    : loop_(loop),
      socket_(std::move(socket)),
      name_(std::move(name)),
      on_request_(std::move(on_request)),
      on_closed_(std::move(on_closed)),
      self_(std::make_shared<Channel*>(this)) {
  int on = 1;
  ioctl(socket_.get(), FIONBIO, &on);  // not by fcntl, which a confined server does not have (runtime/confine.h)
  watch_ = loop_.Watch(
      socket_.get(), [this] { Readable(); }, [this] { Writable(); });
}

Channel::~Channel() {
  on_closed_ = {};
  Close(Unavailable("channel closed"));
}

Status Channel::Send(Envelope body, std::vector<UniqueFd> fds) {
  body.set_call(0);
  body.set_reply(false);
  Status s = Enqueue(body, std::move(fds));
  WipeSecrets(body);
  return s;
}

Status Channel::SendShared(Envelope body, SharedFds fds) {
  body.set_call(0);
  body.set_reply(false);
  return Enqueue(body, std::move(fds));
}

void Channel::Call(Envelope body, std::vector<UniqueFd> fds, std::chrono::milliseconds deadline, OnReply done) {
  const uint64_t call = next_call_++;
  body.set_call(call);
  body.set_reply(false);
  Pending& p = pending_[call];
  p.done = std::move(done);
  p.timer = loop_.After(deadline, [this, call] {
    auto node = pending_.extract(call);
    if (!node.empty()) node.mapped().done(DeadlineExceeded(name_ + " did not answer in time"));
  });
  Status s = Enqueue(body, std::move(fds));
  WipeSecrets(body);
  if (!s.ok()) {
    // Never from inside Call: the caller may hold state that `done` changes.
    loop_.Post([weak = std::weak_ptr<Channel*>(self_), call, error = s.error()] {
      const auto channel = weak.lock();
      if (!channel) return;
      auto node = (*channel)->pending_.extract(call);
      if (!node.empty()) node.mapped().done(error);
    });
  }
}

Status Channel::Enqueue(const Envelope& body, std::vector<UniqueFd> fds) {
  return Enqueue(body, fds.empty() ? nullptr : std::make_shared<const std::vector<UniqueFd>>(std::move(fds)));
}

Status Channel::Enqueue(const Envelope& body, SharedFds fds) {
  if (!socket_) return Unavailable(name_ + " has gone");
  UniqueFd memfd;
  ASSIGN_OR_RETURN(WipedBytes data, Pack(body, memfd));
  if (queue_.empty()) {
    bool would_block = false;
    Status s = SendPacket(socket_.get(), data, Raw(fds, memfd), &would_block);
    if (s.ok()) return s;
    if (!would_block) {
      if (s.error().code() == ErrorCode::kUnavailable) CloseSoon(s.error());
      return s;
    }
  }
  const size_t size = memfd ? body.ByteSizeLong() : data.size();
  if (queue_.size() >= limits::kMaxQueuedMessages || queued_bytes_ + size > limits::kMaxQueuedBytes) {
    const Error e = ResourceExhausted(name_ + " does not read: its queue is full");
    CloseSoon(e);
    return e;
  }
  queued_bytes_ += size;
  queue_.push_back({std::move(data), size, std::move(fds), std::move(memfd)});
  watch_.WantWrite(true);
  return Ok();
}

void Channel::Writable() {
  while (!queue_.empty()) {
    const Outgoing& next = queue_.front();
    bool would_block = false;
    Status s = SendPacket(socket_.get(), next.data, Raw(next.fds, next.memfd), &would_block);
    if (would_block) return;
    if (!s.ok()) return Close(s.error());
    queued_bytes_ -= next.size;
    queue_.pop_front();
  }
  watch_.WantWrite(false);
}

void Channel::Readable() {
  const std::weak_ptr<Channel*> alive = self_;
  // A bounded batch, so that one busy peer does not starve the rest of the loop.
  for (int i = 0; i < 64; ++i) {
    Result<Packet> p = ReceivePacket(socket_.get());
    if (!p.ok()) {
      if (p.error().code() == ErrorCode::kNotFound) return;
      return Close(p.error());
    }
    const std::optional<int64_t> sender = p->sender_pid;
    Result<Message> m = Unpack(std::move(p).value());
    if (!m.ok()) return Close(m.error());
    m->sender_pid = sender;
    Handle(std::move(m).value());
    if (alive.expired() || !socket_) return;
  }
}

void Channel::Handle(Message m) {
  if (!m.body.reply()) {
    Reply reply(self_, m.body.call());
    on_request_(std::move(m), std::move(reply));
    return;
  }
  auto node = pending_.extract(m.body.call());
  if (node.empty()) return;  // an answer after its deadline
  if (m.body.has_failure()) {
    const int code = m.body.failure().code();
    const bool known = code >= 1 && code <= 16;
    node.mapped().done(Error(known ? static_cast<ErrorCode>(code) : ErrorCode::kUnknown, m.body.failure().message()));
  } else {
    node.mapped().done(std::move(m));
  }
}

void Channel::Close(const Error& why) {
  if (!socket_) return;
  watch_ = FdWatch();
  socket_.reset();
  queue_.clear();
  queued_bytes_ = 0;
  // From here on nothing of the channel is touched: a callback may destroy it.
  auto pending = std::exchange(pending_, {});
  OnClosed closed = std::move(on_closed_);
  const Error gone = Unavailable(name_ + " has gone");
  // `why` may be the channel's own.
  const Error reason = why;  // NOLINT(performance-unnecessary-copy-initialization)
  for (auto& [call, p] : pending) p.done(gone);
  if (closed) closed(reason);
}

// Never from inside Send or Call: the caller may hold state that the callbacks change.
void Channel::CloseSoon(Error why) {
  loop_.Post([weak = std::weak_ptr<Channel*>(self_), why = std::move(why)] {
    if (const auto channel = weak.lock()) (*channel)->Close(why);
  });
}

namespace {

Status WaitFor(int socket, short events, std::chrono::milliseconds deadline) {
  pollfd p{socket, events, 0};
  for (;;) {
    const int n = poll(&p, 1, static_cast<int>(deadline.count()));
    if (n > 0) return Ok();
    if (n == 0) return DeadlineExceeded("the peer did not answer in time");
    if (errno != EINTR) return ErrnoError("poll", errno);
  }
}

}  // namespace

Status SendBlocking(int socket, const Envelope& body, std::span<const int> fds, std::chrono::milliseconds deadline) {
  UniqueFd memfd;
  ASSIGN_OR_RETURN(const WipedBytes data, Pack(body, memfd));
  std::vector<int> raw(fds.begin(), fds.end());
  if (memfd) raw.push_back(memfd.get());
  for (;;) {
    bool would_block = false;
    Status s = SendPacket(socket, data, raw, &would_block);
    if (!would_block) return s;
    RETURN_IF_ERROR(WaitFor(socket, POLLOUT, deadline));
  }
}

Result<Message> ReceiveBlocking(int socket, std::chrono::milliseconds deadline) {
  for (;;) {
    Result<Packet> p = ReceivePacket(socket);
    if (p.ok()) return Unpack(std::move(p).value());
    if (p.error().code() != ErrorCode::kNotFound) return std::move(p).error();
    RETURN_IF_ERROR(WaitFor(socket, POLLIN, deadline));
  }
}

}  // namespace hexr::runtime
