// Decides calls by `package hexr.authz`: allowed when `allow` is true and `deny` is empty. Undefined, conflicting and
// failing policies deny, with the reason. One Authorizer per thread; the PolicySet behind it is shared and can be
// exchanged.
#pragma once

#include <memory>
#include <string>

#include "policy/policy_set.h"
#include "policy/policy_store.h"
#include "policy/types.h"

namespace hexr::policy {

class Authorizer {
 public:
  // Decides by what is in force in `store` at the time of each call. All three outlive the authorizer.
  Authorizer(const PolicyStore& store, const Clock& clock, Random& random, rego::Budget budget = {});
  // Decides by one set. `clock` and `random` outlive the authorizer.
  Authorizer(std::shared_ptr<const PolicySet> set, const Clock& clock, Random& random, rego::Budget budget = {});

  // From the next decision on. Never fails: a set in hand has compiled. Compiles nothing and frees no data.
  void Use(std::shared_ptr<const PolicySet> set);
  Decision Decide(const Call& call);
  const PolicySet& set() const { return *set_; }

 private:
  rego::Value BuildInput(rego::Arena& arena, const Call& call, bool& good) const;
  // False when the rule set failed; `value` is undefined when there is no such document or it is undefined.
  bool Evaluate(int place, rego::Value& value, Decision& decision);
  void ReadDeny(const rego::Value& deny, Decision& decision);

  void NoteRule(const rego::Location* at, Decision& decision) const;

  const PolicyStore* store_ = nullptr;
  uint64_t epoch_ = 0;
  std::shared_ptr<const PolicySet> set_;
  rego::Services services_;
  rego::Budget budget_;
  std::unique_ptr<rego::Machine> machine_;
  int allow_ = -1, deny_ = -1, obligations_ = -1;
};

}  // namespace hexr::policy
