#include "identity/rate_limiter.h"

#include <algorithm>
#include <chrono>

namespace hexr::identity {

bool RateLimiter::Admit(const std::string& caller, size_t tokens) {
  const MonoTime now = clock_.Mono();
  auto it = buckets_.find(caller);
  if (it == buckets_.end()) {
    if (buckets_.size() >= max_callers_) {
      buckets_.erase(by_age_.front());
      by_age_.pop_front();
    }
    it = buckets_.emplace(caller, Bucket{options_.burst, now, by_age_.insert(by_age_.end(), caller)}).first;
  }
  Bucket& bucket = it->second;
  by_age_.splice(by_age_.end(), by_age_, bucket.age);
  const double seconds = std::chrono::duration<double>(now - bucket.filled).count();
  bucket.tokens = std::min(options_.burst, bucket.tokens + seconds * options_.per_second);
  bucket.filled = now;
  const auto wanted = static_cast<double>(tokens);
  if (bucket.tokens < wanted) return false;
  bucket.tokens -= wanted;
  return true;
}

}  // namespace hexr::identity
