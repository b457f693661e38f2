#include "net/grpc_unix_server.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/wiped.h"

namespace hexr::net {
namespace {

constexpr size_t kReadBytes = 16 * 1024;
constexpr int kReadsPerTurn = 4;            // so that one busy connection does not starve the others
constexpr size_t kOutputBytes = 64 * 1024;  // taken from the connection at a time: the rest stays in its streams
constexpr std::chrono::milliseconds kSweepEvery{15'000};

bool IsUnix(int socket) {
  int domain = 0;
  socklen_t size = sizeof domain;
  return getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

// Anybody may connect and talk nonsense: that is no news. Two processes on one frame, or bytes of nobody, are.
void NoteRefusal(const Error& why, int64_t pid) {
  const bool news = why.code() == ErrorCode::kPermissionDenied;
  Log(news ? LogLevel::kWarn : LogLevel::kDebug, "grpc.connection_refused", {{"error", why}, {"pid", pid}});
}

}  // namespace

// One accepted socket. Ends by End(), which destroys it at the end of the loop's turn.
class GrpcUnixServer::Connection {
 public:
  // `user` is who connected; nobody for TCP.
  Connection(GrpcUnixServer& server, runtime::UniqueFd socket, std::optional<uint32_t> user, std::string owner,
             bool known)
      : server_(server),
        socket_(std::move(socket)),
        user_(user),
        owner_(std::move(owner)),
        known_(known),
        writers_(server.next_tag_),
        tcp_tag_(user ? 0 : server.next_tag_++),
        last_active_(server.clock_.Mono()),
        grpc_(std::make_unique<wire::GrpcConnection>(
            server.router_, server.clock_, [this] { FlushSoon(); }, server.options_.grpc)) {
    watch_ = server_.loop_.Watch(
        socket_.get(), [this] { Readable(); }, [this] { Flush(); });
    Flush();
  }
  ~Connection() {
    // The calls end first: a service may still ask for the evidence of its writer.
    grpc_.reset();
    for (const wire::WriterTag tag : tags_) server_.writers_.erase(tag);
    WipeText(out_);
  }

  const PeerEvidence* Find(wire::WriterTag tag) const { return writers_.Find(tag); }
  std::optional<uint32_t> user() const { return user_; }
  bool known() const { return known_; }
  void set_known() { known_ = true; }
  const std::string& owner() const { return owner_; }
  size_t open_calls() const { return grpc_->open_calls(); }
  MonoTime last_active() const { return last_active_; }
  void Drain() {
    grpc_->Drain();
    Flush();
  }
  void End() {
    if (std::exchange(ended_, true)) return;
    watch_ = runtime::FdWatch();
    deadline_ = runtime::Timer();
    server_.loop_.Post([weak = std::weak_ptr<Connection*>(self_)] {
      if (const auto self = weak.lock()) (*self)->server_.Remove(*self);
    });
  }

 private:
  void Readable() {
    std::array<uint8_t, kReadBytes> buffer;
    for (int i = 0; i < kReadsPerTurn && !ended_; ++i) {
      auto got = ReceiveWithEvidence(socket_.get(), buffer, user_ ? Evidence::kRequired : Evidence::kNone);
      if (!got.ok()) {
        if (got.error().code() == ErrorCode::kNotFound) break;
        NoteRefusal(got.error(), 0);
        return End();
      }
      if (got->size == 0) return End();
      last_active_ = server_.clock_.Mono();
      const auto tag = TagOf(std::move(got->writer));
      if (!tag.ok()) {
        NoteRefusal(tag.error(), 0);
        return End();
      }
      const Status fed = grpc_->Feed(ByteView(buffer.data(), got->size), *tag);
      if (!fed.ok()) {
        NoteRefusal(fed.error(), PidOf(*tag));
        closing_ = true;
        break;
      }
    }
    Flush();
    if (!ended_) ArmDeadline();
  }

  Result<wire::WriterTag> TagOf(PeerEvidence evidence) {
    if (!user_) return tcp_tag_;
    ASSIGN_OR_RETURN(const wire::WriterTag tag, writers_.TagOf(std::move(evidence)));
    if (server_.writers_.emplace(tag, this).second) tags_.push_back(tag);
    return tag;
  }
  int64_t PidOf(wire::WriterTag tag) const {
    const PeerEvidence* evidence = writers_.Find(tag);
    return evidence == nullptr ? 0 : evidence->pid;
  }

  // Services write from anywhere on the loop, in their own callbacks too: the socket's turn comes after theirs.
  void FlushSoon() {
    if (std::exchange(flush_posted_, true)) return;
    server_.loop_.Post([weak = std::weak_ptr<Connection*>(self_)] {
      if (const auto self = weak.lock()) {
        (*self)->flush_posted_ = false;
        (*self)->Flush();
      }
    });
  }

  void Flush() {
    while (!ended_) {
      if (sent_ == out_.size()) {
        out_.clear();
        sent_ = 0;
        grpc_->TakeOutput(out_, kOutputBytes);
        if (out_.empty()) break;
      }
      const ssize_t n = send(socket_.get(), out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0) {
        if (errno == EINTR) continue;
        if (errno != EAGAIN) return End();
        return watch_.WantWrite(true);
      }
      // It may have been a private key.
      explicit_bzero(out_.data() + sent_, static_cast<size_t>(n));
      sent_ += static_cast<size_t>(n);
    }
    if (ended_) return;
    if (closing_ || grpc_->finished()) return End();
    watch_.WantWrite(false);
    // A connection is quiet most of its life: it keeps no buffer then.
    std::string().swap(out_);
  }

  void ArmDeadline() {
    const auto next = grpc_->NextDeadline();
    if (next == armed_for_) return;
    armed_for_ = next;
    if (!next) {
      deadline_ = runtime::Timer();
      return;
    }
    deadline_ = server_.loop_.After(*next - server_.clock_.Mono(), [this] {
      armed_for_.reset();
      grpc_->OnDeadline();
      ArmDeadline();
    });
  }

  GrpcUnixServer& server_;
  runtime::UniqueFd socket_;
  std::optional<uint32_t> user_;
  std::string owner_;
  bool known_;
  WriterTable writers_;
  wire::WriterTag tcp_tag_;
  std::vector<wire::WriterTag> tags_;
  MonoTime last_active_;
  std::string out_;
  size_t sent_ = 0;
  bool flush_posted_ = false;
  bool closing_ = false;  // the last bytes go out, then the end
  bool ended_ = false;
  std::optional<MonoTime> armed_for_;
  std::shared_ptr<Connection*> self_ = std::make_shared<Connection*>(this);
  runtime::FdWatch watch_;
  runtime::Timer deadline_;
  std::unique_ptr<wire::GrpcConnection> grpc_;
};

GrpcUnixServer::GrpcUnixServer(runtime::Loop& loop, const Clock& clock, runtime::UniqueFd listener,
                               const wire::GrpcRouter& router, GrpcUnixServerOptions options)
    : loop_(loop), clock_(clock), router_(router), options_(options), tcp_(!IsUnix(listener.get())) {
  HEXR_CHECK(!tcp_ || options_.insecure_tcp_for_tests);
  // Accepted sockets have it from their listener, and so from their first byte on.
  if (!tcp_) HEXR_CHECK(EnablePeerEvidence(listener.get(), BestTier()).ok());
  Sweep();
  listener_ = std::make_unique<Listener>(loop_, std::move(listener), "api",
                                         [this](runtime::UniqueFd s) { Accepted(std::move(s)); });
}

GrpcUnixServer::~GrpcUnixServer() { connections_.clear(); }

PeerTier GrpcUnixServer::BestTier() const { return options_.use_pidfd ? PeerTier::kPidfd : PeerTier::kCredentials; }

void GrpcUnixServer::Accepted(runtime::UniqueFd socket) {
  if (connections_.size() >= options_.max_connections) return NoteTooMany({{"connections", connections_.size()}});
  std::optional<uint32_t> user;
  std::string owner;
  if (!tcp_) {
    const auto connector = ConnectorOf(socket.get());
    // Asking again costs two calls and holds on kernels where accepted sockets inherit nothing.
    const auto tier = EnablePeerEvidence(socket.get(), BestTier());
    if (!connector.ok() || !tier.ok()) return;
    user = connector->uid;
    if (options_.owner) {
      auto found = options_.owner(*connector);
      if (!found.ok()) return NoteTooMany({{"uid", *user}, {"pid", connector->pid}, {"error", found.error()}});
      owner = std::move(*found);
    }
  }
  const bool known = !options_.owner || !owner.empty();
  if (!owner.empty()) {
    size_t& of_owner = per_owner_[owner];
    if (of_owner >= options_.max_connections_per_owner)
      return NoteTooMany({{"owner", owner}, {"connections", of_owner}});
    ++of_owner;
  } else {
    const auto of = per_user_.find(user.value_or(0));
    const Count mine = of == per_user_.end() ? Count() : of->second;
    if (outside_.all >= options_.max_connections_outside || mine.all >= options_.max_connections_per_user)
      return NoteTooMany({{"uid", user.value_or(0)}, {"connections", mine.all}});
    if (!known && (outside_.unknown >= options_.max_connections_unknown ||
                   mine.unknown >= options_.max_connections_unknown_per_user)) {
      return NoteTooMany({{"uid", user.value_or(0)}, {"without_identity", mine.unknown}});
    }
    for (Count* count : {&outside_, &per_user_[user.value_or(0)]}) {
      ++count->all;
      count->unknown += known ? 0 : 1;
    }
  }
  auto connection = std::make_unique<Connection>(*this, std::move(socket), user, std::move(owner), known);
  Connection* key = connection.get();
  connections_.emplace(key, std::move(connection));
}

void GrpcUnixServer::Known(wire::WriterTag writer) {
  const auto it = writers_.find(writer);
  if (it == writers_.end() || it->second->known()) return;
  it->second->set_known();
  --outside_.unknown;
  --per_user_.at(it->second->user().value_or(0)).unknown;
}

Result<WriterEvidence> GrpcUnixServer::EvidenceOf(wire::WriterTag writer) const {
  const auto it = writers_.find(writer);
  const PeerEvidence* evidence = it == writers_.end() ? nullptr : it->second->Find(writer);
  if (evidence == nullptr) return NotFound("the writer's connection is gone");
  return WriterEvidence{evidence->pid, evidence->uid, evidence->gid, evidence->pidfd.get()};
}

// Whoever is refused tries again: one line a second says it.
void GrpcUnixServer::NoteTooMany(std::initializer_list<LogField> who) {
  const MonoTime now = clock_.Mono();
  if (noted_ && now - *noted_ < std::chrono::seconds(1)) return;
  noted_ = now;
  Log(LogLevel::kWarn, "grpc.connection_not_taken", who);
}

void GrpcUnixServer::Remove(Connection* connection) {
  const auto it = connections_.find(connection);
  if (it == connections_.end()) return;
  Uncount(*connection);
  // Out of the map before its calls end: they may look around.
  const std::unique_ptr<Connection> gone = std::move(it->second);
  connections_.erase(it);
}

void GrpcUnixServer::Uncount(const Connection& connection) {
  if (const auto count = per_owner_.find(connection.owner()); count != per_owner_.end()) {
    if (--count->second == 0) per_owner_.erase(count);
    return;
  }
  const auto of = per_user_.find(connection.user().value_or(0));
  for (Count* count : {&outside_, &of->second}) {
    --count->all;
    count->unknown -= connection.known() ? 0 : 1;
  }
  if (of->second.all == 0) per_user_.erase(of);
}

void GrpcUnixServer::Sweep() {
  const MonoTime before = clock_.Mono() - options_.idle_timeout;
  for (const auto& [key, connection] : connections_) {
    const bool held = connection->known() && connection->open_calls() > 0;
    if (!held && connection->last_active() < before) connection->End();
  }
  const auto every = std::clamp(options_.idle_timeout / 4, std::chrono::milliseconds(1), kSweepEvery);
  sweep_ = loop_.After(every, [this] { Sweep(); });
}

void GrpcUnixServer::Drain() {
  listener_.reset();
  for (const auto& [key, connection] : connections_) connection->Drain();
}

}  // namespace hexr::net
