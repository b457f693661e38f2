// Layer 1 as one object: registry, entries, authority, bundles and the SVIDs that are out, and who wants to hear of
// their changes. The keeper owns one, on one loop; the services (workload_api.h, sds.h, sub_identity.h) stand on it.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/limits/identity.h"
#include "base/random.h"
#include "base/result.h"
#include "identity/authority.h"
#include "identity/bundle_set.h"
#include "identity/caller.h"
#include "identity/rate_limiter.h"
#include "identity/registry.h"
#include "identity/svid_keeper.h"
#include "runtime/loop.h"
#include "wire/http2_server.h"

namespace hexr::identity {

// Turns the writer of a request into evidence; implemented by whoever owns the sockets. NOT_FOUND: that writer is gone.
class EvidenceSource {
 public:
  virtual ~EvidenceSource() = default;
  virtual Result<ProcessEvidence> EvidenceOf(wire::WriterTag writer) const = 0;
};

// Somebody who shows what a process is entitled to, for as long as it is: one open stream.
class Subscriber {
 public:
  virtual ~Subscriber() = default;
  // Something that this process sees may have changed, its right to see anything included.
  virtual void Refresh() = 0;
};

struct CoreOptions {
  AuthorityOptions authority;
  RateLimiter::Options rate{};
  RateLimiter::Options walks{.per_second = 200, .burst = 400};  // processes of one user whose ancestors are looked for
  // How long the revocations of processes that ended by themselves wait for others: every stream is sent the whole list
  // again. Those of a kill or a quarantine go out at once, and the gateway hears of each at once.
  std::chrono::milliseconds crl_push_interval{1000};
  // …and longer where the list is long and many hear of it: what is sent of it in a second, on the whole.
  double crl_bytes_per_second = 4e6;
  size_t max_known_processes = limits::kMaxKnownProcesses;
  size_t max_watched_per_instance = limits::kMaxWatchedPerInstance;
  size_t max_watched_per_user = limits::kMaxWatchedPerUser;
};

struct CoreDependencies {
  const Clock& clock;
  Random& random;
  runtime::Loop& loop;
  AuthorityStore& store;
  const ProcessReader& reader;
  const AccountNames& names;
  const CgroupOwners& cgroups;
  OutStore* out = nullptr;  // none: what this process issued is forgotten with it
};

class Core {
 public:
  // What the keeper has to tell the other processes.
  struct Events {
    std::function<void(const Instance&, InstanceChange)> instance;
    std::function<void()> bundles;
    OnIssuing issuing = {};
    // This writer (ProcessEvidence::writer) has asked, and has an identity.
    std::function<void(uint64_t writer)> identified = {};
  };

  static Result<std::unique_ptr<Core>> Create(CoreOptions options, const CoreDependencies& deps, Events events);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  Registry& registry() { return *registry_; }
  Authority& authority() { return *authority_; }
  BundleSet& bundles() { return bundles_; }
  const EntryTable& entries() const { return entries_; }
  const CallerResolver& resolver() const { return resolver_; }

  // EntryTable's; open streams follow.
  Status SetEntry(Entry entry);
  Status RemoveEntry(std::string_view entry_id);

  // One request: counted against the caller's bucket (RESOURCE_EXHAUSTED), then CallerResolver::Resolve. Denials are
  // logged with the reason that operators need.
  Result<Caller> Authenticate(const ProcessEvidence& evidence);
  // More of the same request: what costs as much as `tokens` requests. RESOURCE_EXHAUSTED. Free for a caller that
  // Authenticate did not make: what is done again was counted the first time.
  Status Charge(const Caller& caller, size_t tokens);
  // The same without counting, for what is pushed. `instance`: the one that the process belonged to; when that has
  // ended, there is nothing more to find out.
  Result<Caller> Recheck(const ProcessEvidence& evidence, const std::optional<InstanceId>& instance);

  SvidKeeper& svids() { return *svids_; }
  // For a key that the instance's gateway made. NOT_FOUND, PERMISSION_DENIED while the identity is withheld.
  void IssueForGateway(const InstanceId& instance, ByteView spki_der, UniqueFunction<void(Result<GatewaySvid>)> done);

  // The instance whose own process this is, while its image is being replaced.
  std::optional<InstanceId> Executing(const ProcessEvidence& evidence) const;
  // The instance that this process is, or is a part of, also when that has ended; nothing for a process outside. Errors
  // as ProcessReader: it cannot be told, and who asks must not take that for "outside". RESOURCE_EXHAUSTED: too many
  // processes of one user that were not seen before. A process stays what it is for life, and so is walked once.
  Result<std::optional<InstanceId>> InstanceOf(const ProcessEvidence& evidence);

