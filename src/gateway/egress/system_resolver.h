// Names through the machine's own resolver (getaddrinfo: hosts file, DNS), on threads of its own since it blocks.
#pragma once

#include <deque>
#include <memory>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "gateway/egress/connector.h"
#include "runtime/loop.h"

namespace hexr::gateway {

// Belongs to the loop's thread, the threads inside excepted. Destroying it waits for look-ups that run.
class SystemResolver final : public Resolver {
 public:
  explicit SystemResolver(runtime::Loop& loop, size_t threads = 4);
  ~SystemResolver() override;

  // NOT_FOUND: no such name, or no answer. RESOURCE_EXHAUSTED: limits::kMaxResolverQueue look-ups wait already.
  std::shared_ptr<void> Resolve(const HostName& name, Done done) override;

 private:
  struct Question {
    std::string name;
    std::weak_ptr<Done> done;  // gone: nobody wants to know any more
  };

  void Work();
  // Waits for a question; false when the resolver ends.
  bool Next(Question& out);

  runtime::Loop& loop_;
  Mutex mutex_;
  std::deque<Question> queue_ HEXR_GUARDED_BY(mutex_);
  bool stopping_ HEXR_GUARDED_BY(mutex_) = false;
  std::counting_semaphore<> work_{0};
  std::vector<std::thread> threads_;
};

}  // namespace hexr::gateway
