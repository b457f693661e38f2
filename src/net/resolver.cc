#include "net/resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <sys/socket.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "base/limits/gateway.h"
#include "base/limits/net.h"

namespace hexr::net {

Result<Addresses> LookUpAddresses(const std::string& name) {
  if (name.empty() || name.find('\0') != std::string::npos) return InvalidArgument("resolve: bad name");
  // No search list, so that a name is never another one; read anew, so that a changed resolv.conf counts. The state is
  // this thread's own.
  res_init();
  _res.options &= ~static_cast<unsigned long>(RES_DNSRCH | RES_DEFNAMES);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const int code = getaddrinfo(name.c_str(), nullptr, &hints, &found);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
  if (code == EAI_NONAME || code == EAI_NODATA || code == EAI_ADDRFAMILY) return NotFound(name + ": no such host");
  if (code != 0) return Unavailable(name + ": " + gai_strerror(code));
  Addresses out;
  for (const addrinfo* a = found; a != nullptr && out.size() < limits::kMaxResolvedAddresses; a = a->ai_next) {
    Bytes bytes;
    if (a->ai_family == AF_INET) {
      const auto* p = reinterpret_cast<const uint8_t*>(&reinterpret_cast<const sockaddr_in*>(a->ai_addr)->sin_addr);
      bytes.assign(p, p + 4);
    } else if (a->ai_family == AF_INET6) {
      const auto* p = reinterpret_cast<const uint8_t*>(&reinterpret_cast<const sockaddr_in6*>(a->ai_addr)->sin6_addr);
      bytes.assign(p, p + 16);
    }
    if (!bytes.empty() && std::find(out.begin(), out.end(), bytes) == out.end()) out.push_back(std::move(bytes));
  }
  if (out.empty()) return NotFound(name + ": no such host");
  return out;
}

// The loop's side of one look-up: destroyed by its owner, or done.
struct Resolver::Request {
  std::string name;
  Done done;
  runtime::Timer timer;

  void Finish(Result<Addresses> result) {
    timer = runtime::Timer();
    if (done) std::exchange(done, nullptr)(std::move(result));
  }
};

// What the threads see. They hold requests weakly: an answer that nobody waits for is dropped.
struct Resolver::Shared {
  Shared(runtime::Loop& l, LookUp f) : loop(l), look_up(std::move(f)) {}

  void Work() {
    std::unique_lock lock(mutex);
    while (true) {
      ++idle;
      wake.wait(lock, [this] { return stop || !queue.empty(); });
      --idle;
      if (stop) return;
      auto [name, request] = std::move(queue.front());
      queue.pop_front();
      lock.unlock();
      if (!request.expired()) Answer(request, look_up(name));
      lock.lock();
    }
  }
  void Answer(std::weak_ptr<Request> request, Result<Addresses> result) {
    loop.Post([weak = std::move(request), r = std::move(result)]() mutable {
      if (const auto alive = weak.lock()) alive->Finish(std::move(r));
    });
  }

  runtime::Loop& loop;
  LookUp look_up;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<std::pair<std::string, std::weak_ptr<Request>>> queue;
  std::vector<std::thread> threads;
  size_t idle = 0;
  bool stop = false;
};

Resolver::Resolver(runtime::Loop& loop, std::chrono::milliseconds timeout, LookUp look_up)
    : loop_(loop), timeout_(timeout), shared_(std::make_shared<Shared>(loop, std::move(look_up))) {}

Resolver::~Resolver() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stop = true;
  }
  shared_->wake.notify_all();
  for (std::thread& t : shared_->threads) t.join();
}

std::shared_ptr<void> Resolver::Resolve(std::string name, Done done) {
  auto request = std::make_shared<Request>();
  request->name = name;
  request->done = std::move(done);
  const std::lock_guard lock(shared_->mutex);
  if (shared_->queue.size() >= limits::kMaxResolverQueue) {
    shared_->Answer(request, ResourceExhausted("resolve: too many names wait"));
    return request;
  }
  request->timer = loop_.After(timeout_, [weak = std::weak_ptr<Request>(request)] {
    if (const auto alive = weak.lock()) alive->Finish(DeadlineExceeded(alive->name + ": the resolver takes too long"));
  });
  shared_->queue.emplace_back(std::move(name), request);
  if (shared_->queue.size() > shared_->idle && shared_->threads.size() < limits::kMaxResolverThreads) {
    shared_->threads.emplace_back([shared = shared_] { shared->Work(); });
  }
  shared_->wake.notify_one();
  return request;
}

}  // namespace hexr::net
