#include "spawner/launch_socket.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "base/exit_codes.h"
#include "base/limits/agents.h"
#include "base/log.h"

namespace hexr::spawner {
using runtime::UniqueFd;

std::shared_ptr<void> Allowance::Take(const Party& party, size_t most) {
  const bool owner = party.kind == Party::Kind::kOwner;
  if (counts_->all >= all_ - (owner ? 0 : all_ / 4)) return nullptr;
  const auto of = counts_->of.find(party.name);
  if (!owner && of != counts_->of.end() && of->second >= most) return nullptr;
  ++counts_->all;
  ++counts_->of[party.name];
  return {static_cast<void*>(counts_.get()), [counts = counts_, name = party.name](void*) {
            --counts->all;
            if (--counts->of[name] == 0) counts->of.erase(name);
          }};
}

void RefusalLog::Write(const Party& party, const Caller& caller, std::string_view agent, int exit_code,
                       std::string_view message) {
  const MonoTime now = clock_.Mono();
  // More parties than can be told apart share a budget: none is forgotten, which would fill it again.
  const bool known = budgets_.contains(party.name) || budgets_.size() < limits::kMaxRefusalParties;
  Budget& b = budgets_.try_emplace(known ? party.name : "", Budget{limits::kRefusalsLoggedBurst, now}).first->second;
  const double passed = std::chrono::duration<double>(now - b.refilled).count();
  b.tokens = std::min(limits::kRefusalsLoggedBurst, b.tokens + passed * limits::kRefusalsLoggedPerSecond);
  b.refilled = now;
  if (b.tokens < 1) {
    ++b.left_out;
    return;
  }
  b.tokens -= 1;
  ++written_;
  Log(LogLevel::kWarn, "launch.refused",
      {{"caller", party.name},
       {"uid", caller.uid},
       {"pid", caller.pid},
       {"agent", agent},
       {"code", exit_code},
       {"error", message},
       {"left_out_before", std::exchange(b.left_out, 0)}});
}

void LaunchSession::Send(const pb::ServerMessage& message, std::vector<int> fds) {
  if (socket_) (void)!SendLaunchMessage(socket_.get(), message, std::move(fds)).ok();
}

void LaunchSession::Refuse(int exit_code, const std::string& message, const std::string& agent) {
  refusals_->Write(party_, caller_, agent, exit_code, message);
  pb::ServerMessage m;
  m.mutable_refused()->set_exit_code(static_cast<uint32_t>(exit_code));
  m.mutable_refused()->set_message(message);
  Send(m);
  Close();
}

void LaunchSession::Close() {
  on_signal = nullptr;
  on_gone = nullptr;
  under_way_.reset();
  if (!socket_) return;
  // The other end reads what was sent, then end of file; our side goes when it closes (LaunchSocket::Readable), or when
  // it has had the time to.
  (void)shutdown(socket_.get(), SHUT_WR);
  deadline_ = loop_.After(times_.linger, [this] {
    if (auto drop = std::move(drop_)) drop();  // may destroy this session
  });
}

LaunchSocket::LaunchSocket(runtime::Loop& loop, const Clock& clock, UniqueFd listener, Events events, LaunchTimes times)
    : loop_(loop),
      events_(std::move(events)),
      times_(times),
      places_(limits::kMaxLaunchSessions),
      launches_(limits::kMaxLaunchesUnderWay),
      refusals_(std::make_shared<RefusalLog>(clock)),
      listener_(loop, std::move(listener), "launch", [this](UniqueFd socket) { Accepted(std::move(socket)); }) {
  // On the listener, so that accepted sockets have it from birth: a message sent between accept and a later setsockopt
  // would come without its writer. Accepted checks it again and refuses what lacks it.
  const int on = 1;
  (void)setsockopt(listener_.fd(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
}

LaunchSocket::~LaunchSocket() {
  for (const auto& [key, session] : sessions_) {
    session->drop_ = nullptr;
    session->watch_ = runtime::FdWatch();
    session->deadline_ = runtime::Timer();
  }
}

void LaunchSocket::Accepted(UniqueFd socket) {
  const int on = 1;
  Result<Caller> caller = IdentifyCaller(socket.get());
  if (!caller.ok() || setsockopt(socket.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
    refusals_->Write({Party::Kind::kUser, "unknown"}, {}, "", kRunRefused,
                     caller.ok() ? "SO_PASSCRED" : caller.error().message());
    return;
  }
  Party party = events_.party(*caller);
  const size_t most =
      party.kind == Party::Kind::kAgent ? limits::kMaxLaunchSessionsPerAgent : limits::kMaxLaunchSessionsPerUser;
  auto place = places_.Take(party, most);
  auto session =
      std::make_shared<LaunchSession>(loop_, std::move(socket), std::move(*caller), std::move(party), refusals_);
  if (!place) {
    // Its last word waits in the other end's queue.
    return session->Refuse(kRunRefused,
                           "too many connections to this node's launch.sock are open; end some and try again");
  }
  session->place_ = std::move(place);
  const std::weak_ptr<LaunchSession> weak = session;
  session->drop_ = [this, weak] {
    if (const auto s = weak.lock()) Drop(s);
  };
  session->times_ = times_;
  session->deadline_ = loop_.After(times_.request, [this, weak] {
    const auto s = weak.lock();
    if (!s) return;
    s->Refuse(kRunRefused, "nothing was asked for on this connection in time");
    Drop(s);
  });
  session->watch_ = loop_.Watch(session->socket_.get(), [this, weak] {
    if (const auto s = weak.lock()) Readable(s);
  });
  sessions_.emplace(session.get(), session);
}

void LaunchSocket::Readable(const std::shared_ptr<LaunchSession>& session) {
  Result<LaunchPacket> packet = ReceiveLaunchMessage(session->socket_.get());
  if (!packet.ok() && packet.error().code() == ErrorCode::kNotFound) return;
  Status s = packet.ok() ? Handle(session, std::move(*packet)) : Status(packet.error());
  if (s.ok()) return;
  if (s.error().code() != ErrorCode::kUnavailable) session->Refuse(kRunRefused, s.error().message());
  Drop(session);
}

Status LaunchSocket::Handle(const std::shared_ptr<LaunchSession>& session, LaunchPacket packet) {
  pb::ClientMessage m;
  if (!m.ParseFromArray(packet.body.data(), static_cast<int>(packet.body.size())))
    return InvalidArgument("malformed message");
  // A connection can be handed on: who writes has to be who connected.
  if (packet.writer != int64_t{session->caller().pid})
    return PermissionDenied("this connection was opened by another process");
  if (!m.has_launch() && !packet.fds.empty()) return InvalidArgument("descriptors come with a launch alone");
  if (packet.fds.size() > limits::kMaxLaunchFds) return ResourceExhausted("too many descriptors for one launch");
  if (m.has_signal()) {
    if (!session->opened_) return InvalidArgument("nothing was started on this connection");
    const uint32_t signal = m.signal().signal();
    if (session->on_signal && signal > 0 && signal < NSIG) session->on_signal(static_cast<int>(signal));
    return Ok();
  }
  if (session->opened_) return InvalidArgument("one launch a connection");
  session->opened_ = true;
  session->deadline_ = runtime::Timer();
  if (m.has_launch()) {
    session->under_way_ = launches_.Take(session->party(), limits::kMaxLaunchesUnderWayOfOne);
    if (!session->under_way_) return ResourceExhausted("too many launches are under way; try again");
    events_.launch(session, std::move(*m.mutable_launch()), std::move(packet.fds));
  } else if (m.has_attach()) {
    events_.attach(session, std::move(*m.mutable_attach()));
  } else {
    return InvalidArgument("unknown message");
  }
  return Ok();
}

void LaunchSocket::Drop(const std::shared_ptr<LaunchSession>& session) {
  auto gone = std::move(session->on_gone);
  session->deadline_ = runtime::Timer();
  session->place_.reset();
  session->watch_ = runtime::FdWatch();
  session->socket_.reset();
  sessions_.erase(session.get());
  if (gone) gone();
}

}  // namespace hexr::spawner
