// The gateway's evidence: AZ for every decision, EG for every connection. What waits for a record goes on only when the
// journal has acknowledged it; a failure is a deny. Paths and queries enter as salted digests. Belongs to the loop's
// thread.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/clock.h"
#include "base/limits/ledger.h"
#include "base/random.h"
#include "gateway/call.h"
#include "gateway/pipeline.h"
#include "ledger/repeats.h"
#include "ledger/types.h"
#include "policy/policy.h"
#include "runtime/channel.h"

namespace hexr::gateway {

// The journal, or what stands for it in tests.
class RecordSink {
 public:
  using Done = UniqueFunction<void(Status)>;
  virtual ~RecordSink() = default;
  // `done` runs once on the loop, now or later, when the record is as safe as `ledger.sync` asks, or with why it is
  // not.
  virtual void Append(const ledger::Event& event, Done done) = 0;
  // Nothing more will be recorded about this instance.
  virtual void EndInstance(const InstanceId& instance) = 0;
  // Full or broken: time to open another one in its place.
  virtual bool WantsReplacement() const = 0;
  // Goes on in the journal that the keeper opened (proto Journal and its descriptor), and waits for no disk. An error:
  // it could not, and WantsReplacement is as it was.
  virtual Status Replace(runtime::Message journal) = 0;
};

struct Traffic {
  uint64_t to_upstream = 0;  // bytes
  uint64_t from_upstream = 0;
  std::chrono::nanoseconds duration{0};
};

class Recorder {
 public:
  using Done = RecordSink::Done;

  // All outlive it. `on_counted`: something waits for WriteRepeats, which is then called soon, and by EndInstance.
  Recorder(RecordSink& sink, const Clock& clock, Random& random, UniqueFunction<void()> on_counted = {})
      : sink_(sink), clock_(clock), random_(random), on_counted_(std::move(on_counted)) {}

  // AZ: what was asked and what was answered. Refusals of one instance beyond limits::kDenialsPerSecond are counted.
  void Decided(const Call& call, Done done);
  // PC: which policy decides from now on, and what of a call it reads.
  void PolicyInForce(const SpiffeId& trust_domain, const IdSegment& tenant, const policy::PolicySet& set,
                     policy::Mode mode, Done done);
  // EG: before `endpoint` is dialled.
  void Opened(const Call& call, const Endpoint& endpoint, Done done);
  // EG: how it ended; `how` is a word such as "closed", "failed", "revoked".
  void Closed(const Call& call, ledger::Code how, const Traffic& traffic, Done done);

  // The refusals that were counted since the last call, as records.
  void WriteRepeats();
  void EndInstance(const InstanceId& instance);

  // Decided as the pipeline's step. A call that repeats a recorded one with the same answer is not recorded again.
  Step AsStep();

 private:
  void Append(ledger::RecordKind kind, const Call& call, ledger::Body body, Done done);
  RecordSink& sink_;
  const Clock& clock_;
  Random& random_;
  UniqueFunction<void()> on_counted_;
  ledger::Repeats repeats_{limits::kDenialsPerSecond};
};

}  // namespace hexr::gateway
