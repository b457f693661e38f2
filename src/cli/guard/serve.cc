#include <csignal>
#include <cstdio>

#include "base/clock.h"
#include "cli/guard/engine.h"
#include "cli/guard/guard_commands.h"
#include "cli/output.h"
#include "config/config.h"
#include "guard/llm_guard_api.h"
#include "net/http_server.h"

namespace hexr::cli {
namespace {

Status ServeGuard(const Invocation& in) {
  ASSIGN_OR_RETURN(const config::ListenAddress listen, config::ListenAddress::Parse(in.Get("--listen")));
  ASSIGN_OR_RETURN(const std::unique_ptr<guard::Worker> worker, OpenGuard(in));
  ASSIGN_OR_RETURN(runtime::UniqueFd socket, net::BindTcp(listen.address, listen.port));
  const SystemClock clock;
  runtime::Loop loop;
  signal(SIGPIPE, SIG_IGN);
  ASSIGN_OR_RETURN(const auto signals,
                   runtime::SignalWatch::Create(loop, {SIGTERM, SIGINT, SIGHUP}, [&](int) { loop.Stop(); }));
  const net::HttpServer server(
      loop, std::move(socket), [&](net::HttpRequest request, std::shared_ptr<net::HttpResponder> responder) {
        const std::string_view target = request.head.target;
        const guard::ApiReply reply = guard::ServeLlmGuard(*worker, clock, nullptr, request.head.method,
                                                           target.substr(0, target.find('?')), request.body);
        responder->Send(reply.status, {{"Content-Type", reply.content_type}}, reply.body);
      });
  if (in.output == Output::kJson)
    PrintLine(wire::ToJson(wire::JsonObject{{"listen", listen.ToString()}}));
  else
    PrintLine("the guard listens on " + listen.ToString());
  std::fflush(stdout);
  loop.Run();
  return Ok();
}

}  // namespace

int RunGuardServe(const Invocation& in) {
  const Status s = ServeGuard(in);
  return s.ok() ? kYes : Fail(s.error());
}

}  // namespace hexr::cli
