#include "gateway/egress/relay.h"

#include "base/limits/gateway.h"

namespace hexr::gateway {

Relay::Relay(runtime::Loop& loop, const Clock& clock, Start start, Done done)
    : loop_(loop), clock_(clock), done_(std::move(done)), last_byte_(clock.Mono()) {
  agent_ = Open(std::move(start.agent), upstream_);
  upstream_ = Open(std::move(start.upstream), agent_);
  upstream_->Write(start.to_upstream);
  agent_->Write(start.to_agent);
  ArmIdle(limits::kTunnelIdleDeadline);
}

// `other` is a member: it is set by the time that the first callback runs.
std::unique_ptr<Stream> Relay::Open(runtime::UniqueFd socket, std::unique_ptr<Stream>& other) {
  std::unique_ptr<Stream>& self = &other == &upstream_ ? agent_ : upstream_;
  return std::make_unique<Stream>(loop_, std::move(socket),
                                  Stream::Handlers{
                                      .on_data =
                                          [this, &self, &other](ByteView data) {
                                            last_byte_ = clock_.Mono();
                                            other->Write(data);
                                            if (other->congested()) self->PauseReading(true);
                                          },
                                      .on_end =
                                          [this, &other] {
                                            ++ends_seen_;
                                            other->Finish();
                                            CheckEnd();
                                          },
                                      .on_drained = [&other] { other->PauseReading(false); },
                                      .on_finished = [this] { CheckEnd(); },
                                      .on_error = [this](const Error&) { Finish(End::kBroken); },
                                  });
}

// Over once both sides have said so and all of it is on its way.
void Relay::CheckEnd() {
  if (ends_seen_ == 2 && agent_->finished() && upstream_->finished()) Finish(End::kClosed);
}

void Relay::ArmIdle(std::chrono::nanoseconds delay) {
  idle_ = loop_.After(delay, [this] {
    const std::chrono::nanoseconds quiet = clock_.Mono() - last_byte_;
    if (quiet >= limits::kTunnelIdleDeadline) return Finish(End::kIdle);
    ArmIdle(limits::kTunnelIdleDeadline - quiet);
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
