// Names to addresses through the system's resolver (getaddrinfo), off the loop. What an address may be used for is the
// caller's to check. Belongs to the loop's thread; the look-ups run on threads of its own.
#pragma once

#include <netdb.h>

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "runtime/loop.h"

namespace hexr::net {

// 4 bytes (IPv4) or 16 (IPv6) each, in network order, each once, in the system's order of preference.
using Addresses = std::vector<Bytes>;

// The system's resolver, which may block for many seconds; the name is looked up as it is, without a search list.
// NOT_FOUND: no such name, or no address of it. UNAVAILABLE: no server answered. Thread-safe.
Result<Addresses> LookUpAddresses(const std::string& name);

// What getaddrinfo(3) found, at most limits::kMaxResolvedAddresses of it.
Addresses AddressesOf(const addrinfo* found);

struct ResolverPatience {
  std::chrono::milliseconds slow{1000};         // from here on a look-up is slow
  std::chrono::milliseconds dead_first{2000};   // how long a name that did not answer is not asked for again,
  std::chrono::milliseconds dead_most{30'000};  // doubled each time up to this; remembered for as long again
};

// A look-up cannot be stopped and may take some seconds, so that whoever asks for dead names must not hold up the
// others: each asker has limits::kMaxResolverThreadsPerAsker of the threads, and askers take turns. A look-up that
// turns out slow frees its place for others and goes on beside (limits::kMaxSlowLookUps), still counted for its asker;
// a name that no server answered in the end is not asked for again for a while, longer each time, by who asked. A name
// that is being looked up is not looked up again meanwhile, whoever asks; addresses are kept for a few seconds, other
// failures are not.
class Resolver {
 public:
  using Done = UniqueFunction<void(Result<Addresses>)>;
  using LookUp = std::function<Result<Addresses>(const std::string&)>;

  // `look_up` is called on the resolver's threads. Addresses are kept for `keep`.
  explicit Resolver(runtime::Loop& loop, std::chrono::milliseconds timeout = std::chrono::seconds(10),
                    LookUp look_up = LookUpAddresses, std::chrono::milliseconds keep = std::chrono::seconds(2),
                    ResolverPatience patience = {});
  // Waits for look-ups that are running: they cannot be stopped.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // `asker` is whose turn it takes. `done` runs once on the loop, never from inside this call; not at all once the
  // handle is dropped. DEADLINE_EXCEEDED after the timeout; RESOURCE_EXHAUSTED with limits::kMaxResolverQueue waiting,
  // or limits::kMaxResolverQueuePerAsker of this asker; else as LookUpAddresses.
  [[nodiscard]] std::shared_ptr<void> Resolve(const std::string& asker, std::string name, Done done);

  size_t slow() const { return slow_; }         // look-ups
  size_t dead() const { return dead_.size(); }  // names that are remembered as such

 private:
  struct Request;
  struct Threads;
  struct Asker {
    std::deque<std::string> names;  // to be looked up, each once
    std::set<std::string> queued;   // the same
    size_t running = 0;             // slow ones too
    size_t waiting = 0;             // requests
  };
  struct Waiting {
    std::weak_ptr<Request> request;
    std::string asker;
  };
  struct Name {
    std::vector<Waiting> waiting;
    bool running = false;
    bool slow = false;
    runtime::Timer overdue;
  };
  struct Dead {
    unsigned times = 0;
    bool held = false;     // not asked for
    runtime::Timer timer;  // ends that, or all of it
  };
  struct Kept {
    Addresses addresses;
    runtime::Timer end;
  };

  bool Admit(const std::string& asker);
  void Forget(std::vector<Waiting>& gone);
  void DropUnwanted();
  void StartMore();
  bool StartOne(const std::string& asker, Asker& of);
  void LookedUp(const std::string& asker, const std::string& name, Result<Addresses> result);
  void Overdue(const std::string& name);
  void MarkDead(const std::string& asker, const std::string& name);
  void Keep(const std::string& name, const Addresses& addresses);

  runtime::Loop& loop_;
  const std::chrono::milliseconds timeout_, keep_;
  const ResolverPatience patience_;
  std::map<std::string, Asker> askers_;  // those with something queued, running or waiting
  std::map<std::string, Name> names_;    // those that somebody waits for, or that are being looked up
  std::map<std::string, Kept> kept_;
  std::map<std::pair<std::string, std::string>, Dead> dead_;  // by asker and name
  std::string last_;                                          // the asker whose turn was last
  size_t waiting_ = 0, running_ = 0, slow_ = 0;               // a slow one is not among the running
  std::shared_ptr<Threads> threads_;
  std::shared_ptr<Resolver*> self_;  // what threads post holds it weakly
};

}  // namespace hexr::net
