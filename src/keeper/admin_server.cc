#include "keeper/admin_server.h"

#include <unistd.h>

#include "base/limits/messages.h"
#include "base/log.h"
#include "net/unix_peer.h"
#include "runtime/process.h"

namespace hexr::keeper {

using runtime::Channel;
using runtime::Envelope;
using runtime::Message;
using runtime::UniqueFd;

namespace {

// The parser copies the last bytes of a message aside, onto its stack: these are not the secret's.
constexpr size_t kTailBytes = 16;

}  // namespace

AdminCall::AdminCall(Operator who, std::map<std::string, std::string> args, crypto::Secret secret,
                     std::weak_ptr<Channel> channel, Channel::Reply reply)
    : who_(std::move(who)),
      args_(std::move(args)),
      secret_(std::move(secret)),
      channel_(std::move(channel)),
      reply_(std::move(reply)) {}

const std::string& AdminCall::Arg(const std::string& name) const {
  static const std::string kNone;
  const auto it = args_.find(name);
  return it == args_.end() ? kNone : it->second;
}

Result<std::string> AdminCall::Required(const std::string& name) const {
  if (Arg(name).empty()) return InvalidArgument("'" + name + "' is needed");
  return Arg(name);
}

void AdminCall::Answer(const wire::Json& result, const crypto::Secret& secret) {
  Envelope e;
  e.mutable_admin_result()->set_json(wire::ToJson(result));
  if (!secret.empty()) {
    e.mutable_admin_result()->mutable_secret()->assign(
        secret.RevealText(crypto::RevealToken::For("vault get, by an operator")));
    e.mutable_admin_result()->mutable_tail()->assign(kTailBytes, '\0');
  }
  reply_.Send(std::move(e));  // wiped behind it
}

void AdminCall::Fail(const Error& error) { reply_.Fail(error); }

bool AdminCall::Next(const wire::Json& result) {
  const auto channel = channel_.lock();
  if (!channel || !channel->open()) return false;
  Envelope e;
  e.mutable_admin_result()->set_json(wire::ToJson(result));
  e.mutable_admin_result()->set_more(true);
  return channel->Send(std::move(e)).ok();
}

void AdminCall::End() {
  Envelope e;
  e.mutable_admin_result();
  reply_.Send(std::move(e));
}

AdminServer::AdminServer(runtime::Loop& loop, UniqueFd listener, InsideInstance inside_instance)
    : loop_(loop),
      inside_instance_(std::move(inside_instance)),
      listener_(loop, std::move(listener), "admin", [this](UniqueFd socket) { Accepted(std::move(socket)); }) {
  // What it accepts has it from birth, where it can be had.
  (void)net::EnablePeerEvidence(listener_.fd(), net::PeerTier::kCredentials);
}

AdminServer::~AdminServer() = default;

void AdminServer::Serve(const std::string& method, Handler handler) {
  HEXR_CHECK(!handlers_.contains(method));
  handlers_[method] = std::move(handler);
}

Result<Operator> AdminServer::CheckCaller(int socket) const {
  ASSIGN_OR_RETURN(net::PeerEvidence who, net::ConnectorOf(socket));
  if (who.uid != geteuid() && who.uid != 0)
    return PermissionDenied("operator commands are for the node's own user and root");
  // A pid of 0 is a caller in a PID namespace that we cannot see into: an agent's, for one.
  if (who.pid <= 0) return PermissionDenied("operator commands are not served to a process in another PID namespace");
  if (!who.pidfd) {
    // Before kernel 6.5 there is the number alone, and another process may have it by now.
    ASSIGN_OR_RETURN(who.pidfd, runtime::OpenPidfd(static_cast<pid_t>(who.pid)));
  }
  const auto inside = inside_instance_(who.pidfd.get(), static_cast<pid_t>(who.pid));
  if (!inside.ok() || *inside) return PermissionDenied("operator commands are not served to agents");
  return Operator{who.uid, who.gid, who.pid, std::make_shared<const UniqueFd>(std::move(who.pidfd))};
}

void AdminServer::Accepted(UniqueFd socket) {
  Result<Operator> allowed = CheckCaller(socket.get());
  if (const auto named = net::EnablePeerEvidence(socket.get(), net::PeerTier::kCredentials); !named.ok())
    allowed = named.error();
  if (!allowed.ok()) Log(LogLevel::kWarn, "admin.refused", {{"why", allowed.error()}});
  if (connections_.size() >= limits::kMaxAdminConnections) return;  // closes it
  const uint64_t id = next_connection_++;
  // Everything that ends a connection comes through the loop, so that no channel is destroyed inside its own call.
  connections_[id] = std::make_shared<Channel>(
      loop_, std::move(socket), "admin",
      [this, id, allowed](Message m, Channel::Reply reply) {
        if (!allowed.ok()) return reply.Fail(allowed.error());
        // A connection can be handed on: who writes has to be who connected, and is named in records.
        if (m.sender_pid != allowed->pid)
          return reply.Fail(PermissionDenied("this connection was opened by another process"));
        const auto it = connections_.find(id);
        if (it != connections_.end()) Handle(*allowed, it->second, std::move(m), std::move(reply));
      },
      [this, id](const Error&) { loop_.Post([this, id] { connections_.erase(id); }); });
}

void AdminServer::Handle(const Operator& who, const std::shared_ptr<Channel>& channel, Message m,
                         Channel::Reply reply) {
  if (!m.body.has_admin_call()) return reply.Fail(InvalidArgument("not an operator command"));
  auto& call = *m.body.mutable_admin_call();
  const auto handler = handlers_.find(call.method());
  if (handler == handlers_.end()) return reply.Fail(Unimplemented("this node does not know '" + call.method() + "'"));
  crypto::Secret secret;
  if (!call.secret().empty()) secret = crypto::Secret::Take(*call.mutable_secret());
  handler->second(
      std::make_shared<AdminCall>(who, std::map<std::string, std::string>(call.args().begin(), call.args().end()),
                                  std::move(secret), channel, std::move(reply)));
}

}  // namespace hexr::keeper
