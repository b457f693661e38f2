#include "daemon/role_host.h"

#include <signal.h>

#include "base/log.h"

namespace hexr::daemon {

using runtime::Channel;
using runtime::Envelope;
using runtime::Message;

int RunRole(const std::string& name, runtime::UniqueFd socket, MakeRole make) {
  InitLog(name, LogFormat::kJson, LogLevel::kInfo);  // whatever goes wrong from here on is said as the rest is
  // The terminal's signals reach the whole group: only the supervisor acts on them.
  signal(SIGINT, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  auto first = runtime::ReceiveBlocking(socket.get(), std::chrono::seconds(10));
  if (!first.ok() || !first->body.has_start()) {
    Log(LogLevel::kError, "role.no_start", {});
    return 4;
  }
  StartInfo info{
      first->body.start(),
      config::Config{.trust_domain = TrustDomain::Parse("unset").value(), .tenant = IdSegment::Parse("unset").value()},
      std::move(first->fds)};
  auto parsed = config::ParseOrError(info.start.config_yaml(), info.start.config_path());
  if (!parsed.ok()) {
    Log(LogLevel::kError, "role.bad_config", {{"error", parsed.error()}});
    return 2;
  }
  info.config = std::move(*parsed);
  InitLog(info.start.tenant().empty() ? info.start.role() : info.start.role() + "/" + info.start.tenant(),
          LogFormat::kJson, info.config.log.level);

  runtime::Loop loop;
  int code = 0;
  std::unique_ptr<Role> role;
  const auto finish = [&](int c) {
    code = c;
    loop.Stop();
  };
  const auto drain = [&](std::chrono::milliseconds deadline) { role->OnDrain(deadline, [&] { finish(0); }); };
  Channel supervisor(
      loop, std::move(socket), "supervisor",
      [&](Message m, Channel::Reply reply) {
        switch (m.body.body_case()) {
          case Envelope::kPeer:
            if (m.fds.size() == 1) role->OnPeer(m.body.peer().role(), m.body.peer().tenant(), std::move(m.fds[0]));
            return reply.Ack();
          case Envelope::kDrain: return drain(std::chrono::milliseconds(m.body.drain().deadline_ms()));
          default: return role->OnSupervisor(std::move(m), std::move(reply));
        }
      },
      [&](const Error&) { finish(4); });  // without a supervisor there is no node
  auto terminate = runtime::SignalWatch::Create(loop, {SIGTERM}, [&](int) { drain(std::chrono::seconds(5)); });
  if (!terminate.ok()) {
    Log(LogLevel::kError, "role.signals", {{"error", terminate.error()}});
    return 4;
  }
  auto made = make(loop, std::move(info), supervisor);
  if (!made.ok()) {
    Log(LogLevel::kError, "role.start_failed", {{"error", made.error()}});
    // What an operator has to put right does not come right by itself.
    const ErrorCode why = made.error().code();
    return why == ErrorCode::kInvalidArgument || why == ErrorCode::kFailedPrecondition ||
                   why == ErrorCode::kPermissionDenied || why == ErrorCode::kNotFound
               ? 2
               : 4;
  }
  role = std::move(*made);
  loop.Run();
  role.reset();
  return code;
}

}  // namespace hexr::daemon
