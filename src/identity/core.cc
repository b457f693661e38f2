#include "identity/core.h"

#include <algorithm>
#include <utility>

#include "base/limits/identity.h"
#include "base/log.h"
#include "runtime/process.h"

namespace hexr::identity {
namespace {

// Streams in one turn of the loop: about a millisecond, and what they are sent is small enough to stay in the cache.
constexpr size_t kRefreshedPerTurn = 16;
// A round of MarkSlice, and a number that is not worth dividing. What else a matched process may lose takes effect at
// once: its end, its entry's removal.
constexpr size_t kRecheckRound = 5;
constexpr size_t kSmallestSlice = 16;
// More than clocks that are disciplined drift apart in a second.
constexpr std::chrono::seconds kClockStep{1};
// Who held certificates before this process started is back by then, or gone: seccomp holds an exec for five seconds.
constexpr std::chrono::seconds kReturnGrace{10};
constexpr std::chrono::seconds kLongestCrlInterval{30};
// Why somebody has no identity is found out by looking twice: for the log, and so not for everyone who floods it.
constexpr RateLimiter::Options kExplanations{.per_second = 1, .burst = 8};

std::string UserOf(const ProcessEvidence& evidence) {
  return evidence.owner ? std::to_string(evidence.owner->uid) : "unknown";
}
// By instance for whatever runs in one, else by user: nobody gets a fresh share by forking, and an agent leaves the
// services of the user it runs as alone.
std::string AccountOf(const std::optional<InstanceId>& instance, const ProcessEvidence& evidence) {
  return instance ? instance->value() : "uid:" + UserOf(evidence);
}

}  // namespace

Core::Core(CoreOptions options, const CoreDependencies& deps, Events events)
    : options_(std::move(options)),
      deps_(deps),
      events_(std::move(events)),
      registry_(std::make_unique<Registry>(options_.authority.trust_domain, deps.clock, deps.reader, deps.loop,
                                           [this](const Instance& i, InstanceChange c) { OnInstance(i, c); })),
      entries_(options_.authority.trust_domain),
      digests_(deps.clock),
      hasher_(deps.loop),
      selectors_(deps.names, deps.cgroups, digests_, deps.clock),
      bundles_(options_.authority.trust_domain, [this] { OnBundles(); }),
      resolver_(deps.reader, *registry_, entries_, selectors_, deps.clock,
                {options_.authority.svid_ttl, options_.authority.jwt_ttl}),
      limiter_(deps.clock, options_.rate, limits::kMaxRateLimitedCallers),
      walks_(deps.clock, options_.walks, limits::kMaxRateLimitedCallers),
      explanations_(deps.clock, kExplanations, limits::kMaxRateLimitedCallers),
      self_(std::make_shared<Core*>(this)) {
  selectors_.ReadOn(hasher_, [this] {
    stale_.merge(restless_);
    restless_.clear();
    PostRefresh();
  });
}

Core::~Core() = default;

Result<std::unique_ptr<Core>> Core::Create(CoreOptions options, const CoreDependencies& deps, Events events) {
  std::unique_ptr<Core> core(new Core(std::move(options), deps, std::move(events)));
  ASSIGN_OR_RETURN(core->authority_,
                   Authority::Open(core->options_.authority, deps.clock, deps.random, deps.store,
                                   [c = core.get()](const Authority::Change& change) { c->OnAuthority(change); }));
  core->svids_ = std::make_unique<SvidKeeper>(*core->authority_, deps.clock, deps.random, core->events_.issuing,
                                              deps.out, [c = core.get()](const std::string& process) {
                                                if (const auto streams = c->by_process_.find(process);
                                                    streams != c->by_process_.end())
                                                  c->RefreshNow(streams->second);
                                              });
  ASSIGN_OR_RETURN(std::vector<std::string> processes, core->svids_->TakeUp());
  if (!processes.empty()) {
    core->absent_timer_ =
        deps.loop.After(kReturnGrace, [c = core.get(), processes = std::move(processes)] { c->DropAbsent(processes); });
  }
  RETURN_IF_ERROR(core->bundles_.SetOwn(core->authority_->bundle()));
  core->TakeCrls();
  return core;
}

Status Core::SetEntry(Entry entry) {
  RETURN_IF_ERROR(entries_.Set(std::move(entry)));
  RefreshAll();
  return Ok();
}

Status Core::RemoveEntry(std::string_view entry_id) {
  RETURN_IF_ERROR(entries_.Remove(entry_id));
  RefreshAll();
  return Ok();
}

std::optional<InstanceId> Core::Executing(const ProcessEvidence& evidence) const {
  const auto key = deps_.reader.Identify(evidence);
  const Instance* instance = key.ok() ? registry_->FindByProcess(*key) : nullptr;
  if (instance == nullptr || !instance->replacing_image() || instance->quarantined) return std::nullopt;
  return instance->id();
}

Result<std::optional<InstanceId>> Core::InstanceOf(const ProcessEvidence& evidence) {
  ASSIGN_OR_RETURN(const ProcessKey key, deps_.reader.Identify(evidence));
  if (const Instance* own = registry_->FindByProcess(key)) return std::optional(own->id());
  std::string process = CallerResolver::ProcessName(key);
  if (const auto known = belongs_.find(process); known != belongs_.end()) return known->second;
  if (!walks_.Admit(UserOf(evidence)))
    return ResourceExhausted("too many new processes of this user: ask again in a second");
  ASSIGN_OR_RETURN(const Instance* above, resolver_.InstanceAbove(key));
  std::optional<InstanceId> instance;
  if (above != nullptr) instance = above->id();
  if (belongs_.size() >= options_.max_known_processes) {
    belongs_.erase(belongs_in_order_.front());
    belongs_in_order_.pop_front();
  }
  belongs_.emplace(process, instance);
  belongs_in_order_.push_back(std::move(process));
  return instance;
}

Result<std::string> Core::ProcessOf(const ProcessEvidence& evidence) const {
  ASSIGN_OR_RETURN(const ProcessKey key, deps_.reader.Identify(evidence));
  return CallerResolver::ProcessName(key);
}

Result<Caller> Core::Authenticate(const ProcessEvidence& evidence) {
  const auto instance = InstanceOf(evidence);
  std::string account = AccountOf(instance.ok() ? *instance : std::nullopt, evidence);
  if (!limiter_.Admit(account)) return ResourceExhausted("too many requests: ask again in a second");
  auto caller = instance.ok() ? Resolve(evidence) : Result<Caller>(instance.error());
  if (!caller.ok()) {
    const std::string why =
        instance.ok() && explanations_.Admit(account) ? resolver_.Explain(evidence) : caller.error().message();
    Log(LogLevel::kWarn, "identity.denied",
        {{"pid", evidence.pid}, {"uid", UserOf(evidence)}, {"error", caller.error()}, {"why", why}});
    return caller;
  }
  caller->account = std::move(account);
  if (events_.identified && evidence.writer != 0) events_.identified(evidence.writer);
  return caller;
}

Status Core::Charge(const Caller& caller, size_t tokens) {
  if (caller.account.empty() || tokens == 0 || limiter_.Admit(caller.account, tokens)) return Ok();
  return ResourceExhausted("too many requests: ask again in a second");
}

Result<Caller> Core::Recheck(const ProcessEvidence& evidence, const std::optional<InstanceId>& instance) {
  if (instance.has_value() && registry_->Find(*instance) == nullptr) return PermissionDenied("the instance has ended");
  return Resolve(evidence);
}

Result<Caller> Core::Resolve(const ProcessEvidence& evidence) {
  ASSIGN_OR_RETURN(Caller caller, resolver_.Resolve(evidence));
  if (!caller.own_process) RETURN_IF_ERROR(WatchProcess(caller, evidence));
  return caller;
}

Status Core::WatchProcess(const Caller& caller, const ProcessEvidence& evidence) {
  const std::string& process = caller.process;
  if (watched_.contains(process)) return Ok();
  std::string account = AccountOf(caller.instance, evidence);
  const size_t share = caller.instance ? options_.max_watched_per_instance : options_.max_watched_per_user;
  if (const auto of = watched_of_.find(account); of != watched_of_.end() && of->second >= share)
    return ResourceExhausted(caller.instance ? "too many processes with identities in this instance"
                                             : "too many processes with identities of this user");
  if (watched_.size() >= limits::kMaxInstances)
    return ResourceExhausted("too many processes with identities on this node");
  // On kernels that hand out no pidfds it is opened by number, and is right only if the number still means the same.
  ASSIGN_OR_RETURN(const ProcessKey key, deps_.reader.Identify(evidence));
  ASSIGN_OR_RETURN(runtime::UniqueFd pidfd, runtime::OpenPidfd(static_cast<pid_t>(key.pid)));
  if (!deps_.reader.IsAlive(key)) return NotFound("the process has ended");
  const int fd = pidfd.get();
  ++watched_of_[account];
  watched_.emplace(process, Watched{std::move(account), std::move(pidfd),
                                    deps_.loop.Watch(fd, [this, process] { OnProcessExit(process); })});
  return Ok();
}

// By value: the watch that calls, and holds the name, ends in here.
void Core::OnProcessExit(std::string process) {  // NOLINT(performance-unnecessary-value-param)
  if (const auto watched = watched_.find(process); watched != watched_.end()) {
    const auto of = watched_of_.find(watched->second.account);
    if (--of->second == 0) watched_of_.erase(of);
    watched_.erase(watched);
  }
  svids_->Drop(process);
  if (const auto streams = by_process_.find(process); streams != by_process_.end()) RefreshNow(streams->second);
}

Status Core::Subscribe(Subscriber& s, const std::string& process, const std::optional<InstanceId>& instance) {
  Subscribers& streams = by_process_[process];
  if (streams.size() >= limits::kMaxStreamsPerProcess) return ResourceExhausted("too many open streams of one process");
  if (instance) {
    Subscribers& all = by_instance_[instance->value()];
    if (all.size() >= limits::kMaxStreamsPerInstance) {
      if (streams.empty()) by_process_.erase(process);
      return ResourceExhausted("too many open streams of the processes of one instance");
    }
    all.insert(&s);
  }
  streams.insert(&s);
  if (!instance || instance->value() != process) matched_.insert(&s);
  subscribers_.emplace(&s, Shown{process, instance ? instance->value() : ""});
  return Ok();
}

void Core::Unsubscribe(Subscriber& s) {
  const auto it = subscribers_.find(&s);
  if (it == subscribers_.end()) return;
  stale_.erase(&s);
  restless_.erase(&s);
  matched_.erase(&s);
  const auto forget = [&s](SubscribersBy& by, const std::string& key) {
    const auto at = by.find(key);
    if (at == by.end()) return;
    at->second.erase(&s);
    if (at->second.empty()) by.erase(at);
  };
  forget(by_process_, it->second.process);
  forget(by_instance_, it->second.instance);
  subscribers_.erase(it);
}

void Core::IssueForGateway(const InstanceId& id, ByteView spki_der, UniqueFunction<void(Result<GatewaySvid>)> done) {
  const Instance* instance = registry_->Find(id);
  if (instance == nullptr) return done(NotFound("no such instance"));
  if (!instance->has_identity()) return done(PermissionDenied("the instance's identity is withheld"));
  // On record, it is still the instance's only if nothing has taken its identity away meanwhile.
  svids_->ForKey(id.value(), instance->identity, spki_der,
                 [self = std::weak_ptr<Core*>(self_), id, images = instance->images,
                  done = std::move(done)](Result<GatewaySvid> svid) mutable {
                   const auto core = self.lock();
                   const Instance* now = core ? (*core)->registry_->Find(id) : nullptr;
                   const bool same = now != nullptr && now->has_identity() && now->images == images;
                   done(!svid.ok() || same ? std::move(svid)
                                           : Result<GatewaySvid>(PermissionDenied("the instance's identity is gone")));
                 });
}

void Core::OnAuthority(const Authority::Change& change) {
  if (svids_ == nullptr) return;  // while the authority opens: nothing is out yet
  if (!change.void_authority.empty()) svids_->VoidAuthority(change.void_authority);
  if (change.revocations) crls_waiting_ = true;
  if (change.bundle) {
    const Status set = bundles_.SetOwn(authority_->bundle());
    if (!set.ok()) Log(LogLevel::kError, "bundle.own_unusable", {{"error", set.error()}});
  }
  if (!change.void_authority.empty()) RefreshAll();
}

void Core::OnBundles() {
  if (events_.bundles) events_.bundles();
  RefreshAll();
}

void Core::OnInstance(const Instance& instance, InstanceChange change) {
  const bool void_now = change == InstanceChange::kEnded || change == InstanceChange::kNewImage ||
                        ((change == InstanceChange::kWithheld || change == InstanceChange::kRegistered) &&
                         instance.quarantined);  // of an earlier keeper's, where it is registered again
  if (void_now) svids_->Drop(instance.id().value());
  if (change == InstanceChange::kEnded) svids_->Forget(instance.id());
  if (change != InstanceChange::kRegistered) {
    if (const auto streams = by_instance_.find(instance.id().value()); streams != by_instance_.end())
      RefreshNow(streams->second);
  }
  if (events_.instance) events_.instance(instance, change);
}

void Core::RefreshNext(Subscriber& s) {
  if (!subscribers_.contains(&s)) return;
  stale_.insert(&s);
  PostRefresh();
}

void Core::RefreshNow(const Subscribers& these) {
  // Refreshing one may end another: look again before each.
  const std::vector<Subscriber*> now(these.begin(), these.end());
  for (Subscriber* s : now) {
    if (subscribers_.contains(s)) s->Refresh();
  }
}

void Core::RefreshAll() {
  for (const auto& [s, shown] : subscribers_) stale_.insert(s);
  PostRefresh();
}

void Core::MarkDue() {
  const auto streams_of = [this](const std::string& process) {
    const auto it = by_process_.find(process);
    return it == by_process_.end() ? nullptr : &it->second;
  };
  // Who has no stream is not due: what it asks for next is made then.
  for (const std::string& process : svids_->TakeDue([&](const std::string& p) { return streams_of(p) != nullptr; })) {
    if (const Subscribers* streams = streams_of(process)) stale_.insert(streams->begin(), streams->end());
  }
}

void Core::MarkSlice() {
  size_t left = std::max(kSmallestSlice, matched_.size() / kRecheckRound + 1);
  left = std::min(left, matched_.size());
  for (auto it = matched_.upper_bound(last_slice_); left > 0; --left, ++it) {
    if (it == matched_.end()) it = matched_.begin();
    last_slice_ = *it;
    stale_.insert(*it);
  }
}

bool Core::ClockWasStepped() {
  const std::chrono::nanoseconds apart = deps_.clock.Wall().time_since_epoch() - deps_.clock.Mono().time_since_epoch();
  const auto before = std::exchange(clocks_apart_, apart);
  return before && std::chrono::abs(apart - *before) >= kClockStep;
}

void Core::PostRefresh() {
  if (std::exchange(refresh_posted_, true)) return;
  deps_.loop.Post([weak = std::weak_ptr<Core*>(self_)] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    (*self)->refresh_posted_ = false;
    (*self)->RefreshSome();
  });
}

