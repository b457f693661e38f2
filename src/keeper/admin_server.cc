#include "keeper/admin_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "base/limits/messages.h"
#include "base/log.h"
#include "runtime/process.h"

namespace hexr::keeper {

using runtime::Channel;
using runtime::Envelope;
using runtime::Message;
using runtime::UniqueFd;

AdminCall::AdminCall(std::map<std::string, std::string> args, std::string secret, std::weak_ptr<Channel> channel,
                     Channel::Reply reply)
    : args_(std::move(args)), secret_(std::move(secret)), channel_(std::move(channel)), reply_(std::move(reply)) {}

AdminCall::~AdminCall() { explicit_bzero(secret_.data(), secret_.size()); }

const std::string& AdminCall::Arg(const std::string& name) const {
  static const std::string kNone;
  const auto it = args_.find(name);
  return it == args_.end() ? kNone : it->second;
}

Result<std::string> AdminCall::Required(const std::string& name) const {
  if (Arg(name).empty()) return InvalidArgument("'" + name + "' is needed");
  return Arg(name);
}

void AdminCall::Answer(const wire::Json& result, std::string_view secret) {
  Envelope e;
  e.mutable_admin_result()->set_json(wire::ToJson(result));
  e.mutable_admin_result()->set_secret(std::string(secret));
  reply_.Send(std::move(e));
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
      listener_(loop, std::move(listener), "admin", [this](UniqueFd socket) { Accepted(std::move(socket)); }) {}

AdminServer::~AdminServer() = default;

void AdminServer::Serve(const std::string& method, Handler handler) {
  HEXR_CHECK(!handlers_.contains(method));
  handlers_[method] = std::move(handler);
}

Status AdminServer::CheckCaller(int socket) const {
  ucred cred{};
  socklen_t size = sizeof cred;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &cred, &size) != 0) return ErrnoError("SO_PEERCRED", errno);
  if (cred.uid != geteuid() && cred.uid != 0)
    return PermissionDenied("operator commands are for the node's own user and root");
  // A pid of 0 is a caller in a PID namespace that we cannot see into: an agent's, for one.
  if (cred.pid <= 0) return PermissionDenied("operator commands are not served to a process in another PID namespace");
  ASSIGN_OR_RETURN(const UniqueFd pidfd, runtime::OpenPidfd(cred.pid));
  const auto inside = inside_instance_(pidfd.get(), cred.pid);
  if (!inside.ok() || *inside) return PermissionDenied("operator commands are not served to agents");
  return Ok();
}

void AdminServer::Accepted(UniqueFd socket) {
  const Status allowed = CheckCaller(socket.get());
  if (!allowed.ok()) Log(LogLevel::kWarn, "admin.refused", {{"why", allowed.error()}});
  if (connections_.size() >= limits::kMaxAdminConnections) return;  // closes it
  const uint64_t id = next_connection_++;
  // Everything that ends a connection comes through the loop, so that no channel is destroyed inside its own call.
  connections_[id] = std::make_shared<Channel>(
      loop_, std::move(socket), "admin",
      [this, id, allowed](Message m, Channel::Reply reply) {
        if (!allowed.ok()) return reply.Fail(allowed.error());
        const auto it = connections_.find(id);
        if (it != connections_.end()) Handle(it->second, std::move(m), std::move(reply));
      },
      [this, id](const Error&) { loop_.Post([this, id] { connections_.erase(id); }); });
}

void AdminServer::Handle(const std::shared_ptr<Channel>& channel, Message m, Channel::Reply reply) {
  if (!m.body.has_admin_call()) return reply.Fail(InvalidArgument("not an operator command"));
  auto& call = *m.body.mutable_admin_call();
  const auto handler = handlers_.find(call.method());
  if (handler == handlers_.end()) return reply.Fail(Unimplemented("this node does not know '" + call.method() + "'"));
  std::string secret = std::move(*call.mutable_secret());
  handler->second(
      std::make_shared<AdminCall>(std::map<std::string, std::string>(call.args().begin(), call.args().end()),
                                  std::move(secret), channel, std::move(reply)));
}

}  // namespace hexr::keeper
