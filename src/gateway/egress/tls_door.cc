#include "gateway/egress/tls_door.h"

#include "gateway/egress/http_request.h"
#include "gateway/egress/tcp_door.h"

namespace hexr::gateway {

TlsConnection::TlsConnection(ConnectionHost& host, Accepted accepted) : host_(host), accepted_(std::move(accepted)) {
  peek_ = std::make_unique<TlsPeek>(host.shared().loop, std::move(accepted_.socket), "", "",
                                    [this](TlsPeek::Outcome outcome) { Peeked(std::move(outcome)); });
}

void TlsConnection::Peeked(TlsPeek::Outcome outcome) {
  accepted_.socket = std::move(outcome.agent);
  hello_bytes_ = std::move(outcome.bytes);
  const Result<wire::ClientHello>& hello = outcome.hello;
  // Who left, or said nothing, has asked for nothing.
  if (!hello.ok() && hello.error().code() != ErrorCode::kInvalidArgument) return host_.Ended(*this);
  const std::optional<HostName> claimed = hello.ok() ? HelloName(*hello) : std::nullopt;
  auto call = MakeCall(host_, Door::kCapturedTls, CapturedDestination(host_.names(), accepted_.destination, claimed),
                       "TLS", accepted_.process);
  call->sni = claimed;
  if (hello.ok()) {
    call->ech = hello->encrypted;
    call->denial = CheckHello(call->destination, *hello);
  } else {
    call->denial = Denial{DenialKind::kMalformed, "not_tls", hello.error().message()};
  }
  ticket_ =
      host_.shared().pipeline.Admit(std::move(call), [this](std::shared_ptr<Call> c, std::optional<Admitted> admitted) {
        Decided(std::move(c), std::move(admitted));
      });
}

void TlsConnection::Decided(std::shared_ptr<Call> call, std::optional<Admitted> admitted) {
  open_ = std::make_unique<OpenCall>(host_.shared(), std::move(call));
  if (!admitted) {
    open_->Close("denied");
    SendTlsAlert(std::move(accepted_.socket), *open_->call().denial);
    return host_.Ended(*this);
  }
  ticket_ = host_.shared().pipeline.Connect(
      *admitted, [this](Result<Upstream> upstream, const Denial* denial) { Connected(std::move(upstream), denial); });
}

void TlsConnection::Connected(Result<Upstream> upstream, const Denial* denial) {
  ticket_.reset();
  if (denial != nullptr) {
    open_->DenyAfterwards(*denial);
    open_->Close("failed");
    SendTlsAlert(std::move(accepted_.socket), *denial);
    return host_.Ended(*this);
  }
  Relay::Start start{std::move(accepted_.socket), std::move(upstream->socket), std::move(hello_bytes_)};
  relay_ = std::make_unique<Relay>(host_.shared().loop, host_.shared().clock, std::move(start), [this](Relay::End end) {
    open_->Close(EndCode(end), relay_->to_upstream(), relay_->from_upstream());
    host_.Ended(*this);
  });
}

void TlsConnection::Cut() {
  ticket_.reset();
  if (peek_) peek_->Cut();
  if (relay_) relay_->Cut();
  ResetOnClose(accepted_.socket.get());
  accepted_.socket.reset();
}

void TlsConnection::Report(ledger::Code how) {
  if (open_) open_->Close(how, relay_ ? relay_->to_upstream() : 0, relay_ ? relay_->from_upstream() : 0);
}

}  // namespace hexr::gateway