void Core::RefreshSome() {
  for (size_t n = 0; n < kRefreshedPerTurn && !stale_.empty(); ++n) {
    Subscriber* const next = *stale_.begin();
    stale_.erase(stale_.begin());
    next->Refresh();  // may end this one, or others
  }
  if (!stale_.empty()) PostRefresh();
}

void Core::TakeCrls() {
  auto lists = authority_->Crls();
  if (!lists.ok()) {
    Log(LogLevel::kError, "crl.not_signed", {{"error", lists.error()}});
    return;  // the ones we have are good for a day; the next tick tries again
  }
  crls_waiting_ = false;
  crls_taken_at_ = deps_.clock.Mono();
  if (crls_ == *lists) return;
  crls_ = std::move(*lists);
  ++crl_version_;
  RefreshAll();
}

// Every end changes the list for everyone: without this, a node full of agents that come and go sends nothing else.
std::chrono::nanoseconds Core::CrlInterval() const {
  double bytes = 0;
  for (const Bytes& crl : crls_) bytes += static_cast<double>(crl.size());
  const std::chrono::duration<double> takes(bytes * static_cast<double>(subscribers_.size()) /
                                            options_.crl_bytes_per_second);
  const std::chrono::nanoseconds least = options_.crl_push_interval;
  if (takes >= kLongestCrlInterval) return std::max<std::chrono::nanoseconds>(least, kLongestCrlInterval);
  return std::max(least, std::chrono::duration_cast<std::chrono::nanoseconds>(takes));
}

