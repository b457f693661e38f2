// The keeper: identity, ledger and vault put together, and their doors to the other processes, to agents (the Workload
// API's socket) and to operators (admin.sock). One loop; the ledger has a thread of its own.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "config/config.h"
#include "credentials/vault.h"
#include "identity/core.h"
#include "identity/image_lookup.h"
#include "keeper/admin_server.h"
#include "keeper/courier_link.h"
#include "keeper/entries.h"
#include "keeper/evidence.h"
#include "keeper/out_certificates.h"
#include "keeper/outside.h"
#include "keeper/quarantine.h"
#include "keeper/state.h"
#include "keeper/tenants.h"
#include "runtime/channel.h"
#include "runtime/loop.h"

namespace hexr::keeper {

class WorkloadDoor;

struct KeeperOptions {
  config::Config config;
  std::string config_yaml;  // its digest goes into the log
  std::string config_file;  // where that text was, for operators
  std::string state_dir;
  std::string boot_id;
  uint64_t epoch = 1;  // how often this node has started a keeper
  runtime::UniqueFd api_listener;
  runtime::UniqueFd admin_listener;
  identity::ImageLookup* images = nullptr;  // where this process may not look itself; outlives the keeper
};

class Keeper {
 public:
  // `supervisor` and what is referred to outlive it. Asks the supervisor for the tenants' gateways and says Ready.
  static Result<std::unique_ptr<Keeper>> Create(runtime::Loop& loop, const Clock& clock, Random& random,
                                                KeeperOptions options, runtime::Channel& supervisor);
  ~Keeper();
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  void OnPeer(const std::string& role, const std::string& tenant, runtime::UniqueFd socket);
  // Ends streams, writes the logs' last checkpoints; `done` runs once.
  void Drain(UniqueFunction<void()> done);

 private:
  friend class AdminCommands;
  Keeper(runtime::Loop& loop, const Clock& clock, Random& random, KeeperOptions options, runtime::Channel& supervisor);
  Status Open();
  // Whether a process, or one of its ancestors, is an instance's.
  Result<bool> InsideInstance(int pidfd, pid_t pid) const;

  void PeerLost(const std::string& role, const std::string& tenant);

  // What the spawner says of instances.
  void OnSpawner(runtime::Message m, runtime::Channel::Reply reply);
  void Register(runtime::Message m, runtime::Channel::Reply reply);
  // Whether there may be one more of it now. Asked before anything is looked up for it, and again when that is done.
  Status CheckMayStart(const identity::Registration& registration) const;
  // For whom it acts is known by now.
  void Admit(identity::Registration registration, runtime::Channel::Reply reply);
  Result<identity::Registration> ReadRegistration(const ::hexr::node::v1::RegisterInstance& r,
                                                  runtime::UniqueFd pidfd) const;
  void ExecDone(const ::hexr::node::v1::ExecDone& done, runtime::Channel::Reply reply);
  void InstanceEnded(const ::hexr::node::v1::InstanceEnded& ended, runtime::Channel::Reply reply);
  // What a gateway asks for: only ever for its own tenant.
  void OnGateway(const IdSegment& tenant, runtime::Message m, runtime::Channel::Reply reply);

  // What the courier asks for.
  void OnCourier(runtime::Message m, runtime::Channel::Reply reply);
  void CollectMetrics(runtime::Channel::Reply reply);

  void OnInstanceChange(const identity::Instance& instance, identity::InstanceChange change);
  // Nobody waits for its record: the process has gone. `how`: what the spawner says of its end, null where it says
  // nothing.
  void RecordEnd(ledger::Event event, const ::hexr::node::v1::InstanceEnded* how);
  // Before a log closes: those that still wait to hear how.
  void RecordEnds(const std::optional<IdSegment>& of_tenant = {});
  void RecordIssued(const identity::Identity& identity, std::string_view kind, ByteView serial, WallTime not_after,
                    Evidence::Done done);
  ledger::Event InstanceEvent(const identity::Instance& i, ledger::RecordKind kind, ledger::Body body) const;
  void Answer(const identity::Instance& i, runtime::Channel::Reply reply) const;
  void StartGateway(const Tenant& tenant, UniqueFunction<void(Status)> done);
  // `frozen`: the tenant is still there, and who asks for it is told so.
  Status StopGateway(const IdSegment& tenant, bool frozen);

  // For operators: every instance that `target` names, an instance ID or a SPIFFE ID with all below it, and whoever
  // they have started. NOT_FOUND when there is none.
  Result<std::vector<InstanceId>> Targets(const std::string& target) const;
  // At once, recorded afterwards. `by`: the operator, where one asked for it.
  void EndInstance(const InstanceId& id, ledger::Code why, std::optional<ledger::Body> by);
  runtime::Channel* GatewayOf(const IdSegment& tenant);

  runtime::Loop& loop_;
  const Clock& clock_;
  Random& random_;
  KeeperOptions options_;
  runtime::Channel& supervisor_;
  WallTime started_{};

  std::unique_ptr<State> state_;
  std::optional<Tenants> tenants_;
  std::optional<credentials::Vault> vault_;
  std::unique_ptr<CourierLink> link_;
  std::optional<Quarantine> quarantine_;
  std::shared_ptr<const runtime::SharedCounters> exec_counters_;  // this spawner's
  runtime::Channel::Reply* exec_waits_ = nullptr;  // of the exec being withheld: answered before it is recorded
  std::optional<OutCertificates> out_certificates_;
  // Ends whose process the kernel has reported and the spawner has not: it says how a moment later.
  struct Ending {
    ledger::Event event;
    runtime::Timer timer;
  };
  std::map<InstanceId, Ending> ending_;
  const ::hexr::node::v1::InstanceEnded* ended_how_ = nullptr;  // of the one that is being ended
  std::set<InstanceId> killed_;  // until the spawner says that they are gone: nobody is registered again meanwhile
  std::unique_ptr<Evidence> evidence_;
  std::unique_ptr<WorkloadDoor> workload_;
  identity::Core* core_ = nullptr;  // workload_'s
  std::unique_ptr<Outside> outside_;
  std::optional<Entries> entries_;
  std::optional<OperatorNames> operators_;
  std::unique_ptr<AdminServer> admin_;
  std::unique_ptr<class AdminCommands> commands_;
  std::unique_ptr<runtime::Channel> spawner_;
  std::map<std::string, std::unique_ptr<runtime::Channel>> gateways_;  // by tenant
};

}  // namespace hexr::keeper
