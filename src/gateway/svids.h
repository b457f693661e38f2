// The gateway's own SVIDs: one per live instance, of the instance's SPIFFE ID with a key that was made here and stays
// here. Asked of the keeper when something first wants to speak for the instance, so that an agent that never needs one
// costs no key, no signature, no record and no revocation; renewed at about half of their life; gone with the instance.
// Belongs to the loop's thread.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>

#include "base/clock.h"
#include "base/random.h"
#include "base/spiffe_id.h"
#include "runtime/channel.h"
#include "runtime/loop.h"
#include "wire/tls_session.h"

namespace hexr::gateway {

class Svids {
 public:
  // Sends an IssueSvid to the keeper; the answer comes later, or an error when there is no keeper.
  using Ask = std::function<void(runtime::Envelope ask, UniqueFunction<void(Result<runtime::Message>)> done)>;

  // All outlive it.
  Svids(runtime::Loop& loop, const Clock& clock, Random& random, Ask ask)
      : loop_(loop), clock_(clock), random_(random), ask_(std::move(ask)) {}

  // Chain and key for mTLS of a live instance. Null: none yet, and the first call has asked for it, or it has run out;
  // then nothing may speak for the instance. At most limits::kMaxSvidAsks are with the keeper, the others wait.
  std::shared_ptr<const wire::TlsIdentity> Find(const InstanceId& instance, const SpiffeId& id);
  void Remove(const InstanceId& instance) { held_.erase(instance); }
  // Asks again now for everything that was wanted and has no SVID: the keeper is back.
  void Retry();

 private:
  struct Held {
    SpiffeId id;
    std::shared_ptr<const wire::TlsIdentity> identity = nullptr;
    WallTime not_after{};
    std::chrono::milliseconds backoff{0};
    bool asking = false;  // or waiting for its turn to
    uint64_t life = 0;    // which of its requests an answer belongs to
    runtime::Timer timer = {};
  };

  void Renew(const InstanceId& instance);
  void AskNext();
  void Answered(const InstanceId& instance, uint64_t life, crypto::PrivateKey key, Result<runtime::Message> reply);
  Status Take(Held& held, crypto::PrivateKey key, const runtime::Message& reply);

  runtime::Loop& loop_;
  const Clock& clock_;
  Random& random_;
  Ask ask_;
  std::map<InstanceId, Held> held_;
  std::deque<std::pair<InstanceId, uint64_t>> waiting_;  // instance and life; what has ended meanwhile is passed over
  size_t asked_ = 0;                                     // with the keeper
  uint64_t next_life_ = 1;
};

}  // namespace hexr::gateway
