// LLM Guard's HTTP API as pure functions: request in, reply out, no I/O. Whoever serves HTTP calls it (127.0.0.1:15014,
// `hexr guard serve`). Wire-compatible with its four scan routes, so that its clients need another address and nothing
// else.
#pragma once

#include <string>
#include <string_view>

#include "guard/guard.h"

namespace hexr::guard {

struct ApiReply {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
};

// POST /analyze/prompt, /analyze/output, /scan/prompt, /scan/output; GET /, /healthz, /readyz. 404 and 405 for the
// rest, 422 with {message, details} for a body that is not what the route takes, 503 when the scan failed. `session`
// may be null.
ApiReply ServeLlmGuard(Worker& worker, const Clock& clock, Session* session, std::string_view method,
                       std::string_view path, std::string_view body);

// LLM Guard's risk of a score at a threshold: -1 to 1, one decimal.
double LlmGuardRisk(double score, double threshold);

}  // namespace hexr::guard
