// Documents of the policy in force, asked for by path and with any input: what OPA's REST API serves. One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "policy/policy_store.h"
#include "policy/rego/vm/machine.h"

namespace hexr::policy {

class DocumentEvaluator {
 public:
  // All outlive the evaluator.
  DocumentEvaluator(const PolicyStore& store, const Clock& clock, Random& random);

  struct Answer {
    rego::Value value;  // undefined when there is no such document; lives until the next question
    std::string revision;
    std::string error_code;  // of the evaluation; empty: it went well
    std::string error;
  };
  // `path`: below data. `input_json` "": no input. INVALID_ARGUMENT when the input is no JSON; FAILED_PRECONDITION
  // when no policy is in force.
  Result<Answer> Ask(const std::vector<std::string>& path, std::string_view input_json);
  const PolicySet* set() const { return set_.get(); }
  // Takes the policy in force now.
  void Refresh();

 private:
  const PolicyStore& store_;
  rego::Services services_;
  uint64_t epoch_ = 0;
  std::shared_ptr<const PolicySet> set_;
  std::unique_ptr<rego::Machine> machine_;
};

}  // namespace hexr::policy
