#include "spawner/spawner.h"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <set>

#include "base/bytes.h"
#include "base/exit_codes.h"
#include "base/limits/agents.h"
#include "base/log.h"
#include "crypto/digest.h"

namespace hexr::spawner {

using runtime::Channel;
using runtime::Envelope;
using runtime::Message;

namespace {

constexpr std::chrono::milliseconds kPeerDeadline{5000};
constexpr std::chrono::milliseconds kUnparkDeadline{10'000};

// The folder that holds the leaves is named after the node's place: two nodes of one machine stay apart.
std::unique_ptr<Cgroups> MakeCgroups(const std::string& run_dir) {
  constexpr size_t kKeyDigits = 8;
  const std::string key = HexEncode(crypto::Sha256(AsBytes(run_dir))).substr(0, kKeyDigits);
  const auto places = CgroupPlacesOf(getpid());
  auto cgroups = places.ok() ? Cgroups::Make(*places, key, getppid()) : std::make_unique<Cgroups>();
  for (const std::string& w : cgroups->Weaker()) Log(LogLevel::kWarn, "spawner.cgroups", {{"weaker", w}});
  return cgroups;
}

}  // namespace

Spawner::Spawner(runtime::Loop& loop, const Clock& clock, Random& random, SpawnerOptions options,
                 UniqueFd launch_listener, Channel& supervisor)
    : loop_(loop),
      clock_(clock),
      random_(random),
      options_(std::move(options)),
      launch_listener_(std::move(launch_listener)),
      supervisor_(supervisor),
      images_(loop, clock),
      owners_(loop, clock),
      cgroups_(MakeCgroups(options_.paths.run_dir)),
      nursery_(loop, [this](const IdSegment& tenant) { return PrepareAgent(*this, tenant); }) {}

Spawner::~Spawner() = default;

void Spawner::Start() {
  Envelope e;
  e.mutable_unpark();
  supervisor_.Call(std::move(e), {}, kUnparkDeadline, [this](Result<Message> reply) {
    if (!reply.ok()) return Log(LogLevel::kError, "spawner.unpark_failed", {{"error", reply.error()}});
    cgroups_->Sweep();
    OpenLaunchSocket();
    unparked_ = true;
    for (auto& [tenant, waiting] : std::exchange(early_resends_, {})) Resend(tenant, std::move(waiting));
    Envelope ready;
    ready.mutable_ready();
    supervisor_.Call(std::move(ready), {}, kPeerDeadline, [](Result<Message>) {});
  });
}

void Spawner::OpenLaunchSocket() {
  LaunchSocket::Events events;
  events.launch = [this](std::shared_ptr<LaunchSession> session, pb::Launch request, std::vector<UniqueFd> fds) {
    if (draining_) return session->Refuse(kRunRefused, "the node is going down");
    BeginLaunch(*this, std::move(session), std::move(request), std::move(fds));
  };
  events.party = [this](const Caller& caller) {
    if (!caller.pid_namespaces.empty()) {
      if (const Instance* inside = FindByPidNamespace(caller.pid_namespaces))
        return Party{Party::Kind::kAgent, inside->facts().id.value()};
    }
    const bool owner = caller.uid == geteuid() || caller.uid == 0;
    return Party{owner && caller.pid_namespaces.empty() ? Party::Kind::kOwner : Party::Kind::kUser,
                 "uid:" + std::to_string(caller.uid)};
  };
  events.attach = [this](std::shared_ptr<LaunchSession> session, pb::Attach request) { Attach(session, request); };
  socket_ = std::make_unique<LaunchSocket>(loop_, clock_, std::move(launch_listener_), std::move(events));
}

// ---- instances

Result<HostIds> Spawner::IdsOf(const IdSegment& tenant) const {
  const auto it = tenants_.find(tenant.value());
  if (frozen_.contains(tenant.value()))
    return PermissionDenied("tenant " + tenant.value() + " is frozen; `hexr tenant thaw " + tenant.value() +
                            "` ends that");
  if (it == tenants_.end())
    return NotFound("tenant " + tenant.value() + " is not on this node; `hexr tenant create` makes it");
  if (!options_.privileged) return HostIds{geteuid(), getegid()};
  if (it->second == 0) return FailedPrecondition("tenant " + tenant.value() + " has no range of user ids");
  return HostIds{it->second, it->second};
}

Instance* Spawner::FindByPidNamespace(const std::vector<uint64_t>& inodes) {
  for (const uint64_t inode : inodes) {
    if (const auto it = by_pid_namespace_.find(inode); it != by_pid_namespace_.end()) return it->second;
  }
  return nullptr;
}

Instance* Spawner::Find(const std::string& id, const std::string* tenant) {
  const auto it = instances_.find(id);
  if (it == instances_.end()) return nullptr;
  // A gateway asks about its own tenant's instances, and about no other's.
  if (tenant != nullptr && it->second->facts().name.tenant.value() != *tenant) return nullptr;
  return it->second.get();
}

Launch::Reap Spawner::Reaper() {
  return [weak = std::weak_ptr<Spawner*>(self_)](AgentHandles& handles) {
    const auto alive = weak.lock();
    if (alive) (*alive)->Reap(std::move(handles));
    return alive != nullptr;
  };
}

void Spawner::Reap(AgentHandles handles) {
  const pid_t pid = handles.init_pid;
  Dying& dying = dying_[pid] = {std::move(handles), {}};
  dying.watch = loop_.Watch(dying.handles.init_pidfd.get(), [this, pid] {
    auto node = dying_.extract(pid);
    if (node.empty()) return;
    siginfo_t info{};
    (void)waitid(P_PIDFD, static_cast<id_t>(node.mapped().handles.init_pidfd.get()), &info, WEXITED | WNOHANG);
    node.mapped().watch = runtime::FdWatch();
    loop_.Post([gone = std::move(node)] {});  // it is on the stack of this turn
  });
}

Instance::OnEnded Spawner::OnEnded() {
  return [this](Instance& instance, int status) {
    Log(LogLevel::kInfo, "instance.ended", {{"instance", instance.facts().id}, {"status", status}});
    if (!instance.has_session()) {
      if (unheard_.size() >= limits::kMaxUnheardEnds) ForgetUnheard();
      unheard_.push_back({instance.facts().id.value(), StarterOf(instance.facts()), instance.Ended(status)});
    }
    const std::string id = instance.facts().id.value();
    writable_.Remove(id, instance.facts().folders);
    quarantined_.erase(id);
    if (const auto it = by_pid_namespace_.find(instance.handles().pid_namespace);
        it != by_pid_namespace_.end() && it->second == &instance) {
      by_pid_namespace_.erase(it);
    }
    instances_.erase(id);
    nursery_.Ended();
    CheckDrained();
  };
}

void Spawner::Adopt(std::unique_ptr<Instance> instance) {
  const std::string id = instance->facts().id.value();
  writable_.Add(id, instance->facts().folders);
  instance->quarantined = quarantined_.contains(id);
  if (const uint64_t inode = instance->handles().pid_namespace; inode != 0) by_pid_namespace_[inode] = instance.get();
  instances_[id] = std::move(instance);
}

// The oldest of the user who has most, and among that user's starters again of the one who has most: nobody's ends push
// out those of somebody who has fewer.
void Spawner::ForgetUnheard() {
  std::map<uid_t, size_t> of_user;
  std::map<Starter, size_t> of_starter;
  for (const Unheard& u : unheard_) {
    ++of_user[u.starter.uid];
    ++of_starter[u.starter];
  }
  const auto had = [&](const Unheard& u) { return std::pair(of_user[u.starter.uid], of_starter[u.starter]); };
  unheard_.erase(
      std::ranges::max_element(unheard_, [&](const Unheard& a, const Unheard& b) { return had(a) < had(b); }));
}

// The uid alone says nothing inside: on a node of one's own every agent has its user's.
bool Spawner::IsStarter(const Caller& caller, const Starter& starter) {
  if (caller.pid_namespaces.empty()) return caller.uid == 0 || caller.uid == starter.uid;
  const Instance* inside = FindByPidNamespace(caller.pid_namespaces);
  return inside != nullptr && starter.parent == inside->facts().id &&
         CheckLaunched(caller, inside->facts().cgroup).ok();
}

void Spawner::Attach(const std::shared_ptr<LaunchSession>& session, const pb::Attach& request) {
  Instance* instance = Find(request.instance());
  const Caller& caller = session->caller();
  if (instance == nullptr) {
    const auto it = std::find_if(unheard_.begin(), unheard_.end(), [&](const Unheard& u) {
      return u.instance == request.instance() && IsStarter(caller, u.starter);
    });
    if (it == unheard_.end()) return session->Refuse(kRunRefused, "no such instance; it has ended");
    pb::ServerMessage m;
    *m.mutable_ended() = std::move(it->ended);
    unheard_.erase(it);
    session->Send(m);
    return session->Close();
  }
  if (!IsStarter(caller, StarterOf(instance->facts())))
    return session->Refuse(kRunRefused, "this instance was started by somebody else");
  instance->AttachSession(session);
}

// ---- peers

// It has died, and its start brings a new pair; or the pair alone broke, and the supervisor makes another.
void Spawner::PeerLost(const std::string& role, const std::string& tenant) {
  Envelope e;
  e.mutable_peer_lost()->set_role(role);
  e.mutable_peer_lost()->set_tenant(tenant);
  (void)supervisor_.Send(std::move(e));
}

void Spawner::OnPeer(const std::string& role, const std::string& tenant, UniqueFd socket) {
  if (role == "keeper") {
    keeper_ = std::make_unique<Channel>(
        loop_, std::move(socket), "keeper",
        [this](Message m, Channel::Reply r) { FromKeeper(std::move(m), std::move(r)); },
        [this](const Error&) { PeerLost("keeper", ""); });
    // Before any registration that names a place in them.
    Envelope counters;
    counters.mutable_exec_counters();
    std::vector<UniqueFd> fds;
    fds.push_back(exec_counters_.Share());
    if (fds[0]) (void)!keeper_->Send(std::move(counters), std::move(fds)).ok();
    quarantined_.clear();  // it says whom it holds
    for (const auto& [id, instance] : instances_) {
      instance->quarantined = false;
      to_register_.emplace(instance->facts().lineage.size(), id);
    }
    RegisterNext();
    for (auto& ended : std::exchange(unreported_, {})) {
      ended.set_late(true);
      SendEnd(std::move(ended));
    }
  } else if (role == "gateway") {
    gateways_[tenant] = std::make_unique<Channel>(
        loop_, std::move(socket), "gateway/" + tenant,
        [this, tenant](Message m, Channel::Reply r) { FromGateway(tenant, std::move(m), std::move(r)); },
        [this, tenant](const Error&) { PeerLost("gateway", tenant); });
  }
}

void Spawner::OnSupervisor(Message m, Channel::Reply reply) {
  if (m.body.has_tenants()) {
    const auto before = std::exchange(tenants_, {});
    std::set<std::string> same;
    for (const auto& t : m.body.tenants().tenants()) {
      tenants_[t.tenant()] = t.uid_base();
      if (const auto it = before.find(t.tenant()); it != before.end() && it->second == t.uid_base())
        same.insert(t.tenant());
    }
    frozen_ = {m.body.tenants().frozen().begin(), m.body.tenants().frozen().end()};
    nursery_.KeepOnly(same);
    return reply.Ack();
  }
  if (m.body.has_park()) {
    auto adopted = Instance::Adopt(loop_, images_, owners_, *this, *cgroups_, options_.config.roles,
                                   m.body.park().state(), std::move(m.fds), OnEnded());
    if (!adopted.ok()) {
      Log(LogLevel::kError, "instance.lost", {{"instance", m.body.park().key()}, {"error", adopted.error()}});
      Unpark(m.body.park().key());
      return reply.Ack();
    }
    // Behind what its exec watch has to take up first.
    loop_.Post([this, id = (*adopted)->facts().id.value()] {
      if (const Instance* instance = Find(id)) RegisterSoon(*instance);
    });
    Adopt(std::move(*adopted));
    return reply.Ack();
  }
  reply.Fail(Unimplemented("the spawner does not serve this"));
}

void Spawner::FromKeeper(Message m, Channel::Reply reply) {
  if (m.body.has_end_instance()) {
    const auto& end = m.body.end_instance();
    Instance* instance = Find(end.instance());
    if (instance == nullptr) return reply.Fail(NotFound("no such instance"));
    instance->Kill(end.why());
    return reply.Ack();
  }
  if (m.body.has_quarantine()) {
    const auto& q = m.body.quarantine();
    if (q.on())
      quarantined_.insert(q.instance());
    else
      quarantined_.erase(q.instance());
    if (Instance* instance = Find(q.instance())) instance->quarantined = q.on();
    return reply.Ack();
  }
  reply.Fail(Unimplemented("the spawner does not serve this"));
}

void Spawner::FromGateway(const std::string& tenant, Message m, Channel::Reply reply) {
  switch (m.body.body_case()) {
    case Envelope::kFindOwner: {
      Instance* instance = Find(m.body.find_owner().instance(), &tenant);
      if (instance == nullptr) return reply.Fail(NotFound("no such instance"));
      return instance->FindOwner(m.body.find_owner(), std::move(reply));
    }
    case Envelope::kOpenSocket: {
      Instance* instance = Find(m.body.open_socket().instance(), &tenant);
      if (instance == nullptr) return reply.Fail(NotFound("no such instance"));
      return instance->OpenSocket(m.body.open_socket().v6(), std::move(reply));
    }
    case Envelope::kResendInstances: return Resend(tenant, std::move(reply));
    default: return reply.Fail(Unimplemented("the spawner does not serve this"));
  }
}

void Spawner::RegisterSoon(const Instance& instance) {
  to_register_.emplace(instance.facts().lineage.size(), instance.facts().id.value());
  RegisterNext();
}

void Spawner::RegisterNext() {
  while (registering_ < limits::kMaxRegistrationsUnderWay && !to_register_.empty()) {
    const std::string id = to_register_.extract(to_register_.begin()).value().second;
    Instance* instance = Find(id);
    if (instance == nullptr) continue;
    ++registering_;
    // Given back with the answer, or with the instance.
    instance->RegisterAgain(std::shared_ptr<void>(nullptr, [weak = std::weak_ptr<Spawner*>(self_)](void*) {
      const auto alive = weak.lock();
      if (!alive) return;
      --(*alive)->registering_;
      (*alive)->loop_.Post([weak] {
        if (const auto spawner = weak.lock()) (*spawner)->RegisterNext();
      });
    }));
  }
}

// One announcement for each live instance of the tenant, then the answer.
void Spawner::Resend(const std::string& tenant, Channel::Reply reply) {
  // A gateway takes whom it is not told of for ended: it waits until this process knows of all its predecessor's.
  if (!unparked_) {
    early_resends_.emplace_back(tenant, std::move(reply));
    return;
  }
  struct Round {
    explicit Round(Channel::Reply r) : reply(std::move(r)) {}
    ~Round() { reply.Ack(); }
    Channel::Reply reply;
  };
  const auto round = std::make_shared<Round>(std::move(reply));
  for (const auto& [id, instance] : instances_) {
    // One that is not registered yet is announced when it is.
    if (instance->facts().name.tenant.value() != tenant || instance->facts().spiffe_id.empty()) continue;
    instance->Announce([round, name = id](Status s) {
      if (!s.ok()) Log(LogLevel::kError, "instance.announce_failed", {{"instance", name}, {"error", s.error()}});
    });
  }
}

void Spawner::CallKeeper(Envelope body, std::vector<UniqueFd> fds, Channel::OnReply done) {
  if (!keeper_ || !keeper_->open()) {
    return loop_.Post([done = std::move(done)]() mutable { done(Unavailable("it is starting")); });
  }
  keeper_->Call(std::move(body), std::move(fds), kPeerDeadline, std::move(done));
}

void Spawner::CallGateway(const IdSegment& tenant, Envelope body, std::vector<UniqueFd> fds, Channel::OnReply done) {
  const auto it = gateways_.find(tenant.value());
  if (it == gateways_.end() || !it->second->open()) {
    return loop_.Post([done = std::move(done)]() mutable { done(Unavailable("it is starting")); });
  }
  it->second->Call(std::move(body), std::move(fds), kPeerDeadline, std::move(done));
}

void Spawner::TellKeeper(Envelope body) {
  if (keeper_ && keeper_->open()) (void)!keeper_->Send(std::move(body)).ok();
}

void Spawner::SendEnd(::hexr::node::v1::InstanceEnded ended) {
  Envelope e;
  *e.mutable_instance_ended() = ended;
  CallKeeper(std::move(e), {}, [this, ended = std::move(ended)](Result<Message> r) mutable {
    if (r.ok() || r.error().code() != ErrorCode::kUnavailable) return;
    if (unreported_.size() >= limits::kMaxUnheardEnds) unreported_.pop_front();
    unreported_.push_back(std::move(ended));
  });
}

void Spawner::TellGateway(const IdSegment& tenant, Envelope body) {
  const auto it = gateways_.find(tenant.value());
  if (it != gateways_.end() && it->second->open()) (void)!it->second->Send(std::move(body)).ok();
}

void Spawner::Park(const std::string& key, std::string state, std::vector<UniqueFd> fds) {
  Envelope e;
  e.mutable_park()->set_key(key);
  e.mutable_park()->set_state(std::move(state));
  supervisor_.Call(std::move(e), std::move(fds), kPeerDeadline, [key](Result<Message> r) {
    if (!r.ok()) Log(LogLevel::kError, "instance.park_failed", {{"instance", key}, {"error", r.error()}});
  });
}

void Spawner::Unpark(const std::string& key) {
  Envelope e;
  e.mutable_unpark()->set_key(key);
  supervisor_.Call(std::move(e), {}, kPeerDeadline, [](Result<Message>) {});
}

// ---- the end

void Spawner::Drain(std::chrono::milliseconds deadline, UniqueFunction<void()> done) {
  draining_ = true;
  nursery_.Close();
  on_drained_ = std::move(done);
  for (const auto& [id, instance] : instances_) {
    instance->Signal(SIGTERM);
    instance->Signal(SIGCONT);
  }
  // Half of the time for the agents, so that their ends are on record before ours.
  drain_timer_ = loop_.After(deadline / 2, [this] {
    for (const auto& [id, instance] : instances_) instance->Kill("the node goes down");
  });
  CheckDrained();
}

void Spawner::CheckDrained() {
  if (draining_ && instances_.empty() && on_drained_) loop_.Post(std::move(on_drained_));
}

}  // namespace hexr::spawner
