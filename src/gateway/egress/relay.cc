#include "gateway/egress/relay.h"

namespace hexr::gateway {

Relay::Relay(Shared& shared, Start start, Done done)
    : shared_(shared), done_(std::move(done)), last_byte_(shared.clock.Mono()) {
  agent_ = Open(std::move(start.agent), upstream_);
  upstream_ = Open(std::move(start.upstream), agent_);
  upstream_->Write(start.to_upstream);
  agent_->Write(start.to_agent);
  ArmIdle(shared_.deadlines.tunnel_idle);
}

// `other` is a member: it is set by the time that the first callback runs.
std::unique_ptr<net::Connection> Relay::Open(runtime::UniqueFd socket, std::unique_ptr<net::Connection>& other) {
  std::unique_ptr<net::Connection>& self = &other == &upstream_ ? agent_ : upstream_;
  // Over once both sides have said so and all of it is on its way.
  return std::make_unique<net::Connection>(shared_.loop, std::move(socket),
                                           net::Connection::Handlers{
                                               .on_data =
                                                   [this, &self, &other](ByteView data) {
                                                     last_byte_ = shared_.clock.Mono();
                                                     other->Write(data);
                                                     if (other->congested()) self->PauseReading(true);
                                                   },
                                               .on_end = [&other] { other->Finish(); },
                                               .on_drained = [&other] { other->PauseReading(false); },
                                               .on_finished =
                                                   [this] {
                                                     if (++finished_ == 2) Finish(End::kClosed);
                                                   },
                                               .on_error = [this](const Error&) { Finish(End::kBroken); },
                                           });
}

void Relay::ArmIdle(std::chrono::nanoseconds delay) {
  idle_ = shared_.loop.After(delay, [this] {
    const std::chrono::nanoseconds quiet = shared_.clock.Mono() - last_byte_;
    if (quiet >= shared_.deadlines.tunnel_idle) return Finish(End::kIdle);
    ArmIdle(shared_.deadlines.tunnel_idle - quiet);
  });
}

void Relay::Cut() {
  done_ = {};
  idle_.Cancel();
  agent_->Reset();
  upstream_->Reset();
}

void Relay::Finish(End end) {
  Done done = std::move(done_);
  if (!done) return;
  // Neither side may take a broken stream for a whole one.
  if (end != End::kClosed) Cut();
  idle_.Cancel();
  done(end);
}

}  // namespace hexr::gateway