  // For a stream of this process, which belongs to `instance` where there is one. RESOURCE_EXHAUSTED over
  // limits::kMaxStreamsPerProcess or kMaxStreamsPerInstance. Unsubscribe is harmless without Subscribe.
  Status Subscribe(Subscriber& s, const std::string& process, const std::optional<InstanceId>& instance);
  void Unsubscribe(Subscriber& s);
  // Somebody who has subscribed wants to look again at the next Tick, whatever happens meanwhile.
  void RefreshSoon(Subscriber& s) { restless_.insert(&s); }
  // …in the loop's next turn: once, however often it asks in this one.
  void RefreshNext(Subscriber& s);
  // SvidKeeper's name of this process. Errors as ProcessReader::Identify.
  Result<std::string> ProcessOf(const ProcessEvidence& evidence) const;
  size_t subscribers() const { return subscribers_.size(); }
  // The revocation lists to show, and a number that changes with them: made anew at most once an interval, however many
  // instances end and however many processes ask meanwhile.
  const std::vector<Bytes>& crls() const { return crls_; }
  uint64_t crl_version() const { return crl_version_; }

  // The revocations so far are those of a kill or a quarantine: shown in the loop's next turn, not after the interval.
  void PushCrls();
  // Rotation, expiry, and what waits to be pushed. Start calls it every second.
  void Tick();
  void Start();

  const Clock& clock() const { return deps_.clock; }
  Random& random() { return deps_.random; }

 private:
  Core(CoreOptions options, const CoreDependencies& deps, Events events);
  void OnAuthority(const Authority::Change& change);
  void OnInstance(const Instance& instance, InstanceChange change);
  void OnBundles();
  Result<Caller> Resolve(const ProcessEvidence& evidence);
  Status WatchProcess(const Caller& caller, const ProcessEvidence& evidence);
  void OnProcessExit(std::string process);
  using Subscribers = std::set<Subscriber*>;
  using SubscribersBy = std::map<std::string, Subscribers, std::less<>>;
  void RefreshNow(const Subscribers& these);
  // Those whose key or certificate is due; those whose rights come from facts that nothing tells of, a slice a second.
  void MarkDue();
  void MarkSlice();
  bool ClockWasStepped();
  // Every stream, a few in each turn of the loop: what they are sent leaves in between, and who asks does not wait.
  void RefreshAll();
  void RefreshSome();
  void PostRefresh();
  void TakeCrls();
  std::chrono::nanoseconds CrlInterval() const;
  void DropAbsent(const std::vector<std::string>& processes);

  struct Watched {
    std::string account;
    runtime::UniqueFd pidfd;
    runtime::FdWatch watch;
  };

  CoreOptions options_;
  CoreDependencies deps_;
  Events events_;
  struct Shown {
    std::string process;
    std::string instance;  // empty: none
  };
  std::map<Subscriber*, Shown> subscribers_;
  SubscribersBy by_process_, by_instance_;
  Subscribers matched_;               // not an instance's own process: exec and entries that end change their rights
  Subscribers restless_;              // wait for time to pass
  Subscriber* last_slice_ = nullptr;  // the last that MarkSlice took; compared, never used
  std::optional<std::chrono::nanoseconds> clocks_apart_;  // wall and monotonic, at the last Tick
  std::unique_ptr<Registry> registry_;
  EntryTable entries_;
  DigestCache digests_;
  FileHasher hasher_;
  SelectorSource selectors_;
  BundleSet bundles_;
  std::unique_ptr<Authority> authority_;
  std::unique_ptr<SvidKeeper> svids_;
  CallerResolver resolver_;
  RateLimiter limiter_;
  RateLimiter walks_;                                                   // by user
  RateLimiter explanations_;                                            // as limiter_
  std::map<std::string, Watched> watched_;                              // processes with SVIDs that are no instances
  std::map<std::string, size_t> watched_of_;                            // how many, by account
  std::unordered_map<std::string, std::optional<InstanceId>> belongs_;  // processes whose ancestors have been seen
  std::deque<std::string> belongs_in_order_;                            // the same, the oldest first
  std::vector<Bytes> crls_;
  MonoTime crls_taken_at_{};
  bool crls_waiting_ = false, crls_posted_ = false;
  uint64_t crl_version_ = 0;
  Subscribers stale_;  // to be refreshed by RefreshSome
  bool refresh_posted_ = false;
  runtime::Timer timer_, absent_timer_;
  std::shared_ptr<Core*> self_;  // what posted work holds weakly
};

}  // namespace hexr::identity
