#include "gateway/egress/tls_peek.h"

#include <sys/socket.h>

#include <array>

namespace hexr::gateway {

TlsPeek::TlsPeek(Shared& shared, runtime::UniqueFd agent, std::string bytes, const std::string& unsent, Done done)
    : bytes_(std::move(bytes)), done_(std::move(done)) {
  stream_ = std::make_unique<net::Connection>(
      shared.loop, std::move(agent),
      net::Connection::Handlers{
          .on_data =
              [this](ByteView data) {
                bytes_.append(AsText(data));
                Look();
              },
          .on_end =
              [this] { Finish(Error(ErrorCode::kAborted, "the agent closed before its ClientHello was complete")); },
          .on_error = [this](const Error& e) { Finish(e); }});
  stream_->Write(unsent);
  deadline_ = shared.loop.After(shared.deadlines.request_head,
                                [this] { Finish(DeadlineExceeded("no whole ClientHello in time")); });
  if (!bytes_.empty()) first_look_ = shared.loop.After(std::chrono::nanoseconds(0), [this] { Look(); });
}

void TlsPeek::Look() {
  Result<std::optional<wire::ClientHello>> hello = reader_.Read(AsBytes(bytes_).subspan(looked_at_));
  looked_at_ = bytes_.size();
  if (!hello.ok()) return Finish(InvalidArgument("this port takes TLS only: " + hello.error().message()));
  if (hello->has_value()) Finish(**hello);
}

void TlsPeek::Finish(Result<wire::ClientHello> hello) {
  if (!done_) return;
  deadline_.Cancel();
  first_look_.Cancel();
  Done done = std::exchange(done_, {});
  std::string unsent = stream_->TakeUnsent();
  done({std::move(hello), stream_->Release(), std::move(bytes_), std::move(unsent)});
}

void TlsPeek::Cut() {
  done_ = {};
  deadline_.Cancel();
  first_look_.Cancel();
  stream_->Reset();
}

std::optional<HostName> HelloName(const wire::ClientHello& hello) {
  Result<HostName> name = HostName::Parse(hello.server_name);
  return name.ok() ? std::optional(std::move(name).value()) : std::nullopt;
}

std::optional<Denial> CheckHello(const HostPort& destination, const wire::ClientHello& hello) {
  const HostName* name = destination.host.name();
  if (name == nullptr) return std::nullopt;
  if (hello.server_name.empty()) {
    return Denial{DenialKind::kDenied, "sni_missing",
                  "the TLS client names no server; a connection to " + name->value() + " names it"};
  }
  const std::optional<HostName> claimed = HelloName(hello);
  if (claimed && *claimed == *name) return std::nullopt;
  return Denial{DenialKind::kDenied, "sni_mismatch",
                "the TLS client asks for " +
                    (claimed ? claimed->value() : std::string("something that is no host name")) +
                    ", but the connection goes to " + name->value()};
}

void SendTlsAlert(runtime::UniqueFd agent, const Denial& denial) {
  constexpr uint8_t kAccessDenied = 49, kInternalError = 80, kUnrecognizedName = 112;
  uint8_t description = kInternalError;
  if (denial.kind == DenialKind::kDenied)
    description = denial.rule.starts_with("sni_") ? kUnrecognizedName : kAccessDenied;
  const std::array<uint8_t, 7> alert = {21, 3, 3, 0, 2, 2, description};
  send(agent.get(), alert.data(), alert.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  shutdown(agent.get(), SHUT_WR);
}

}  // namespace hexr::gateway
