// The way of a call through the gateway, in one place:
//
//   identify → route → decide → record → connect
//
// identify  the listener says which instance asks; is it live and free?      (found by construction, never by content)
// route     what kind of thing is asked for; what may never be asked for
// decide    allow or deny, by rule or policy
// record    the decision is with the kernel before anything happens           (a journal that fails is a deny)
// connect   the destination is resolved, checked and dialled
//
// A step that fails, does not answer in time or is missing is a deny; every deny but that of a failing record is
// recorded. Each step is a value that tests replace. Belongs to the loop's thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "base/limits/gateway.h"
#include "base/random.h"
#include "gateway/call.h"
#include "runtime/loop.h"
#include "runtime/unique_fd.h"

namespace hexr::gateway {

// A call that every step up to the record has let through; made by the pipeline alone, wanted by the connect step.
class Admitted {
 public:
  const Call& call() const { return *call_; }

 private:
  friend class Pipeline;
  explicit Admitted(std::shared_ptr<const Call> call) : call_(std::move(call)) {}
  std::shared_ptr<const Call> call_;
};

using StepDone = UniqueFunction<void(Status)>;
// Runs `done` once, now or later.
using Step = std::function<void(const std::shared_ptr<Call>& call, StepDone done)>;

struct Upstream {
  runtime::UniqueFd socket;  // connected, non-blocking
  Endpoint endpoint;
};
using ConnectDone = UniqueFunction<void(Result<Upstream>)>;
// What it returns is held while the connection is wanted; dropping it gives up.
using ConnectStep = std::function<std::shared_ptr<void>(const Admitted& admitted, ConnectDone done)>;

// The ones below in their order; all of them are needed.
struct Steps {
  Step identify;
  Step route;
  Step decide;
  Step record;
  ConnectStep connect;
};

// How long each step may take.
struct StepDeadlines {
  std::chrono::milliseconds identify = limits::kIdentifyDeadline;
  std::chrono::milliseconds route = limits::kRouteDeadline;
  std::chrono::milliseconds decide = limits::kDecideDeadline;
  std::chrono::milliseconds record = limits::kRecordDeadline;
  std::chrono::milliseconds connect = limits::kConnectDeadline;
};

// A Decider as a step. `decider` outlives it.
Step DecideWith(Decider& decider);

class Pipeline {
 public:
  // Held while the outcome is wanted: dropping it means that the callback never runs.
  using Ticket = std::shared_ptr<void>;
  using AdmitDone = UniqueFunction<void(std::shared_ptr<Call>, std::optional<Admitted>)>;
  using ConnectOutcome = UniqueFunction<void(Result<Upstream>, const Denial* denial)>;

  Pipeline(runtime::Loop& loop, Random& random, Steps steps, StepDeadlines deadlines = {})
      : loop_(loop), random_(random), steps_(std::move(steps)), deadlines_(deadlines) {}

  // A name for a call: Admit gives one to each.
  std::string MakeCallId();
  // Identify to record. Names the call (`id`), which then belongs to the pipeline until `done`, never run from inside
  // Admit: with Admitted, or without it and the call's denial set.
  [[nodiscard]] Ticket Admit(std::shared_ptr<Call> call, AdmitDone done);
  // `denial` says what to tell the agent when there is no upstream. Never runs from inside Connect.
  [[nodiscard]] Ticket Connect(const Admitted& admitted, ConnectOutcome done);

 private:
  class Run;
  class Dial;
  runtime::Loop& loop_;
  Random& random_;
  Steps steps_;
  StepDeadlines deadlines_;
};

}  // namespace hexr::gateway
