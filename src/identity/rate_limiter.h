// A token bucket for each caller, in bounded memory. Belongs to one thread.
#pragma once

#include <list>
#include <string>
#include <unordered_map>

#include "base/clock.h"

namespace hexr::identity {

class RateLimiter {
 public:
  struct Options {
    double per_second = 100;
    double burst = 200;
  };
  // At most `max_callers` are remembered; the one that asked longest ago is forgotten first, which fills its bucket.
  RateLimiter(const Clock& clock, Options options, size_t max_callers)
      : clock_(clock), options_(options), max_callers_(max_callers) {}

  // Takes `tokens` of them, or none. False: the caller has to wait.
  [[nodiscard]] bool Admit(const std::string& caller, size_t tokens = 1);
  size_t size() const { return buckets_.size(); }

 private:
  struct Bucket {
    double tokens;
    MonoTime filled;
    std::list<std::string>::iterator age;
  };
  const Clock& clock_;
  Options options_;
  size_t max_callers_;
  std::unordered_map<std::string, Bucket> buckets_;
  std::list<std::string> by_age_;  // least recently seen first
};

}  // namespace hexr::identity
