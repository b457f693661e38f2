// The spawner process: its peers, its instances, its socket. The daemon gives it its peers and its loop. One loop's
// thread.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "config/config.h"
#include "config/paths.h"
#include "runtime/channel.h"
#include "runtime/loop.h"
#include "spawner/launch_job.h"

namespace hexr::spawner {

struct SpawnerOptions {
  config::Config config;
  config::Paths paths;
  bool privileged = false;  // the node runs as root: agents get ids of their tenant
};

class Spawner final : private Links, private LaunchHost {
 public:
  Spawner(runtime::Loop& loop, const Clock& clock, Random& random, SpawnerOptions options, UniqueFd launch_listener,
          runtime::Channel& supervisor);
  ~Spawner() override;

  // Takes up what a predecessor parked, then opens launch.sock and reports Ready to the supervisor.
  void Start();
  // A connection to the keeper or a gateway, also after either end was restarted.
  void OnPeer(const std::string& role, const std::string& tenant, UniqueFd socket);
  // Tenants, Park.
  void OnSupervisor(runtime::Message message, runtime::Channel::Reply reply);
  // Ends every agent (SIGTERM, then SIGKILL at the deadline), then runs `done`.
  void Drain(std::chrono::milliseconds deadline, UniqueFunction<void()> done);

  size_t instances() const override { return instances_.size(); }
  size_t prepared() const { return nursery_.waiting(); }

 private:
  // Links
  ExecCounters& exec_counters() override { return exec_counters_; }
  void CallKeeper(runtime::Envelope body, std::vector<UniqueFd> fds, runtime::Channel::OnReply done) override;
  void CallGateway(const IdSegment& tenant, runtime::Envelope body, std::vector<UniqueFd> fds,
                   runtime::Channel::OnReply done) override;
  void TellKeeper(runtime::Envelope body) override;
  void PeerLost(const std::string& role, const std::string& tenant);
  void SendEnd(::hexr::node::v1::InstanceEnded ended) override;
  void TellGateway(const IdSegment& tenant, runtime::Envelope body) override;
  void Park(const std::string& key, std::string state, std::vector<UniqueFd> fds) override;
  void Unpark(const std::string& key) override;
  // LaunchHost
  runtime::Loop& loop() override { return loop_; }
  const Clock& clock() const override { return clock_; }
  Random& random() override { return random_; }
  ImageDigests& images() override { return images_; }
  OwnerTurns& owners() override { return owners_; }
  Links& links() override { return *this; }
  const config::Config& config() const override { return options_.config; }
  const config::Paths& paths() const override { return options_.paths; }
  const Cgroups& cgroups() const override { return *cgroups_; }
  Idmapper* idmapper() override { return options_.privileged ? &idmapper_ : nullptr; }
  Nursery& nursery() override { return nursery_; }
  Result<HostIds> IdsOf(const IdSegment& tenant) const override;
  Instance* FindByPidNamespace(const std::vector<uint64_t>& inodes) override;
  Instance* FindInstance(const InstanceId& id) override { return Find(id.value()); }
  Shares Sharing(const std::vector<Given>& folders) const override { return writable_.SharedWith(folders); }
  Launch::Reap Reaper() override;
  Instance::OnEnded OnEnded() override;
  void Adopt(std::unique_ptr<Instance> instance) override;

  // Who started an instance: outside of all agents its user, or root; inside of one, that agent.
  struct Starter {
    uid_t uid;
    std::optional<InstanceId> parent;
    auto operator<=>(const Starter&) const = default;
  };
  static Starter StarterOf(const InstanceFacts& facts) { return {facts.caller_uid, facts.parent}; }

  void OpenLaunchSocket();
  void ForgetUnheard();
  bool IsStarter(const Caller& caller, const Starter& starter);
  void Attach(const std::shared_ptr<LaunchSession>& session, const pb::Attach& request);
  void FromKeeper(runtime::Message message, runtime::Channel::Reply reply);
  void FromGateway(const std::string& tenant, runtime::Message message, runtime::Channel::Reply reply);
  void Resend(const std::string& tenant, runtime::Channel::Reply reply);
  void RegisterSoon(const Instance& instance);
  void RegisterNext();
  Instance* Find(const std::string& id, const std::string* tenant = nullptr);
  void Reap(AgentHandles handles);
  void CheckDrained();

  runtime::Loop& loop_;
  const Clock& clock_;
  Random& random_;
  SpawnerOptions options_;
  UniqueFd launch_listener_;
  runtime::Channel& supervisor_;
  ImageDigests images_;
  OwnerTurns owners_;
  Idmapper idmapper_;
  std::unique_ptr<Cgroups> cgroups_;
  // Children of launches that were given up, until they have ended.
  struct Dying {
    AgentHandles handles;
    runtime::FdWatch watch;
  };
  std::map<pid_t, Dying> dying_;
  WritableFolders writable_;
  Nursery nursery_;
  std::map<std::string, uint32_t> tenants_;  // → uid base
  ExecCounters exec_counters_;
  std::set<std::string> frozen_;  // tenants that are there and launch nothing
  std::map<std::string, std::unique_ptr<Instance>> instances_;
  std::unordered_map<uint64_t, Instance*> by_pid_namespace_;
  std::set<std::string> quarantined_;  // as this keeper has said, of instances that may not be back yet among them
  // To be registered again, parents first, so many at a time.
  std::set<std::pair<size_t, std::string>> to_register_;
  size_t registering_ = 0;
  bool unparked_ = false;  // what the predecessor parked is in instances_
  std::deque<std::pair<std::string, runtime::Channel::Reply>> early_resends_;  // of a tenant's gateway, until then
  // Ends that nobody was there to hear: their starter asks again after a restart of this process.
  struct Unheard {
    std::string instance;
    Starter starter;
    pb::Ended ended;
  };
  std::deque<Unheard> unheard_;
  std::deque<::hexr::node::v1::InstanceEnded> unreported_;  // that no keeper has acknowledged
  std::unique_ptr<runtime::Channel> keeper_;
  std::map<std::string, std::unique_ptr<runtime::Channel>> gateways_;
  std::unique_ptr<LaunchSocket> socket_;
  UniqueFunction<void()> on_drained_;
  runtime::Timer drain_timer_;
  bool draining_ = false;
  std::shared_ptr<Spawner*> self_ = std::make_shared<Spawner*>(this);  // what comes after our end is dropped; last
};

}  // namespace hexr::spawner
