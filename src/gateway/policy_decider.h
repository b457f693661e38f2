// Decisions by Rego: what the allow list grants is asked of the policy in force as well, and both have to allow it.
// Belongs to the loop's thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "gateway/decision.h"
#include "policy/policy.h"

namespace hexr::gateway {

// A call as policies see it (docs/policy/input.md). Holds the texts that `call` points at, so it stays where it is.
class PolicyInput {
 public:
  PolicyInput(const Call& call, WallTime now);
  PolicyInput(const PolicyInput&) = delete;
  PolicyInput& operator=(const PolicyInput&) = delete;
  const policy::Call& call() const { return call_; }

 private:
  std::string spiffe_id_, host_, resource_, digest_, path_;
  std::vector<std::string> lineage_;
  policy::Call call_;
};

class PolicyDecider final : public Decider {
 public:
  // `allow_list`, `clock` and `random` outlive it. In audit mode what the policy denies is allowed, and its record says
  // so; the allow list stands.
  PolicyDecider(Decider& allow_list, std::shared_ptr<const policy::PolicySet> set, policy::Mode mode,
                const Clock& clock, Random& random);

  // Where any rule of the policy reads it.
  bool WantsProcess() const override { return wants_process_; }
  // An error: the policy could not be evaluated. Also a deny: an obligation that the gateway does not know how to meet.
  void Decide(std::shared_ptr<const Call> call, Done done) override;

 private:
  Result<Decision> ByPolicy(const Call& call);

  Decider& allow_list_;
  policy::Authorizer authorizer_;
  policy::Mode mode_;
  bool wants_process_;
  const Clock& clock_;
};

}  // namespace hexr::gateway
