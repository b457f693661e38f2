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
      listener_(loop, std::move(listener), "admin", [this](UniqueFd socket) { Accepted(std::move(socket)); }) {}

AdminServer::~AdminServer() = default;

void AdminServer::Serve(const std::string& method, Handler handler) {
  HEXR_CHECK(!handlers_.contains(method));
  handlers_[method] = std::move(handler);
}

Result<Operator> AdminServer::CheckCaller(int socket) const {
  ucred cred{};
  socklen_t size = sizeof cred;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &cred, &size) != 0) return ErrnoError("SO_PEERCRED", errno);
  if (cred.uid != geteuid() && cred.uid != 0)
    return PermissionDenied("operator commands are for the node's own user and root");
  // A pid of 0 is a caller in a PID namespace that we cannot see into: an agent's, for one.
  if (cred.pid <= 0) return PermissionDenied("operator commands are not served to a process in another PID namespace");
  ASSIGN_OR_RETURN(UniqueFd pidfd, runtime::OpenPidfd(cred.pid));
  const auto inside = inside_instance_(pidfd.get(), cred.pid);
  if (!inside.ok() || *inside) return PermissionDenied("operator commands are not served to agents");
  return Operator{cred.uid, cred.gid, cred.pid, std::make_shared<const UniqueFd>(std::move(pidfd))};
}

void AdminServer::Accepted(UniqueFd socket) {
  const Result<Operator> allowed = CheckCaller(socket.get());
  if (!allowed.ok()) Log(LogLevel::kWarn, "admin.refused", {{"why", allowed.error()}});
  if (connections_.size() >= limits::kMaxAdminConnections) return;  // closes it
  const uint64_t id = next_connection_++;
  // Everything that ends a connection comes through the loop, so that no channel is destroyed inside its own call.
  connections_[id] = std::make_shared<Channel>(
      loop_, std::move(socket), "admin",
      [this, id, allowed](Message m, Channel::Reply reply) {
        if (!allowed.ok()) return reply.Fail(allowed.error());
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
