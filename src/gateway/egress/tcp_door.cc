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

void RelayedConnection::Ask(std::shared_ptr<Call> call, std::string first) {
  first_ = std::move(first);
  ticket_ =
      host_.shared().pipeline.Admit(std::move(call), [this](std::shared_ptr<Call> c, std::optional<Admitted> admitted) {
        Decided(std::move(c), std::move(admitted));
      });
}

void RelayedConnection::Decided(std::shared_ptr<Call> call, std::optional<Admitted> admitted) {
  open_ = std::make_unique<OpenCall>(host_.shared(), std::move(call));
  if (!admitted) return End("denied", *open_->call().denial);
  ticket_ = host_.shared().pipeline.Connect(
      *admitted, [this](Result<Upstream> upstream, const Denial* denial) { Connected(std::move(upstream), denial); });
}

void RelayedConnection::Connected(Result<Upstream> upstream, const Denial* denial) {
  ticket_.reset();
  if (denial != nullptr) {
    open_->DenyAfterwards(*denial);
    return End("failed", *denial);
  }
  relay_ = std::make_unique<Relay>(
      host_.shared(), Relay::Start{std::move(accepted_.socket), std::move(upstream->socket), std::move(first_)},
      [this](Relay::End end) {
        Report(EndCode(end));
        host_.Ended(*this);
      });
}

void RelayedConnection::End(ledger::Code how, const Denial& denial) {
  open_->Close(how);
  Refuse(std::move(accepted_.socket), denial);
  host_.Ended(*this);
}

void RelayedConnection::Cut() {
  ticket_.reset();
  if (relay_) relay_->Cut();
  net::ResetOnClose(accepted_.socket.get());
  accepted_.socket.reset();
}

void RelayedConnection::Report(ledger::Code how) {
  if (open_) open_->Close(how, relay_ ? relay_->to_upstream() : 0, relay_ ? relay_->from_upstream() : 0);
}

TcpConnection::TcpConnection(ConnectionHost& host, Accepted accepted) : RelayedConnection(host, std::move(accepted)) {
  Ask(MakeCall(host_, Door::kCapturedTcp, CapturedDestination(host_.names(), accepted_.destination, std::nullopt),
               "TCP", accepted_.process),
      "");
}

}  // namespace hexr::gateway
