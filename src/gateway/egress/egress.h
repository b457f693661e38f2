// Plain egress as steps of the pipeline: what may never be asked for, and the built-in decider. Belongs to the loop's
// thread.
#pragma once

#include "gateway/decision.h"
#include "gateway/egress/allow_list.h"
#include "gateway/pipeline.h"

namespace hexr::gateway {

// Sets Call::service. PERMISSION_DENIED for what no rule can open: cloud metadata addresses, and the addresses that
// only exist inside an agent's own network: synthetic ones that no name was given.
Step RouteEgress();

// `egress.allow`, deny by default.
class AllowListDecider final : public Decider {
 public:
  explicit AllowListDecider(AllowList rules) : rules_(std::move(rules)) {}
  bool WantsProcess() const override { return false; }
  void Decide(std::shared_ptr<const Call> call, Done done) override;

 private:
  AllowList rules_;
};

}  // namespace hexr::gateway
