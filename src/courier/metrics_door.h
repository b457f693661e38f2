// `/metrics` for the operator's Prometheus: plain HTTP, on loopback unless configured otherwise. However often it is
// asked, the node's processes are asked at most once a second. Belongs to the loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/unique_function.h"
#include "net/http_server.h"
#include "runtime/channel.h"

namespace hexr::courier {

class MetricsDoor {
 public:
  using Ask = UniqueFunction<void(runtime::Envelope, runtime::Channel::OnReply)>;
  MetricsDoor(runtime::Loop& loop, const Clock& clock, runtime::UniqueFd socket, Ask ask);

 private:
  void Answer(const net::HttpRequest& request, std::shared_ptr<net::HttpResponder> responder);
  void Gathered(Result<runtime::Message> reply);

  const Clock& clock_;
  Ask ask_;
  std::string text_;  // the last answer, good for limits::kMetricsFreshness
  MonoTime gathered_{};
  std::vector<std::shared_ptr<net::HttpResponder>> waiting_;
  net::HttpServer server_;
};

}  // namespace hexr::courier
