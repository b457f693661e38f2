#include "spawner/launch_socket.h"

#include <sys/socket.h>
#include <unistd.h>

#include <csignal>

#include "base/limits/agents.h"
#include "base/log.h"

namespace hexr::spawner {
using runtime::UniqueFd;

void LaunchSession::Send(const pb::ServerMessage& message, std::vector<int> fds) {
  if (socket_) (void)!SendLaunchMessage(socket_.get(), message, std::move(fds)).ok();
}

void LaunchSession::Refuse(int exit_code, const std::string& message) {
  pb::ServerMessage m;
  m.mutable_refused()->set_exit_code(static_cast<uint32_t>(exit_code));
  m.mutable_refused()->set_message(message);
  Send(m);
  Close();
}

void LaunchSession::Close() {
  on_signal = nullptr;
  on_gone = nullptr;
  // The other end reads what was sent, then end of file; our side goes when it closes (LaunchSocket::Readable).
  if (socket_) (void)shutdown(socket_.get(), SHUT_WR);
}

LaunchSocket::LaunchSocket(runtime::Loop& loop, UniqueFd listener, Events events)
    : loop_(loop), listener_(std::move(listener)), events_(std::move(events)) {
  // On the listener, so that accepted sockets have it from birth: a message sent between accept and a later setsockopt
  // would come without its writer. Accept checks it again and refuses what lacks it.
  const int on = 1;
  (void)setsockopt(listener_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  watch_ = loop_.Watch(listener_.get(), [this] { Accept(); });
}

void LaunchSocket::Accept() {
  UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) return;
  if (sessions_.size() >= limits::kMaxLaunchSessions) {
    Log(LogLevel::kWarn, "launch.too_many_sessions", {});
    return;
  }
  const int on = 1;
  Result<Caller> caller = IdentifyCaller(socket.get());
  if (!caller.ok() || setsockopt(socket.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
    Log(LogLevel::kWarn, "launch.caller_unknown", {{"error", caller.ok() ? Internal("SO_PASSCRED") : caller.error()}});
    return;
  }
  auto session = std::make_shared<LaunchSession>(std::move(socket), std::move(*caller));
  session->watch_ = loop_.Watch(session->socket_.get(), [this, weak = std::weak_ptr<LaunchSession>(session)] {
    if (const auto s = weak.lock()) Readable(s);
  });
  sessions_.emplace(session.get(), session);
}

void LaunchSocket::Readable(const std::shared_ptr<LaunchSession>& session) {
  Result<LaunchPacket> packet = ReceiveLaunchMessage(session->socket_.get());
  if (!packet.ok() && packet.error().code() == ErrorCode::kNotFound) return;
  Status s = packet.ok() ? Handle(session, std::move(*packet)) : Status(packet.error());
  if (s.ok()) return;
  if (s.error().code() != ErrorCode::kUnavailable) session->Refuse(125, s.error().message());
  Drop(session);
}

Status LaunchSocket::Handle(const std::shared_ptr<LaunchSession>& session, LaunchPacket packet) {
  pb::ClientMessage m;
  if (!m.ParseFromArray(packet.body.data(), static_cast<int>(packet.body.size())))
    return InvalidArgument("malformed message");
  // A connection can be handed on: who writes has to be who connected.
  if (packet.writer != int64_t{session->caller().pid})
    return PermissionDenied("this connection was opened by another process");
  if (m.has_signal()) {
    if (!session->opened_) return InvalidArgument("nothing was started on this connection");
    const uint32_t signal = m.signal().signal();
    if (session->on_signal && signal > 0 && signal < NSIG) session->on_signal(static_cast<int>(signal));
    return Ok();
  }
  if (session->opened_) return InvalidArgument("one launch a connection");
  session->opened_ = true;
  if (m.has_launch())
    events_.launch(session, std::move(*m.mutable_launch()), std::move(packet.fds));
  else if (m.has_attach())
    events_.attach(session, std::move(*m.mutable_attach()));
  else
    return InvalidArgument("unknown message");
  return Ok();
}

void LaunchSocket::Drop(const std::shared_ptr<LaunchSession>& session) {
  auto gone = std::move(session->on_gone);
  session->watch_ = runtime::FdWatch();
  session->socket_.reset();
  sessions_.erase(session.get());
  if (gone) gone();
}

}  // namespace hexr::spawner
