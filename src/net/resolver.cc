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

#include "base/limits/net.h"

namespace hexr::net {

Result<Addresses> LookUpAddresses(const std::string& name) {
  if (name.empty() || name.find('\0') != std::string::npos) return InvalidArgument("resolve: bad name");
  // No search list, so that a name is never another one; read anew, so that a changed resolv.conf counts. The state is
  // this thread's own.
  res_init();
  _res.options &= ~static_cast<unsigned long>(RES_DNSRCH | RES_DEFNAMES);
  // A dead name holds its thread for some 5 s rather than 10 to 30; one lost packet is made up for all the same.
  _res.retrans = 2;
  _res.retry = _res.nscount > 1 ? 1 : 2;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const int code = getaddrinfo(name.c_str(), nullptr, &hints, &found);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
  if (code == EAI_NONAME || code == EAI_NODATA || code == EAI_ADDRFAMILY) return NotFound(name + ": no such host");
  if (code != 0) return Unavailable(name + ": " + gai_strerror(code));
  Addresses out = AddressesOf(found);
  if (out.empty()) return NotFound(name + ": no such host");
  return out;
}

Addresses AddressesOf(const addrinfo* found) {
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
  return out;
}

// One that waits: destroyed by its owner, or done.
struct Resolver::Request {
  std::string name;
  Done done;
  runtime::Timer timer;

  void Finish(Result<Addresses> result) {
    timer = runtime::Timer();
    if (done) std::exchange(done, nullptr)(std::move(result));
  }
};

// Threads are made as they are needed; none has more than one name, and the loop decides whose is next.
struct Resolver::Threads {
  explicit Threads(LookUp f) : look_up(std::move(f)) {}

  void Work() {
    std::unique_lock lock(mutex);
    while (true) {
      ++idle;
      wake.wait(lock, [this] { return stop || !jobs.empty(); });
      --idle;
      if (stop) return;
      Job job = std::move(jobs.front());
      jobs.pop_front();
      lock.unlock();
      job.done(look_up(job.name));
      lock.lock();
    }
  }
  struct Job {
    std::string name;
    UniqueFunction<void(Result<Addresses>)> done;
  };

