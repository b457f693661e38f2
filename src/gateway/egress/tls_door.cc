#include "gateway/egress/tls_door.h"

#include "gateway/egress/http_request.h"

namespace hexr::gateway {

TlsConnection::TlsConnection(ConnectionHost& host, Accepted accepted) : RelayedConnection(host, std::move(accepted)) {
  peek_ = std::make_unique<TlsPeek>(host_.shared(), std::move(accepted_.socket), "", "",
                                    [this](TlsPeek::Outcome outcome) { Peeked(std::move(outcome)); });
}

void TlsConnection::Peeked(TlsPeek::Outcome outcome) {
  accepted_.socket = std::move(outcome.agent);
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
  Ask(std::move(call), std::move(outcome.bytes));
}

void TlsConnection::Cut() {
  if (peek_) peek_->Cut();
  RelayedConnection::Cut();
}

}  // namespace hexr::gateway
