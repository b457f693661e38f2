// Why a call ends here, in the words the agent gets (docs/egress.md). Values, thread-compatible.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace hexr::gateway {

enum class DenialKind : uint8_t {
  kDenied,       // 403 hexr_denied: a rule says no
  kMalformed,    // 400 hexr_denied: not a request that two readers would read alike
  kLimit,        // 429 hexr_budget: a bound is reached
  kUnavailable,  // 503 hexr_unavailable: cannot decide or record, so: no
  kUpstream,     // 502 hexr_upstream: allowed, but the other side does not answer
  kTimeout,      // 504 hexr_upstream: … in time
};

struct Denial {
  DenialKind kind = DenialKind::kUnavailable;
  std::string rule;     // what decided: a rule's text, or a constant such as "default_deny", "quarantined"
  std::string message;  // a sentence: which rule, and what to ask for
  std::string decision_id = {};

  int http_status() const;
  std::string_view code() const;
  // application/problem+json (RFC 9457) with `code` and `decision_id`.
  std::string ToProblemJson() const;
};

// What an error of the step `step` means: PERMISSION_DENIED and RESOURCE_EXHAUSTED are verdicts, all others are "cannot
// decide".
Denial DenialFromError(const Error& error, std::string_view step);

}  // namespace hexr::gateway