  LookUp look_up;
  std::mutex mutex;
  std::condition_variable wake;
  std::deque<Job> jobs;
  std::vector<std::thread> threads;
  size_t idle = 0;
  bool stop = false;
};

Resolver::Resolver(runtime::Loop& loop, std::chrono::milliseconds timeout, LookUp look_up,
                   std::chrono::milliseconds keep, ResolverPatience patience)
    : loop_(loop),
      timeout_(timeout),
      keep_(keep),
      patience_(patience),
      threads_(std::make_shared<Threads>(std::move(look_up))),
      self_(std::make_shared<Resolver*>(this)) {}

Resolver::~Resolver() {
  {
    const std::lock_guard lock(threads_->mutex);
    threads_->stop = true;
  }
  threads_->wake.notify_all();
  for (std::thread& t : threads_->threads) t.join();
}

std::shared_ptr<void> Resolver::Resolve(const std::string& asker, std::string name, Done done) {
  auto request = std::make_shared<Request>();
  request->name = name;
  request->done = std::move(done);
  const auto answer = [&](Result<Addresses> result) {
    loop_.Post([weak = std::weak_ptr<Request>(request), r = std::move(result)]() mutable {
      if (const auto alive = weak.lock()) alive->Finish(std::move(r));
    });
    return request;
  };
  if (const auto kept = kept_.find(name); kept != kept_.end()) return answer(kept->second.addresses);
  if (const auto dead = dead_.find({asker, name}); dead != dead_.end() && dead->second.held) {
    return answer(Unavailable(name + ": no server has answered for it; it is asked for again in some seconds"));
  }
  if (!Admit(asker)) return answer(ResourceExhausted("resolve: too many names wait"));
  request->timer =
      loop_.After(timeout_, [weak = std::weak_ptr<Request>(request), self = std::weak_ptr<Resolver*>(self_), asker] {
        const auto alive = weak.lock();
        if (!alive) return;
        // One that only stood in the queue says nothing about its name.
        if (const auto resolver = self.lock()) {
          const auto it = (*resolver)->names_.find(alive->name);
          if (it != (*resolver)->names_.end() && it->second.running) (*resolver)->MarkDead(asker, alive->name);
        }
        alive->Finish(DeadlineExceeded(alive->name + ": the resolver takes too long"));
      });
  ++waiting_;
  Asker& of = askers_[asker];
  ++of.waiting;
  Name& wanted = names_[name];
  wanted.waiting.push_back({request, asker});
  if (!wanted.running && of.queued.insert(name).second) of.names.push_back(std::move(name));
  StartMore();
  return request;
}

bool Resolver::Admit(const std::string& asker) {
  const auto room = [&] {
    const auto it = askers_.find(asker);
    return waiting_ < limits::kMaxResolverQueue &&
           (it == askers_.end() || it->second.waiting < limits::kMaxResolverQueuePerAsker);
  };
  if (!room()) DropUnwanted();
  return room();
}

void Resolver::Forget(std::vector<Waiting>& gone) {
  waiting_ -= gone.size();
  for (const Waiting& w : gone) --askers_.at(w.asker).waiting;
  gone.clear();
}

// What timed out or was dropped counts until its name is done, which may take long: looked for only when there is no
// more room.
void Resolver::DropUnwanted() {
  for (auto& [name, of] : names_) {
    const auto wanted = std::partition(of.waiting.begin(), of.waiting.end(), [](const Waiting& w) {
      const auto alive = w.request.lock();
      return alive && alive->done;
    });
    std::vector<Waiting> gone(std::make_move_iterator(wanted), std::make_move_iterator(of.waiting.end()));
    of.waiting.erase(wanted, of.waiting.end());
    Forget(gone);
  }
}

// One name of each asker in turn, from the one behind the last.
void Resolver::StartMore() {
  size_t passed = 0;  // askers in a row that had nothing to start
  auto it = askers_.upper_bound(last_);
  while (running_ < limits::kMaxResolverThreads && passed <= askers_.size() && !askers_.empty()) {
    if (it == askers_.end()) it = askers_.begin();
    auto& [asker, of] = *it;
    if (StartOne(asker, of)) {
      last_ = asker;
      passed = 0;
    } else {
      ++passed;
    }
    it = of.running == 0 && of.waiting == 0 && of.names.empty() ? askers_.erase(it) : std::next(it);
  }
}

bool Resolver::StartOne(const std::string& asker, Asker& of) {
  while (of.running < limits::kMaxResolverThreadsPerAsker && !of.names.empty()) {
    std::string name = std::move(of.names.front());
    of.names.pop_front();
    of.queued.erase(name);
    // Another asker may have started it meanwhile, or it is done already.
    const auto it = names_.find(name);
    if (it == names_.end() || it->second.running) continue;
    if (std::ranges::none_of(it->second.waiting, [](const Waiting& w) {
          const auto alive = w.request.lock();
          return alive && alive->done;
        })) {
      Forget(it->second.waiting);
      names_.erase(it);
      continue;
    }
    it->second.running = true;
    it->second.overdue = loop_.After(patience_.slow, [this, name] { Overdue(name); });
    ++of.running;
    ++running_;
    auto done = [&loop = loop_, self = std::weak_ptr<Resolver*>(self_), asker, name](Result<Addresses> result) {
      loop.Post([self, asker, name, r = std::move(result)]() mutable {
        if (const auto alive = self.lock()) (*alive)->LookedUp(asker, name, std::move(r));
      });
    };
    const std::lock_guard lock(threads_->mutex);
    threads_->jobs.push_back({std::move(name), std::move(done)});
    if (threads_->jobs.size() > threads_->idle &&
        threads_->threads.size() < limits::kMaxResolverThreads + limits::kMaxSlowLookUps) {
      threads_->threads.emplace_back([threads = threads_] { threads->Work(); });
    }
    threads_->wake.notify_one();
    return true;
  }
  return false;
}

// Its thread stays with it; its place goes to the next.
void Resolver::Overdue(const std::string& name) {
  Name& of = names_.at(name);
  if (slow_ >= limits::kMaxSlowLookUps) {
    of.overdue = loop_.After(patience_.slow, [this, name] { Overdue(name); });
    return;
  }
  of.slow = true;
  ++slow_;
  --running_;
  StartMore();
}

void Resolver::MarkDead(const std::string& asker, const std::string& name) {
  const std::pair key(asker, name);
  // With no more room a name is asked for again at once, at the cost of its asker's own places.
  if (!dead_.contains(key) && dead_.size() >= limits::kMaxResolverDeadNames) return;
  Dead& dead = dead_[key];
  if (dead.held) return;
  dead.held = true;
  const auto hold = std::min(patience_.dead_first * (1U << std::min(dead.times++, 10U)), patience_.dead_most);
  dead.timer = loop_.After(hold, [this, key] {
    Dead& again = dead_.at(key);
    again.held = false;
    again.timer = loop_.After(patience_.dead_most, [this, key] { dead_.erase(key); });
  });
}

void Resolver::LookedUp(const std::string& asker, const std::string& name, Result<Addresses> result) {
  --askers_.at(asker).running;
  auto node = names_.extract(name);
  --(node.mapped().slow ? slow_ : running_);
  std::vector<Waiting> waiting = std::move(node.mapped().waiting);
  for (const Waiting& w : waiting) {
    if (result.ok()) dead_.erase({w.asker, name});
    if (node.mapped().slow && !result.ok() && result.error().code() == ErrorCode::kUnavailable) MarkDead(w.asker, name);
  }
  if (result.ok()) Keep(name, *result);
  std::vector<std::weak_ptr<Request>> requests;
  requests.reserve(waiting.size());
  for (const Waiting& w : waiting) requests.push_back(w.request);
  Forget(waiting);
  StartMore();
  // Last: an answer may ask again, or destroy the resolver.
  for (const auto& weak : requests) {
    if (const auto alive = weak.lock()) alive->Finish(result);
  }
}

void Resolver::Keep(const std::string& name, const Addresses& addresses) {
  if (keep_.count() == 0 || kept_.size() >= limits::kMaxResolverNamesKept) return;
  kept_.insert_or_assign(name, Kept{addresses, loop_.After(keep_, [this, name] { kept_.erase(name); })});
}

}  // namespace hexr::net
