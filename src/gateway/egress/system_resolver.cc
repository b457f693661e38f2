#include "gateway/egress/system_resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>

#include <algorithm>
#include <cstring>

#include "base/limits.h"

namespace hexr::gateway {
namespace {

Result<std::vector<IpAddress>> LookUp(const std::string& name) {
  // No search list, so that a name is never another one; read anew, so that a changed resolv.conf counts. The state is
  // this thread's own.
  res_init();
  _res.options &= ~static_cast<unsigned long>(RES_DNSRCH | RES_DEFNAMES);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  if (const int e = getaddrinfo(name.c_str(), nullptr, &hints, &found); e != 0) return NotFound(gai_strerror(e));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
  std::vector<IpAddress> out;
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    sockaddr_storage storage{};
    std::memcpy(&storage, a->ai_addr, std::min<size_t>(a->ai_addrlen, sizeof storage));
    const Result<Endpoint> endpoint = Endpoint::FromSockaddr(storage);
    if (endpoint.ok() && std::ranges::find(out, endpoint->address) == out.end()) out.push_back(endpoint->address);
  }
  return out;
}

}  // namespace

SystemResolver::SystemResolver(runtime::Loop& loop, size_t threads) : loop_(loop) {
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { Work(); });
}

SystemResolver::~SystemResolver() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  work_.release(static_cast<std::ptrdiff_t>(threads_.size()));
  for (std::thread& t : threads_) t.join();
}

std::shared_ptr<void> SystemResolver::Resolve(const HostName& name, Done done) {
  auto handle = std::make_shared<Done>(std::move(done));
  {
    const MutexLock lock(mutex_);
    if (queue_.size() < limits::kMaxResolverQueue) {
      queue_.push_back({name.value(), handle});
      work_.release();
      return handle;
    }
  }
  loop_.Post([weak = std::weak_ptr<Done>(handle)] {
    if (const auto d = weak.lock()) (*d)(ResourceExhausted("too many names are being resolved"));
  });
  return handle;
}

bool SystemResolver::Next(Question& out) {
  work_.acquire();
  const MutexLock lock(mutex_);
  if (stopping_ || queue_.empty()) return false;
  out = std::move(queue_.front());
  queue_.pop_front();
  return true;
}

void SystemResolver::Work() {
  Question q;
  while (Next(q)) {
    if (q.done.expired()) continue;
    // The handle is the loop thread's: it is neither called nor let go of here.
    loop_.Post([weak = std::move(q.done), found = std::make_shared<Result<std::vector<IpAddress>>>(LookUp(q.name))] {
      if (const auto d = weak.lock()) (*d)(std::move(*found));
    });
  }
}

}  // namespace hexr::gateway
