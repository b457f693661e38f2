// The SVID that the bundle endpoint shows in the https_spiffe profile: asked of the keeper, renewed at half its life,
// with a new key each time. Belongs to the loop.
#pragma once

#include <chrono>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "runtime/channel.h"
#include "wire/tls_session.h"

namespace hexr::courier {

class OwnSvid {
 public:
  using Ask = UniqueFunction<void(runtime::Envelope, runtime::Channel::OnReply)>;
  // `ask` puts a question to the keeper; `take` gets each new identity.
  OwnSvid(runtime::Loop& loop, const Clock& clock, Ask ask, UniqueFunction<Status(wire::TlsIdentity)> take)
      : loop_(loop), clock_(clock), ask_(std::move(ask)), take_(std::move(take)) {}

  // Asks now, and goes on by itself. Harmless while a question is out.
  void Renew();

 private:
  Result<WallTime> Take(crypto::PrivateKey key, const Result<runtime::Message>& reply);

  runtime::Loop& loop_;
  const Clock& clock_;
  Ask ask_;
  UniqueFunction<Status(wire::TlsIdentity)> take_;
  bool asking_ = false;
  std::chrono::milliseconds backoff_{0};
  runtime::Timer timer_;
};

}  // namespace hexr::courier
