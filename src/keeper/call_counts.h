// How many calls the gateways have decided for each instance: for operators, asked for when they look. Belongs to the
// keeper's loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/result.h"
#include "base/unique_function.h"
#include "runtime/channel.h"

namespace hexr::keeper {

struct CallCounts {
  uint64_t calls = 0;
  uint64_t denials = 0;
};
using CallCountsByInstance = std::map<std::string, CallCounts>;

// One look. `then` runs when the last who holds it lets go: when every gateway has answered, or its time is up. Of a
// gateway that has not, nothing is said.
class CallCounting {
 public:
  explicit CallCounting(UniqueFunction<void(const CallCountsByInstance&)> then) : then_(std::move(then)) {}
  ~CallCounting() { then_(counts_); }
  CallCounting(const CallCounting&) = delete;
  CallCounting& operator=(const CallCounting&) = delete;

  // A gateway counts for its own instances: `is_own` says which they are.
  void AddFromGateway(const Result<runtime::Message>& answer, const std::function<bool(const std::string&)>& is_own) {
    if (!answer.ok() || !answer->body.has_metrics()) return;
    for (const auto& of : answer->body.metrics().instances()) {
      if (is_own(of.instance())) counts_[of.instance()] = {of.calls(), of.denials()};
    }
  }

 private:
  UniqueFunction<void(const CallCountsByInstance&)> then_;
  CallCountsByInstance counts_;
};

}  // namespace hexr::keeper
