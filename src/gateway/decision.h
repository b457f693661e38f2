// The answer to "may this agent do that?", as a type that only a decider can make. Values, thread-compatible.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_function.h"

namespace hexr::gateway {

struct Call;

// What the record of a decision by Rego says besides.
struct ByRego {
  std::string bundle, revision;    // the policy that was asked
  std::vector<std::string> rules;  // that decided: "authz.rego:12"
  std::string reasons;             // why not, in the policy's own words, which may quote the call
  bool would_deny = false;         // allowed in audit mode alone
  std::chrono::nanoseconds elapsed{0};
};

// Held by whoever goes on with a call. There is no public constructor, so the check cannot be skipped.
class Decision {
 public:
  bool allowed() const { return allowed_; }
  // The rule that decided, as the configuration or policy names it; for "nothing allows it" the name of that default.
  const std::string& rule() const { return rule_; }
  // For the agent: which rule, and what to ask for. Empty when allowed.
  const std::string& message() const { return message_; }
  // Null where no policy was asked.
  const ByRego* by_rego() const { return by_rego_.get(); }

 private:
  friend class Decider;
  Decision(bool allowed, std::string rule, std::string message, std::shared_ptr<const ByRego> by_rego)
      : allowed_(allowed), rule_(std::move(rule)), message_(std::move(message)), by_rego_(std::move(by_rego)) {}
  bool allowed_;
  std::string rule_;
  std::string message_;
  std::shared_ptr<const ByRego> by_rego_;
};

// Decides calls. The allow list of the configuration is one; the policy engine another. Belongs to the loop's thread.
class Decider {
 public:
  using Done = UniqueFunction<void(Result<Decision>)>;

  virtual ~Decider() = default;
  // Whether Decide reads Call::process: only then does a call wait for it.
  virtual bool WantsProcess() const = 0;
  // `done` runs once, now or later on the loop; never is a deny (the pipeline has a deadline), so is an error.
  virtual void Decide(std::shared_ptr<const Call> call, Done done) = 0;

 protected:
  static Decision Allow(std::string rule, std::shared_ptr<const ByRego> by_rego = nullptr) {
    return Decision(true, std::move(rule), {}, std::move(by_rego));
  }
  static Decision Deny(std::string rule, std::string message, std::shared_ptr<const ByRego> by_rego = nullptr) {
    return Decision(false, std::move(rule), std::move(message), std::move(by_rego));
  }
};

}  // namespace hexr::gateway
