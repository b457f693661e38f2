// The gateway of one tenant: what the process holds between its channels and its instances. It learns of instances from
// the spawner, of ends and quarantines from the keeper too, and answers for every connection in between.
//
// No journal, no way out: until the keeper has opened one, every call is denied. Belongs to the loop's thread.
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
#include "config/config.h"
#include "gateway/egress/connector.h"
#include "gateway/egress/egress.h"
#include "gateway/instance.h"
#include "gateway/policy_decider.h"
#include "runtime/channel.h"

namespace hexr::gateway {

// A journal as the keeper opened it (proto Journal and its descriptor), as a sink. Production: OpenJournalSink.
using OpenSink = std::function<Result<std::unique_ptr<RecordSink>>(runtime::Message reply)>;

struct GatewayOptions {
  TrustDomain trust_domain;
  IdSegment tenant;
  config::Egress egress;
  Deadlines deadlines = {};
  // What decides besides `egress.allow`; null: nothing.
  std::shared_ptr<const policy::PolicySet> policy = nullptr;
  policy::Mode policy_mode = policy::Mode::kEnforce;
};

// What the gateway stands on; all outlive it.
struct GatewayParts {
  runtime::Loop& loop;
  const Clock& clock;
  Random& random;
  net::Resolver& resolver;
  OpenSink open_sink;
};

class Gateway final : public OwnerFinder {
 public:
  // `on_ready` runs once: a journal is open and the spawner has named every instance it knows.
  Gateway(GatewayParts parts, GatewayOptions options, UniqueFunction<void()> on_ready);
  ~Gateway() override;

  // A connection to "spawner" or "keeper": at the start, and again after either end was restarted.
  void OnPeer(const std::string& role, runtime::UniqueFd socket);
  // Accepts nothing new, lets what runs end until `deadline`, cuts the rest; `done` runs once.
  void Drain(std::chrono::milliseconds deadline, UniqueFunction<void()> done);

  const Metrics& metrics() const { return metrics_; }
  size_t connections() const;

  void Find(const InstanceId& instance, const Endpoint& agent, const Endpoint& listener,
            std::weak_ptr<ProcessLookup> lookup) override;

 private:
  class Journal;

  Step Identify();
  void OnSpawner(runtime::Message message, runtime::Channel::Reply reply);
  void OnKeeper(runtime::Message message, runtime::Channel::Reply reply);
  void AskForJournal();
  void RecordPolicy();
  void AskForInstances();
  Status InstanceUp(const ::hexr::node::v1::InstanceUp& up, std::vector<runtime::UniqueFd> fds);
  void InstanceDown(const std::string& id, ledger::Code how);
  void Quarantine(const std::string& id, bool on);
  void CheckReady();
  void CheckDrained();

  GatewayParts parts_;
  GatewayOptions options_;
  UniqueFunction<void()> on_ready_;
  Metrics metrics_;
  std::unique_ptr<Journal> journal_;
  Recorder recorder_;
  AllowListDecider allow_list_;
  std::unique_ptr<PolicyDecider> policy_;  // null: the allow list alone decides
  Connector connector_;
  Pipeline pipeline_;
  Shared shared_;

  std::unique_ptr<runtime::Channel> spawner_;
  std::unique_ptr<runtime::Channel> keeper_;
  std::map<InstanceId, std::unique_ptr<Instance>> instances_;
  std::set<InstanceId> quarantined_;  // also of instances that are not up yet: the keeper's word may come first
  std::set<InstanceId> ended_;        // by the keeper, and not yet gone: never up again
  std::set<InstanceId> announced_;    // since the spawner was asked for all
  bool opening_ = false;
  bool policy_recorded_ = false;
  bool listing_ = false;
  bool listed_ = false;
  runtime::Timer journal_retry_;
  runtime::Timer list_retry_;
  runtime::Timer repeats_timer_;
  runtime::Timer drain_timer_;
  runtime::Timer drain_poll_;
  UniqueFunction<void()> on_drained_;
  bool draining_ = false;
};

}  // namespace hexr::gateway
