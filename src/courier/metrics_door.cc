#include "courier/metrics_door.h"

#include <utility>

#include "base/limits/courier.h"
#include "courier/endpoint.h"
#include "courier/metrics_text.h"

namespace hexr::courier {
MetricsDoor::MetricsDoor(runtime::Loop& loop, const Clock& clock, runtime::UniqueFd socket, Ask ask)
    : clock_(clock),
      ask_(std::move(ask)),
      server_(
          loop, std::move(socket),
          [this](net::HttpRequest request, std::shared_ptr<net::HttpResponder> responder) {
            Answer(request, std::move(responder));
          },
          EndpointBounds()) {}

void MetricsDoor::Answer(const net::HttpRequest& request, std::shared_ptr<net::HttpResponder> responder) {
  if (request.head.method != "GET" && request.head.method != "HEAD") {
    return responder->Send(405, {{"Allow", "GET, HEAD"}, {"Content-Type", kPlainText}}, "only GET and HEAD\n");
  }
  if (request.head.target != "/metrics") return responder->Send(404, {{"Content-Type", kPlainText}}, "not found\n");
  if (!text_.empty() && clock_.Mono() - gathered_ < limits::kMetricsFreshness) {
    return responder->Send(200, {{"Content-Type", kMetricsContentType}}, text_);
  }
  waiting_.push_back(std::move(responder));
  if (waiting_.size() > 1) return;  // the question is out
  runtime::Envelope e;
  e.mutable_collect_metrics();
  ask_(std::move(e), [this](Result<runtime::Message> reply) { Gathered(std::move(reply)); });
}

void MetricsDoor::Gathered(Result<runtime::Message> reply) {
  const auto waiting = std::exchange(waiting_, {});
  if (!reply.ok() || !reply->body.has_metrics()) {
    for (const auto& r : waiting) r->Send(503, {{"Content-Type", kPlainText}}, "the node does not answer\n");
    return;
  }
  text_ = ToPrometheusText(reply->body.metrics());
  gathered_ = clock_.Mono();
  for (const auto& r : waiting) r->Send(200, {{"Content-Type", kMetricsContentType}}, text_);
}

}  // namespace hexr::courier
