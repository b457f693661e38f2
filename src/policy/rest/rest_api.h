// OPA's REST API for deciding, as a function from request to response: /v1/data, /v0/data, /v1/policies, /health. What
// listens, and whom it lets in, is somebody else's. One thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "policy/rest/decision_log.h"
#include "policy/rest/evaluator.h"

namespace hexr::policy {

struct RestRequest {
  std::string method;
  std::string target;  // path and query, as on the request line
  std::string body;
  std::string requested_by;  // for the decision log
};
struct RestResponse {
  int status = 200;
  std::string body;  // application/json
};

class RestApi {
 public:
  // `log` hears of every decision, one JSON object each; may be null. All outlive the API.
  RestApi(const PolicyStore& store, const Clock& clock, Random& random,
          std::function<void(std::string entry)> log = nullptr);

  // Never fails by itself: what is wrong is part of the response, in OPA's form {code, message}.
  RestResponse Handle(const RestRequest& request);

 private:
  struct Query {
    std::vector<std::string> path;
    std::string input_json;
    bool pretty = false;
    bool v0 = false;  // the input is the body, the result the response
  };
  RestResponse Data(const RestRequest& request, Query query);
  RestResponse Policies(const RestRequest& request, const std::vector<std::string>& path);

  DocumentEvaluator evaluator_;
  DecisionLog decisions_;
  const Clock& clock_;
  Random& random_;
  std::function<void(std::string)> log_;
};

}  // namespace hexr::policy
