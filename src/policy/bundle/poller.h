// Bundles from a server by polling: a state machine that asks with the last ETag, hands new bundles over and waits
// between asking; after failures it waits longer and longer. The network is somebody else's (Fetcher). One thread.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "base/clock.h"
#include "base/limits/rego.h"
#include "base/random.h"
#include "base/result.h"
#include "base/unique_function.h"

namespace hexr::policy {

struct BundleRequest {
  std::string url;
  std::string etag;  // If-None-Match; empty: none
  uint64_t max_bytes = limits::kMaxBundleBytes;
};
struct BundleResponse {
  int status = 0;
  std::string etag;
  std::string body;
};

class BundleFetcher {
 public:
  virtual ~BundleFetcher() = default;
  // `done` runs once, on the caller's thread, perhaps before this returns; never after the fetcher is gone.
  virtual void Fetch(BundleRequest request, UniqueFunction<void(Result<BundleResponse>)> done) = 0;
};

struct PollOptions {
  std::string url;
  std::chrono::milliseconds min_delay{60'000}, max_delay{120'000};  // between two questions, as OPA's defaults
};

class BundlePoller {
 public:
  // `activate` takes an archive into force, or says why not: then the last ETag stays, and the bundle is asked for
  // again. Everything given outlives the poller.
  BundlePoller(PollOptions options, BundleFetcher& fetcher, std::function<Status(const std::string& archive)> activate,
               const Clock& clock, Random& random);

  // Asks when it is time; call at next_due() or more often.
  void Tick();
  MonoTime next_due() const { return next_due_; }

  struct State {
    std::string etag;
    uint64_t activations = 0;
    uint64_t failures_in_a_row = 0;
    std::string error;  // of the last attempt; empty: it went well
  };
  const State& state() const { return state_; }

 private:
  void Received(Result<BundleResponse> response);
  Status Take(const Result<BundleResponse>& response);

  PollOptions options_;
  BundleFetcher& fetcher_;
  std::function<Status(const std::string&)> activate_;
  const Clock& clock_;
  Random& random_;
  State state_;
  MonoTime next_due_{};
  bool waiting_ = false;
};

}  // namespace hexr::policy
