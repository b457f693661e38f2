// The gateway's own SVIDs: one per live instance, of the instance's SPIFFE ID with a key that was made here and stays
// here. Asked of the keeper when the instance comes up, renewed at half of their life, gone with the instance. Belongs
// to the loop's thread.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>

#include "base/clock.h"
#include "base/spiffe_id.h"
#include "runtime/channel.h"
#include "runtime/loop.h"
#include "wire/tls_session.h"

namespace hexr::gateway {

class Svids {
 public:
  // Sends an IssueSvid to the keeper; the answer comes later, or an error when there is no keeper.
  using Ask = std::function<void(runtime::Envelope ask, UniqueFunction<void(Result<runtime::Message>)> done)>;

  // Both outlive it.
  Svids(runtime::Loop& loop, const Clock& clock, Ask ask) : loop_(loop), clock_(clock), ask_(std::move(ask)) {}

  void Add(const InstanceId& instance, const SpiffeId& id);
  void Remove(const InstanceId& instance) { held_.erase(instance); }
  // Asks again now for everything that has no SVID: the keeper is back.
  void Retry();
  // Chain and key for mTLS. Null: none yet, or it has run out: then nothing may speak for the instance.
  std::shared_ptr<const wire::TlsIdentity> Find(const InstanceId& instance) const;

 private:
  struct Held {
    SpiffeId id;
    std::shared_ptr<const wire::TlsIdentity> identity = nullptr;
    WallTime not_after{};
    std::chrono::milliseconds backoff{0};
    bool asking = false;
    uint64_t life = 0;  // which of its requests an answer belongs to
    runtime::Timer timer = {};
  };

  void Renew(const InstanceId& instance);
  void Answered(const InstanceId& instance, uint64_t life, crypto::PrivateKey key, Result<runtime::Message> reply);
  Status Take(Held& held, crypto::PrivateKey key, const runtime::Message& reply);

  runtime::Loop& loop_;
  const Clock& clock_;
  Ask ask_;
  std::map<InstanceId, Held> held_;
  uint64_t next_life_ = 1;
};

}  // namespace hexr::gateway
