// One launch from a request to a running agent: authorise, plan, make, register, announce, exec, report. In this order:
// nothing of the agent runs before keeper and gateway know it (INV-SPAWN-09). One loop's thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "config/config.h"
#include "config/paths.h"
#include "spawner/instance.h"
#include "spawner/nursery.h"
#include "spawner/writable_folders.h"

namespace hexr::spawner {

// What a launch needs of the spawner.
class LaunchHost {
 public:
  virtual ~LaunchHost() = default;
  virtual runtime::Loop& loop() = 0;
  virtual const Clock& clock() const = 0;
  virtual Random& random() = 0;
  virtual ImageDigests& images() = 0;
  virtual OwnerTurns& owners() = 0;
  virtual Links& links() = 0;
  virtual const config::Config& config() const = 0;
  virtual const config::Paths& paths() const = 0;
  virtual const Cgroups& cgroups() const = 0;
  virtual Idmapper* idmapper() = 0;  // null: the node does not run as root
  virtual Nursery& nursery() = 0;
  virtual Result<HostIds> IdsOf(const IdSegment& tenant) const = 0;  // NOT_FOUND: no such tenant
  virtual Instance* FindByPidNamespace(const std::vector<uint64_t>& inodes) = 0;
  virtual Instance* FindInstance(const InstanceId& id) = 0;  // null: it has ended
  virtual Shares Sharing(const std::vector<Given>& folders) const = 0;
  virtual Launch::Reap Reaper() = 0;  // of launches that are given up, also after the host's end
  virtual size_t instances() const = 0;
  virtual Instance::OnEnded OnEnded() = 0;
  virtual void Adopt(std::unique_ptr<Instance> instance) = 0;  // it runs
};

// Starts the launch and returns; the session hears the rest.
void BeginLaunch(LaunchHost& host, std::shared_ptr<LaunchSession> session, pb::Launch request,
                 std::vector<UniqueFd> fds);

// A process for an agent of this tenant, its ground being laid. NOT_FOUND: no such tenant.
Result<Prepared> PrepareAgent(LaunchHost& host, const IdSegment& tenant);

// The listeners of every agent: proxy, captured ports, DNS.
std::vector<ListenerSpec> StandardListeners(const config::Config& config);

}  // namespace hexr::spawner
