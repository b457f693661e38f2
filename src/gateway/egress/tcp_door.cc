#include "gateway/egress/tcp_door.h"

#include "gateway/egress/http_request.h"

namespace hexr::gateway {

ledger::Code EndCode(Relay::End end) {
  switch (end) {
    case Relay::End::kClosed: return "closed";
    case Relay::End::kBroken: return "broken";
    case Relay::End::kIdle: return "idle";
  }
  return "unknown";
}

TcpConnection::TcpConnection(ConnectionHost& host, Accepted accepted) : host_(host), accepted_(std::move(accepted)) {
  auto call = MakeCall(host, Door::kCapturedTcp, CapturedDestination(host.names(), accepted_.destination, std::nullopt),
                       "TCP", accepted_.process);
  ticket_ =
      host.shared().pipeline.Admit(std::move(call), [this](std::shared_ptr<Call> c, std::optional<Admitted> admitted) {
        Decided(std::move(c), std::move(admitted));
      });
}

void TcpConnection::Decided(std::shared_ptr<Call> call, std::optional<Admitted> admitted) {
  open_ = std::make_unique<OpenCall>(host_.shared(), std::move(call));
  if (!admitted) {
    open_->Close("denied");
    ResetOnClose(accepted_.socket.get());
    return host_.Ended(*this);
  }
  ticket_ = host_.shared().pipeline.Connect(
      *admitted, [this](Result<Upstream> upstream, const Denial* denial) { Connected(std::move(upstream), denial); });
}

void TcpConnection::Connected(Result<Upstream> upstream, const Denial* denial) {
  ticket_.reset();
  if (denial != nullptr) {
    open_->DenyAfterwards(*denial);
    open_->Close("failed");
    ResetOnClose(accepted_.socket.get());
    return host_.Ended(*this);
  }
  relay_ = std::make_unique<Relay>(host_.shared().loop, host_.shared().clock,
                                   Relay::Start{std::move(accepted_.socket), std::move(upstream->socket)},
                                   [this](Relay::End end) {
                                     open_->Close(EndCode(end), relay_->to_upstream(), relay_->from_upstream());
                                     host_.Ended(*this);
                                   });
}

void TcpConnection::Cut() {
  ticket_.reset();
  if (relay_) relay_->Cut();
  ResetOnClose(accepted_.socket.get());
  accepted_.socket.reset();
}

void TcpConnection::Report(ledger::Code how) {
  if (open_) open_->Close(how, relay_ ? relay_->to_upstream() : 0, relay_ ? relay_->from_upstream() : 0);
}

}  // namespace hexr::gateway