void Core::PushCrls() {
  // Once for all whom one command ends.
  if (!crls_waiting_ || std::exchange(crls_posted_, true)) return;
  deps_.loop.Post([weak = std::weak_ptr<Core*>(self_)] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    (*self)->crls_posted_ = false;
    (*self)->TakeCrls();
  });
}

void Core::DropAbsent(const std::vector<std::string>& processes) {
  for (const std::string& process : processes) {
    const auto id = InstanceId::Parse(process);
    const bool there = watched_.contains(process) || (id.ok() && registry_->Find(*id) != nullptr);
    if (!there) svids_->Drop(process);
  }
  svids_->ForgetAllBut([this](const InstanceId& id) { return registry_->Find(id) != nullptr; });
}

void Core::Tick() {
  const Status rotated = authority_->Tick();
  if (!rotated.ok()) Log(LogLevel::kError, "authority.rotation_failed", {{"error", rotated.error()}});
  const auto age = deps_.clock.Mono() - crls_taken_at_;
  if ((crls_waiting_ && age >= CrlInterval()) || age >= Authority::kCrlRenewal) TakeCrls();
  MarkDue();
  MarkSlice();
  stale_.merge(restless_);
  restless_.clear();
  if (ClockWasStepped()) RefreshAll();  // every renewal is another one now
  RefreshSome();
}

void Core::Start() {
  timer_ = deps_.loop.After(std::chrono::seconds(1), [this] {
    Tick();
    Start();
  });
}

}  // namespace hexr::identity
