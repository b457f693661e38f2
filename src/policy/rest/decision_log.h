// Decision logs in OPA's format, with its masks: `data.system.log.mask` says what of an entry is erased or replaced,
// `data.system.log.drop` which entries are not written. One thread.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "policy/rest/evaluator.h"

namespace hexr::policy {

struct LogEvent {
  std::string decision_id;
  std::string path;         // hexr/authz/allow
  std::string input_json;   // "": none
  std::string result_json;  // "": undefined
  std::string error;        // of the evaluation; empty: none
  std::string requested_by;
  std::string revision;
  WallTime time;
  int64_t elapsed_ns = 0;
};

class DecisionLog {
 public:
  DecisionLog(const PolicyStore& store, const Clock& clock, Random& random,
              std::map<std::string, std::string> labels = {});

  // The entry as one line of JSON; nothing when policy drops it. When the mask cannot be evaluated, input and result
  // are left out: a secret is not written because a rule failed.
  std::optional<std::string> Entry(const LogEvent& event);

 private:
  DocumentEvaluator evaluator_;
  std::map<std::string, std::string> labels_;
};

}  // namespace hexr::policy
