// What real clients are pointed at: our gRPC server on a Unix socket and on TCP, our HTTP server on TCP. Prints where
// they listen as one line of JSON, and serves until its standard input ends.
#include <google/protobuf/descriptor.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>

#include "base/clock.h"
#include "net/grpc_unix_server.h"
#include "net/http_server.h"
#include "wire/grpc_services.h"
#include "wire/http2_server.h"
#include "wire/json.h"

namespace {

using hexr::wire::GrpcCall;
using hexr::wire::GrpcRequest;
using hexr::wire::GrpcStream;

class Echo final : public GrpcCall {
 public:
  explicit Echo(std::shared_ptr<GrpcStream> stream) : stream_(std::move(stream)) {}
  void OnMessage(hexr::ByteView message) override { static_cast<void>(stream_->Send(message).ok()); }
  void OnHalfClose() override { stream_->Finish(hexr::Ok()); }

 private:
  std::shared_ptr<GrpcStream> stream_;
};

// HTTP/2 as such, without gRPC on it: every request is answered with a few bytes once it has ended.
class PlainHttp2 {
 public:
  PlainHttp2(hexr::runtime::Loop& loop, const hexr::Clock& clock, hexr::runtime::UniqueFd listener)
      : loop_(loop), clock_(clock), listener_(std::move(listener)) {
    watch_ = loop_.Watch(listener_.get(), [this] {
      hexr::runtime::UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!socket) return;
      auto c = std::make_shared<Connection>(loop_, clock_, std::move(socket));
      c->gone = [this, raw = c.get()] { loop_.Post([this, raw] { connections_.erase(raw); }); };
      connections_.emplace(c.get(), std::move(c));
    });
  }

 private:
  struct Connection final : hexr::wire::Http2Handler {
    Connection(hexr::runtime::Loop& loop, const hexr::Clock& clock, hexr::runtime::UniqueFd s)
        : socket(std::move(s)), server(*this, clock) {
      watch = loop.Watch(socket.get(), [this] { Read(); });
    }
    void OnRequest(int32_t, hexr::wire::Http2Request) override {}
    void OnData(int32_t stream, hexr::ByteView data) override { server.Consume(stream, data.size()); }
    void OnEnd(int32_t stream) override {
      server.Respond(stream, 200, {});
      server.Send(stream, hexr::ToBytes("hello"));
      server.End(stream, {});
    }
    void OnRefused(int32_t stream, const hexr::Error&) override { server.RespondAndEnd(stream, 431, {}); }
    void OnDrained(int32_t) override {}
    void OnClose(int32_t) override {}
    void Read() {
      uint8_t in[16384];
      const ssize_t n = recv(socket.get(), in, sizeof in, 0);
      if (n < 0 && errno == EAGAIN) return;
      const bool fed = n > 0 && server.Feed({in, static_cast<size_t>(n)}, 1).ok();
      std::string out;
      server.TakeOutput(out, 1 << 20);
      // What a test asks for fits into the socket's buffer.
      if (!out.empty()) (void)!send(socket.get(), out.data(), out.size(), MSG_NOSIGNAL);
      if (fed && !server.finished()) return;  // after the output: a GOAWAY has to be out
      watch = hexr::runtime::FdWatch();
      (void)shutdown(socket.get(), SHUT_RDWR);
      gone();
    }

    hexr::runtime::UniqueFd socket;
    hexr::wire::Http2Server server;
    hexr::runtime::FdWatch watch;
    std::function<void()> gone;
  };

  hexr::runtime::Loop& loop_;
  const hexr::Clock& clock_;
  hexr::runtime::UniqueFd listener_;
  hexr::runtime::FdWatch watch_;
  std::map<Connection*, std::shared_ptr<Connection>> connections_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string path = argv[1];
  hexr::runtime::Loop loop;
  const hexr::SystemClock clock;
  hexr::wire::GrpcRouter router;
  hexr::wire::GrpcHealth health;
  const hexr::net::GrpcUnixServer* unix_server = nullptr;

  router.AddOneMessage("/test.Echo/Unary", [](std::shared_ptr<GrpcStream> s, const GrpcRequest&, hexr::ByteView m) {
    s->Finish(s->Send(m));
    return std::unique_ptr<GrpcCall>();
  });
  router.AddOneMessage("/test.Echo/Deny", [](std::shared_ptr<GrpcStream> s, const GrpcRequest&, hexr::ByteView) {
    s->Finish(hexr::PermissionDenied("100% no: \xC3\xBC"));
    return std::unique_ptr<GrpcCall>();
  });
  router.AddOneMessage("/test.Echo/Pid", [&](std::shared_ptr<GrpcStream> s, const GrpcRequest& r, hexr::ByteView) {
    const auto evidence = unix_server->EvidenceOf(r.writer);
    s->Finish(evidence.ok() ? s->Send(hexr::AsBytes(std::to_string(evidence->pid))) : hexr::Status(evidence.error()));
    return std::unique_ptr<GrpcCall>();
  });
  router.Add("/test.Echo/Stream", [](std::shared_ptr<GrpcStream> s, const GrpcRequest&) {
    return hexr::Result<std::unique_ptr<GrpcCall>>(std::make_unique<Echo>(std::move(s)));
  });
  health.AddTo(router);
  health.Set("", true);
  hexr::wire::AddGrpcReflection(router, *google::protobuf::DescriptorPool::generated_pool());

  auto unix_listener = hexr::net::BindUnix(path, SOCK_STREAM, 0600).value();
  auto grpc_listener = hexr::net::BindTcp("127.0.0.1", 0).value();
  auto http_listener = hexr::net::BindTcp("127.0.0.1", 0).value();
  auto http2_listener = hexr::net::BindTcp("127.0.0.1", 0).value();
  const hexr::wire::JsonObject where{{"grpc_port", hexr::net::LocalPort(grpc_listener.get()).value()},
                                     {"http_port", hexr::net::LocalPort(http_listener.get()).value()},
                                     {"http2_port", hexr::net::LocalPort(http2_listener.get()).value()}};
  const PlainHttp2 http2(loop, clock, std::move(http2_listener));
  hexr::net::GrpcUnixServer on_unix(loop, clock, std::move(unix_listener), router);
  unix_server = &on_unix;
  hexr::net::GrpcUnixServerOptions tcp;
  tcp.insecure_tcp_for_tests = true;
  const hexr::net::GrpcUnixServer on_tcp(loop, clock, std::move(grpc_listener), router, tcp);
  const hexr::net::HttpServer http(
      loop, std::move(http_listener), [](hexr::net::HttpRequest r, std::shared_ptr<hexr::net::HttpResponder> out) {
        if (r.head.target == "/stream") {
          out->Begin(200, {});
          for (int i = 0; i < 1000; ++i) out->Write("piece " + std::to_string(i) + "\n");
          return out->End();
        }
        out->Send(200, {{"X-Method", r.head.method}}, r.body.empty() ? r.head.target : r.body);
      });
  const hexr::runtime::FdWatch input = loop.Watch(STDIN_FILENO, [&loop] {
    char byte = 0;
    if (read(STDIN_FILENO, &byte, 1) <= 0) loop.Stop();
  });
  std::printf("%s\n", hexr::wire::ToJson(where).c_str());
  std::fflush(stdout);
  loop.Run();
  unlink(path.c_str());
  return 0;
}
