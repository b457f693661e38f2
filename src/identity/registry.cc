#include "identity/registry.h"

#include <poll.h>

#include <algorithm>

#include "base/exe_pattern.h"
#include "base/limits/identity.h"
#include "base/log.h"
#include "runtime/process.h"

namespace hexr::identity {

struct Registry::Slot {
  Instance instance;
  runtime::UniqueFd init_pidfd;  // where there is an init
  runtime::FdWatch watch;
};

struct Registry::Remains {
  ProcessKey init;
  runtime::UniqueFd pidfd;
  runtime::FdWatch watch;
};

bool Instance::MadeOne(const ProcessBounds& process) const {
  const auto& mine = bounds.restrictions;
  const auto& its = process.restrictions;
  return its.filters >= mine.filters && its.no_new_privs >= mine.no_new_privs &&
         (facts.cgroup.empty() || process.cgroup == facts.cgroup);
}

Registry::Registry(TrustDomain trust_domain, const Clock& clock, const ProcessReader& reader, runtime::Loop& loop,
                   OnChange on_change, size_t max_instances)
    : trust_domain_(std::move(trust_domain)),
      clock_(clock),
      reader_(reader),
      loop_(loop),
      on_change_(std::move(on_change)),
      max_instances_(max_instances) {}

Registry::~Registry() = default;

Result<SpiffeId> Registry::CheckAndName(const Registration& r) const {
  if (instances_.size() >= max_instances_) return ResourceExhausted("too many instances on this node");
  if (FindByProcess(r.process) != nullptr) return AlreadyExists("the process is registered as another instance");
  if (!r.pidfd) return InvalidArgument("an instance is registered with a pidfd");

  pollfd p{r.pidfd.get(), POLLIN, 0};
  if (::poll(&p, 1, 0) != 0) return NotFound("the process has ended");
  ASSIGN_OR_RETURN(const uint64_t inode, runtime::PidfdInode(r.pidfd.get()));
  ASSIGN_OR_RETURN(const pid_t pid, runtime::PidfdPid(r.pidfd.get()));
  if (pid != r.process.pid || (inode != 0 && r.process.pidfd_inode != 0 && inode != r.process.pidfd_inode)) {
    return InvalidArgument("the pidfd is of another process than the registration names");
  }
  if (!r.quarantined && !MatchesAnyExePattern(r.exe_patterns, r.image.exe)) {
    return PermissionDenied("role " + r.agent.value() + "/" + r.role.value() + " may not run " + r.image.exe);
  }
  return SpiffeId::ForAgent(trust_domain_, r.tenant, r.agent, r.role);
}

Result<const Instance*> Registry::RegisterAgain(const Instance& known, Registration r) {
  ASSIGN_OR_RETURN(const ProcessKey same, reader_.Identify({.pid = r.process.pid, .pidfd = std::move(r.pidfd)}));
  const bool is_same = SameProcess(known.facts.process, same) && known.facts.tenant == r.tenant &&
                       known.facts.agent == r.agent && known.facts.role == r.role;
  if (!is_same) return AlreadyExists("instance " + r.id.value() + " is registered");
  FindSlot(r.id)->instance.facts.execs = std::move(r.execs);  // the new spawner's
  if (!(known.facts.image == r.image)) {
    (void)ExecDone(r.id, std::move(r.image));  // one that the role does not allow is quarantined, and stays registered
  } else if (known.executing) {
    RETURN_IF_ERROR(ExecFailed(r.id));
  }
  return &known;
}

Result<const Instance*> Registry::Register(Registration registration) {
  if (const Instance* known = Find(registration.id)) return RegisterAgain(*known, std::move(registration));
  // It lives, and somebody has to know of it: refused, it would run on unseen.
  if (registration.again && !MatchesAnyExePattern(registration.exe_patterns, registration.image.exe))
    registration.quarantined = true;
  ASSIGN_OR_RETURN(SpiffeId id, CheckAndName(registration));
  ASSIGN_OR_RETURN(const uint64_t inode, runtime::PidfdInode(registration.pidfd.get()));
  registration.process.pidfd_inode = inode;
  ASSIGN_OR_RETURN(const auto chain, reader_.AncestorsOf(registration.process));
  const uint64_t start_time = chain.front().start_time;
  if (registration.process.start_time != 0 && registration.process.start_time != start_time) {
    return NotFound("the process of that pid is a later one");
  }
  registration.process.start_time = start_time;

  Identity identity{std::move(id), Assurance::kAttested, registration.id, {}, registration.on_behalf_of, ""};
  const Instance* const of = registration.parent ? Find(*registration.parent) : nullptr;
  if (!registration.lineage.empty() && (of == nullptr || !of->has_identity())) {
    if (registration.lineage.size() > limits::kMaxLineage)
      return ResourceExhausted("too many generations of sub-agents");
    identity.lineage = registration.lineage;
  } else if (registration.parent.has_value()) {
    const Instance* parent = of;
    if (parent == nullptr) return NotFound("the parent instance has ended");
    if (!parent->has_identity()) return PermissionDenied("the parent instance's identity is withheld");
    identity.lineage = parent->identity.lineage;
    identity.lineage.push_back(parent->identity.id);
    if (identity.lineage.size() > limits::kMaxLineage) return ResourceExhausted("too many generations of sub-agents");
    if (parent->identity.on_behalf_of.has_value()) {
      // A sub-agent acts for whom its parent acts: it cannot trade one user for another.
      const OnBehalfOf& theirs = *parent->identity.on_behalf_of;
      if (!identity.on_behalf_of.has_value()) identity.on_behalf_of = theirs;
      if (identity.on_behalf_of->subject != theirs.subject || identity.on_behalf_of->issuer != theirs.issuer) {
        return PermissionDenied("the parent instance acts for another user");
      }
    }
  }

  ASSIGN_OR_RETURN(ProcessBounds bounds, reader_.BoundsOf(registration.process));
  auto slot = std::make_unique<Slot>(
      Slot{{std::move(registration), std::move(identity), {}, std::move(bounds), clock_.Wall()}, {}, {}});
  Instance& instance = slot->instance;
  instance.quarantined = instance.facts.quarantined;
  // Orphans of the instance are adopted by its PID 1. Where there is no such process, the parent is somebody else's.
  if (chain.size() > 1 && reader_.IsNamespaceInit(chain[1])) {
    ASSIGN_OR_RETURN(slot->init_pidfd, runtime::OpenPidfd(static_cast<pid_t>(chain[1].pid)));
    if (!reader_.IsAlive(chain[1])) return NotFound("the instance's init has ended");
    instance.init = chain[1];
    by_init_pid_.insert_or_assign(chain[1].pid, instance.id());
  }
  slot->watch = loop_.Watch(instance.facts.pidfd.get(),
                            [this, instance_id = instance.id()] { End(instance_id, "process ended"); });

  if (inode != 0) by_inode_.insert_or_assign(inode, instance.id());
  by_pid_.insert_or_assign(instance.facts.process.pid, instance.id());
  const Instance* result = &instance;
  ++count_of_[instance.facts.tenant];
  instances_.emplace(instance.id(), std::move(slot));
  Log(LogLevel::kInfo, "instance.registered",
      {{"instance", result->id()},
       {"spiffe_id", result->identity.id},
       {"pid", result->facts.process.pid},
       {"exe", result->facts.image.exe}});
  on_change_(*result, InstanceChange::kRegistered);
  return result;
}

Registry::Slot* Registry::FindSlot(const InstanceId& id) {
  const auto it = instances_.find(id);
  return it == instances_.end() ? nullptr : it->second.get();
}

Status Registry::ExecStarting(const InstanceId& id) {
  Slot* slot = FindSlot(id);
  if (slot == nullptr) return NotFound("no such instance");
  // Whether it has been said, not whether its counter has: that moves before.
  const bool had = !slot->instance.executing && !slot->instance.quarantined;
  slot->instance.executing = true;
  if (had) on_change_(slot->instance, InstanceChange::kWithheld);
  return Ok();
}

Status Registry::ExecDone(const InstanceId& id, ImageFacts image, std::optional<uint64_t> execs) {
  Slot* slot = FindSlot(id);
  if (slot == nullptr) return NotFound("no such instance");
  Instance& instance = slot->instance;
  instance.facts.image = std::move(image);
  instance.facts.execs.attested = execs.value_or(instance.facts.execs.attested);
  instance.executing = false;
  ++instance.images;
  const bool allowed = MatchesAnyExePattern(instance.facts.exe_patterns, instance.facts.image.exe);
  if (!allowed) instance.quarantined = true;
  Log(allowed ? LogLevel::kInfo : LogLevel::kWarn, allowed ? "instance.exec" : "instance.exec_refused",
      {{"instance", id}, {"exe", instance.facts.image.exe}});
  on_change_(instance, InstanceChange::kNewImage);
  if (!allowed) return PermissionDenied("the role may not run " + instance.facts.image.exe);
  return Ok();
}

Status Registry::ExecFailed(const InstanceId& id, std::optional<uint64_t> execs) {
  Slot* slot = FindSlot(id);
  if (slot == nullptr) return NotFound("no such instance");
  slot->instance.facts.execs.attested = execs.value_or(slot->instance.facts.execs.attested);
  slot->instance.executing = false;
  if (!slot->instance.quarantined) on_change_(slot->instance, InstanceChange::kRestored);
  return Ok();
}

Status Registry::CheckRelease(const InstanceId& id) const {
  const Instance* i = Find(id);
  if (i == nullptr) return NotFound("no such instance");
  if (!i->quarantined || MatchesAnyExePattern(i->facts.exe_patterns, i->facts.image.exe)) return Ok();
  return PermissionDenied("role " + i->facts.agent.value() + "/" + i->facts.role.value() + " may not run " +
                          i->facts.image.exe + ": " + id.value() + " stays in quarantine; end it with `hexr kill " +
                          id.value() + "`");
}

Status Registry::SetQuarantined(const InstanceId& id, bool on) {
  Slot* slot = FindSlot(id);
  if (slot == nullptr) return NotFound("no such instance");
  if (slot->instance.quarantined == on) return Ok();
  if (!on) RETURN_IF_ERROR(CheckRelease(id));
  const bool executing = slot->instance.executing;
  slot->instance.quarantined = on;
  if (on && !executing) on_change_(slot->instance, InstanceChange::kWithheld);
  if (!on && !executing) on_change_(slot->instance, InstanceChange::kRestored);
  return Ok();
}

void Registry::End(const InstanceId& id, std::string_view why) {
  const auto it = instances_.find(id);
  if (it == instances_.end()) return;
  const std::unique_ptr<Slot> slot = std::move(it->second);
  instances_.erase(it);
  const auto count = count_of_.find(slot->instance.facts.tenant);
  if (--count->second == 0) count_of_.erase(count);
  const ProcessKey& process = slot->instance.facts.process;
  const auto forget = [&id](auto& index, auto key) {
    const auto entry = index.find(key);
    if (entry != index.end() && entry->second == id) index.erase(entry);
  };
  forget(by_inode_, process.pidfd_inode);
  forget(by_pid_, process.pid);
  if (const auto& init = slot->instance.init) {
    forget(by_init_pid_, init->pid);
    // What the instance leaves behind goes with its PID 1, which may take a moment. Until then an entry must not match
    // it: its user and its paths are those of a service, perhaps (INV-ID-04).
    auto remains = std::make_unique<Remains>(Remains{*init, std::move(slot->init_pidfd), {}});
    remains->watch = loop_.Watch(remains->pidfd.get(), [this, pid = init->pid] { remains_.erase(pid); });
    remains_.insert_or_assign(init->pid, std::move(remains));
  }
  Log(LogLevel::kInfo, "instance.ended", {{"instance", id}, {"spiffe_id", slot->instance.identity.id}, {"why", why}});
  on_change_(slot->instance, InstanceChange::kEnded);
}

const Instance* Registry::Find(const InstanceId& id) const {
  const auto it = instances_.find(id);
  return it == instances_.end() ? nullptr : &it->second->instance;
}

const Instance* Registry::FindByProcess(const ProcessKey& key) const {
  if (key.pidfd_inode != 0) {
    const auto it = by_inode_.find(key.pidfd_inode);
    if (it != by_inode_.end()) return Find(it->second);
  }
  const auto it = by_pid_.find(key.pid);
  if (it == by_pid_.end()) return nullptr;
  const Instance* instance = Find(it->second);
  return instance != nullptr && SameProcess(instance->facts.process, key) ? instance : nullptr;
}

const Instance* Registry::FindByAncestry(const std::vector<ProcessKey>& chain) const {
  for (const ProcessKey& key : chain) {
    if (const Instance* instance = FindByProcess(key)) return instance;
    const auto it = by_init_pid_.find(key.pid);
    const Instance* instance = it == by_init_pid_.end() ? nullptr : Find(it->second);
    if (instance != nullptr && SameProcess(*instance->init, key)) return instance;
  }
  return nullptr;
}

bool Registry::IsLeftOver(const std::vector<ProcessKey>& chain) const {
  return std::any_of(chain.begin(), chain.end(), [&](const ProcessKey& key) {
    const auto it = remains_.find(key.pid);
    return it != remains_.end() && SameProcess(it->second->init, key);
  });
}

size_t Registry::CountOf(const IdSegment& tenant) const {
  const auto it = count_of_.find(tenant);
  return it == count_of_.end() ? 0 : it->second;
}

std::vector<const Instance*> Registry::All() const {
  std::vector<const Instance*> out;
  out.reserve(instances_.size());
  for (const auto& [id, slot] : instances_) out.push_back(&slot->instance);
  return out;
}

}  // namespace hexr::identity
