// The instances of this node: who was launched, what it runs, whether its identity stands at this moment.
//
// An instance is found by its process, never by what a process says. Its identity is withheld while its image is being
// replaced (exec) and while it is quarantined, and is over for good when its process has ended. Belongs to one loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/limits/identity.h"
#include "base/result.h"
#include "identity/process.h"
#include "identity/types.h"
#include "runtime/loop.h"
#include "runtime/shared_counters.h"

namespace hexr::identity {

// What the spawner counts up before the image may change, and where it stood when the image was attested. In between
// there is no identity, whether or not anybody has said so.
struct ExecCount {
  std::shared_ptr<const runtime::SharedCounters> counters;  // null: ExecStarting alone says it
  size_t place = 0;
  uint64_t attested = 0;
  bool moved() const { return counters && counters->value(place) != attested; }
};

struct Registration {
  InstanceId id;
  IdSegment tenant;
  IdSegment agent;
  IdSegment role;
  ProcessKey process;
  runtime::UniqueFd pidfd;
  ImageFacts image;
  std::optional<InstanceId> parent;        // the instance that asked for this one
  std::vector<SpiffeId> lineage;           // as an earlier registration had it: for one whose parent has gone since
  std::optional<OnBehalfOf> on_behalf_of;  // verified
  std::vector<std::string> exe_patterns;   // what the role may run
  bool children_inherit = false;
  bool sub_identities = false;
  std::vector<std::string> shares;
  std::string sockets;  // where those of the host can be reached by it, in words; empty: nowhere
  std::string cgroup;
  uint32_t caller_uid = 0;
  std::string caller_user;
  bool quarantined = false;  // from an earlier life of this process: it starts without an identity
  ExecCount execs;
  // An earlier keeper registered it. Its image may be another by now: one that the role does not allow is quarantined.
  bool again = false;
};

struct Instance {
  Registration facts;
  Identity identity;
  std::optional<ProcessKey> init;  // PID 1 of the instance's PID namespace
  ProcessBounds bounds;            // of its own process, when it was registered: its children have them too
  WallTime registered_at;
  uint64_t images = 0;     // counts replacements of the image
  bool executing = false;  // as far as it has been said; replacing_image() is what counts
  bool quarantined = false;

  const InstanceId& id() const { return facts.id; }
  bool replacing_image() const { return executing || facts.execs.moved(); }
  // The only question that matters before anything is issued.
  bool has_identity() const { return !replacing_image() && !quarantined; }
  // Whether a process below its PID 1 came from it, and did not enter its namespaces from outside.
  bool MadeOne(const ProcessBounds& process) const;
};

enum class InstanceChange : uint8_t {
  kRegistered,
  kWithheld,  // exec has begun, or quarantine
  kRestored,  // the same image as before
  kNewImage,  // another image, attested: what was issued to the old one is void
  kEnded,     // the last event of an instance
};

class Registry {
 public:
  using OnChange = std::function<void(const Instance&, InstanceChange)>;

  // All references outlive the registry. `on_change` runs inside the calls below, or from the loop when a process ends.
  Registry(TrustDomain trust_domain, const Clock& clock, const ProcessReader& reader, runtime::Loop& loop,
           OnChange on_change, size_t max_instances = limits::kMaxInstances);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // Before the process runs its first instruction. The pidfd has to be of that very process, and alive. The same
  // process registered again under the same ID and name (the spawner was restarted) is the same instance: its image is
  // taken as by ExecDone, since the exec that was under way then has come to its end, and nothing else of it changes.
  // One that brings the lineage of an earlier registration needs its parent no longer: that may have ended, or be in
  // quarantine, since.
  // ALREADY_EXISTS: the ID or the process is registered. NOT_FOUND: the process or the parent has ended.
  // PERMISSION_DENIED: the image is none of the role's; the parent is withheld or acts for another user.
  // RESOURCE_EXHAUSTED over `max_instances` or limits::kMaxLineage.
  Result<const Instance*> Register(Registration registration);

  // exec is about to replace the image: nothing more is issued until ExecDone. NOT_FOUND for an unknown instance.
  Status ExecStarting(const InstanceId& id);
  // `image`: what runs now, and `execs` where its counter stands by then, if it has one. PERMISSION_DENIED, and the
  // instance is quarantined, when the role does not allow it.
  Status ExecDone(const InstanceId& id, ImageFacts image, std::optional<uint64_t> execs = {});
  // exec did not happen: the old image is still there.
  Status ExecFailed(const InstanceId& id, std::optional<uint64_t> execs = {});
  // Lifting it needs an image that the role allows, as everything that gives an identity does: PERMISSION_DENIED.
  Status SetQuarantined(const InstanceId& id, bool on);
  Status CheckRelease(const InstanceId& id) const;
  // Idempotent: an unknown instance has ended already.
  void End(const InstanceId& id, std::string_view why);

  const Instance* Find(const InstanceId& id) const;
  // The instance whose registered process this is; null for every other process, also its children.
  const Instance* FindByProcess(const ProcessKey& key) const;
  // The nearest instance among a process and its ancestors (ProcessReader::AncestorsOf): the one it is a part of.
  const Instance* FindByAncestry(const std::vector<ProcessKey>& chain) const;

  // Whether the process at the head of the chain is left over from an instance that has ended, whose PID 1 has not: it
  // is nobody's, for the moments that it has.
  bool IsLeftOver(const std::vector<ProcessKey>& chain) const;

  std::vector<const Instance*> All() const;
  size_t CountOf(const IdSegment& tenant) const;
  size_t size() const { return instances_.size(); }

 private:
  struct Slot;
  Slot* FindSlot(const InstanceId& id);
  Result<const Instance*> RegisterAgain(const Instance& known, Registration r);
  Result<SpiffeId> CheckAndName(const Registration& r) const;

  TrustDomain trust_domain_;
  const Clock& clock_;
  const ProcessReader& reader_;
  runtime::Loop& loop_;
  OnChange on_change_;
  size_t max_instances_;
  std::map<InstanceId, std::unique_ptr<Slot>> instances_;
  std::map<IdSegment, size_t> count_of_;  // by tenant
  // pidfs inodes, or pids on kernels without: several instances may have had a pid, the start time tells which.
  std::unordered_map<uint64_t, InstanceId> by_inode_;
  std::unordered_map<int64_t, InstanceId> by_pid_;
  std::unordered_map<int64_t, InstanceId> by_init_pid_;
  // Instances that have ended before their PID 1, by its pid.
  struct Remains;
  std::unordered_map<int64_t, std::unique_ptr<Remains>> remains_;
};

}  // namespace hexr::identity
