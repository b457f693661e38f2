#include "policy/bundle/poller.h"

#include <algorithm>

namespace hexr::policy {

BundlePoller::BundlePoller(PollOptions options, BundleFetcher& fetcher,
                           std::function<Status(const std::string& archive)> activate, const Clock& clock,
                           Random& random)
    : options_(std::move(options)),
      fetcher_(fetcher),
      activate_(std::move(activate)),
      clock_(clock),
      random_(random),
      next_due_(clock.Mono()) {}

void BundlePoller::Tick() {
  if (waiting_ || clock_.Mono() < next_due_) return;
  waiting_ = true;
  fetcher_.Fetch({.url = options_.url, .etag = state_.etag},
                 [this](Result<BundleResponse> response) { Received(std::move(response)); });
}

Status BundlePoller::Take(const Result<BundleResponse>& response) {
  if (!response.ok()) return response.error();
  if (response->status == 304) return Ok();
  if (response->status != 200) return Unavailable(options_.url + " answered " + std::to_string(response->status));
  RETURN_IF_ERROR(activate_(response->body));
  state_.etag = response->etag;
  ++state_.activations;
  return Ok();
}

void BundlePoller::Received(Result<BundleResponse> response) {
  waiting_ = false;
  const Status taken = Take(response);
  state_.error = taken.ok() ? "" : taken.error().message();
  state_.failures_in_a_row = taken.ok() ? 0 : state_.failures_in_a_row + 1;
  // Spread, so that a fleet does not ask as one.
  const auto spread = options_.max_delay - options_.min_delay;
  std::chrono::milliseconds delay =
      options_.min_delay +
      std::chrono::milliseconds(spread.count() > 0 ? random_.Below(static_cast<uint64_t>(spread.count())) : 0);
  if (!taken.ok()) {
    // From a second upwards, doubling, up to the usual wait.
    const auto steps = std::min<uint64_t>(state_.failures_in_a_row - 1, 16);
    delay = std::min(delay, std::chrono::milliseconds(1000) * (int64_t{1} << steps));
  }
  next_due_ = clock_.Mono() + delay;
}

}  // namespace hexr::policy
