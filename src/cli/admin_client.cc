#include "cli/admin_client.h"

#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>

#include "runtime/channel.h"
#include "runtime/unix_socket.h"

namespace hexr::cli {
namespace {

using runtime::Envelope;
using runtime::UniqueFd;

Result<UniqueFd> Connect(const config::Paths& paths) {
  Result<UniqueFd> fd = runtime::ConnectUnix(paths.AdminSocket(), SOCK_SEQPACKET);
  if (fd.ok() || fd.error().code() == ErrorCode::kInvalidArgument) return fd;
  // An agent sees none of the node's places, and `hexr up` is no advice for it.
  if (std::getenv("HEXR_INSTANCE") != nullptr && access("/run/hexr/launch.sock", F_OK) == 0)
    return PermissionDenied(
        "this is an agent: operator commands are for the node's owner, outside; `hexr run` and "
        "`hexr svid` work here");
  if (fd.error().code() == ErrorCode::kPermissionDenied) {
    return PermissionDenied("the node at " + paths.run_dir +
                            " belongs to another user; operator commands are its owner's");
  }
  return Unavailable("no node answers at " + paths.AdminSocket() + "; start one with `hexr up`");
}

Status Ask(int fd, const std::string& method, const std::map<std::string, std::string>& args,
           const crypto::Secret& secret) {
  Envelope e;
  e.set_call(1);
  e.mutable_admin_call()->set_method(method);
  for (const auto& [k, v] : args) (*e.mutable_admin_call()->mutable_args())[k] = v;
  if (!secret.empty()) {
    e.mutable_admin_call()->mutable_secret()->assign(
        secret.RevealText(crypto::RevealToken::For("vault put, to the keeper")));
    e.mutable_admin_call()->mutable_tail()->assign(16, '\0');  // what a parser copies aside is nothing of the secret
  }
  Status sent = runtime::SendBlocking(fd, e, {}, std::chrono::seconds(5));
  runtime::WipeSecrets(e);
  return sent;
}

Result<Envelope> Next(int fd, std::chrono::milliseconds deadline) {
  ASSIGN_OR_RETURN(runtime::Message m, runtime::ReceiveBlocking(fd, deadline));
  if (m.body.has_failure()) {
    const int code = m.body.failure().code();
    return Error(code >= 1 && code <= 16 ? static_cast<ErrorCode>(code) : ErrorCode::kUnknown,
                 m.body.failure().message());
  }
  if (!m.body.has_admin_result()) return Internal("the node sent something else than an answer");
  return std::move(m.body);
}

}  // namespace

Result<AdminReply> Admin(const config::Paths& paths, const std::string& method,
                         const std::map<std::string, std::string>& args, const crypto::Secret& secret) {
  ASSIGN_OR_RETURN(const UniqueFd fd, Connect(paths));
  RETURN_IF_ERROR(Ask(fd.get(), method, args, secret));
  ASSIGN_OR_RETURN(Envelope e, Next(fd.get(), std::chrono::seconds(30)));
  AdminReply reply;
  ASSIGN_OR_RETURN(reply.json, wire::ParseJson(e.admin_result().json()));
  if (!e.admin_result().secret().empty()) {
    reply.secret = crypto::Secret::Take(*e.mutable_admin_result()->mutable_secret());
  }
  return reply;
}

}  // namespace hexr::cli
