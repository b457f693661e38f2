#include "gateway/gateway.h"

#include <algorithm>

#include "base/limits/gateway.h"
#include "base/limits/messages.h"
#include "base/log.h"

namespace hexr::gateway {

using runtime::Channel;
using runtime::Envelope;
using runtime::Message;
using runtime::UniqueFd;

namespace {

constexpr std::chrono::seconds kRepeatsInterval{1};

}  // namespace

// The journal in use, if there is one. An append without one fails, which denies.
class Gateway::Journal final : public RecordSink {
 public:
  Journal(Metrics& metrics, UniqueFunction<void()> wants_replacement)
      : metrics_(metrics), wants_replacement_(std::move(wants_replacement)) {}
  // What the keeper answered: the first journal, or the one that follows.
  Status Use(Message reply, const OpenSink& open) {
    if (sink_) return sink_->Replace(std::move(reply));
    ASSIGN_OR_RETURN(sink_, open(std::move(reply)));
    return Ok();
  }
  bool open() const { return sink_ != nullptr; }

  void Append(const ledger::Event& event, Done done) override {
    if (!sink_) {
      ++metrics_.record_failures;
      return done(Unavailable("no journal is open"));
    }
    sink_->Append(event, std::move(done));
    if (WantsReplacement()) wants_replacement_();
  }
  bool WantsReplacement() const override { return !sink_ || sink_->WantsReplacement(); }
  Status Replace(Message reply) override {
    return sink_ ? sink_->Replace(std::move(reply)) : Unavailable("no journal");
  }
  void EndInstance(const InstanceId& instance) override {
    if (sink_) sink_->EndInstance(instance);
  }

 private:
  Metrics& metrics_;
  UniqueFunction<void()> wants_replacement_;  // called by every record until there is another one
  std::unique_ptr<RecordSink> sink_;
};

Gateway::Gateway(GatewayParts parts, GatewayOptions options, UniqueFunction<void()> on_ready)
    : parts_(std::move(parts)),
      options_(std::move(options)),
      on_ready_(std::move(on_ready)),
      journal_(std::make_unique<Journal>(metrics_,
                                         [this] {
                                           if (!opening_ && !journal_retry_.pending()) {
                                             journal_retry_ = parts_.loop.After(std::chrono::milliseconds(0),
                                                                                [this] { AskForJournal(); });
                                           }
                                         })),
      recorder_(*journal_, parts_.clock, parts_.random,
                [this] { repeats_timer_ = parts_.loop.After(kRepeatsInterval, [this] { recorder_.WriteRepeats(); }); }),
      allow_list_(AllowList(options_.egress.allow)),
      policy_(options_.policy ? std::make_unique<PolicyDecider>(allow_list_, options_.policy, options_.policy_mode,
                                                                parts_.clock, parts_.random)
                              : nullptr),
      connector_(parts_.loop, parts_.resolver, recorder_, AddressPolicy(options_.egress.allow_private),
                 Overrides(options_.egress.resolve), options_.deadlines.dial_attempt),
      pipeline_(parts_.loop, parts_.random,
                Steps{.identify = Identify(),
                      .route = RouteEgress(),
                      .decide = policy_ ? DecideWith(*policy_) : DecideWith(allow_list_),
                      .record = recorder_.AsStep(),
                      .connect = connector_.AsStep()}),
      shared_{parts_.loop, parts_.clock, options_.deadlines, pipeline_, recorder_, metrics_, *this} {}

Gateway::~Gateway() = default;

// The listener has said which instance asks; the instance itself may be gone, or held.
Step Gateway::Identify() {
  return [this](const std::shared_ptr<Call>& call, StepDone done) {
    const auto it = instances_.find(call->instance->id);
    if (it == instances_.end()) return done(PermissionDenied("this agent has ended"));
    if (it->second->quarantined()) {
      return done(PermissionDenied("this agent is in quarantine; ask the operator to release it"));
    }
    if (draining_) return done(Unavailable("the gateway is shutting down"));
    done(Ok());
  };
}

void Gateway::OnPeer(const std::string& role, UniqueFd socket) {
  if (role == "spawner") {
    spawner_ = std::make_unique<Channel>(
        parts_.loop, std::move(socket), "spawner",
        [this](Message m, Channel::Reply reply) { OnSpawner(std::move(m), std::move(reply)); },
        [](const Error& why) {
          Log(LogLevel::kWarn, "gateway.spawner_gone", {{"error", why}});
        });
    listed_ = listing_ = false;
    AskForInstances();
  } else if (role == "keeper") {
    keeper_ = std::make_unique<Channel>(
        parts_.loop, std::move(socket), "keeper",
        [this](Message m, Channel::Reply reply) { OnKeeper(std::move(m), std::move(reply)); },
        [](const Error& why) {
          Log(LogLevel::kWarn, "gateway.keeper_gone", {{"error", why}});
        });
    opening_ = false;
    AskForJournal();
  }
}

// The first journal, or another one for one that is full or broken: until it is there, the old one answers.
void Gateway::AskForJournal() {
  if (opening_ || !keeper_ || !keeper_->open() || !journal_->WantsReplacement()) return;
  opening_ = true;
  Envelope ask;
  ask.mutable_open_journal()->set_tenant(options_.tenant.value());
  keeper_->Call(std::move(ask), {}, limits::kNodeCallDeadline, [this](Result<Message> reply) {
    opening_ = false;
    Status s = reply.ok() ? Ok() : Status(reply.error());
    if (s.ok()) s = journal_->Use(std::move(reply).value(), parts_.open_sink);
    if (!s.ok()) {
      Log(LogLevel::kError, "gateway.no_journal", {{"error", s.error()}});
      journal_retry_ = parts_.loop.After(std::chrono::milliseconds(500), [this] { AskForJournal(); });
      return;
    }
    RecordPolicy();
    AskForInstances();
  });
}

// Before the first decision by it.
void Gateway::RecordPolicy() {
  if (!options_.policy || std::exchange(policy_recorded_, true)) return;
  recorder_.PolicyInForce(SpiffeId::ForTrustDomain(options_.trust_domain), options_.tenant, *options_.policy,
                          options_.policy_mode, [this](const Status& s) {
                            if (s.ok()) return;
                            Log(LogLevel::kError, "gateway.policy_not_recorded", {{"error", s.error()}});
                            policy_recorded_ = false;  // with the next journal
                          });
}

// Only once the journal is there: by then the keeper has said which instances are in quarantine (it says so before it
// answers OpenJournal), so that none of them is served for a moment after a restart.
void Gateway::AskForInstances() {
  if (listing_ || listed_ || !journal_->open() || !spawner_ || !spawner_->open()) return;
  listing_ = true;
  announced_.clear();
  Envelope ask;
  ask.mutable_resend_instances();
  spawner_->Call(std::move(ask), {}, limits::kNodeCallDeadline, [this](Result<Message> reply) {
    listing_ = false;
    if (!reply.ok()) {
      Log(LogLevel::kError, "gateway.no_instances", {{"error", reply.error()}});
      list_retry_ = parts_.loop.After(std::chrono::milliseconds(500), [this] { AskForInstances(); });
      return;
    }
    listed_ = true;
    std::vector<std::string> gone;
    for (const auto& [id, instance] : instances_) {
      if (!announced_.contains(id)) gone.push_back(id.value());
    }
    for (const std::string& id : gone) InstanceDown(id, "ended");
    CheckReady();
  });
}

void Gateway::CheckReady() {
  if (on_ready_ && listed_ && journal_->open()) std::exchange(on_ready_, {})();
}

void Gateway::OnSpawner(Message message, Channel::Reply reply) {
  switch (message.body.body_case()) {
    case Envelope::kInstanceUp: {
      const Status s = InstanceUp(message.body.instance_up(), std::move(message.fds));
      if (s.ok()) return reply.Ack();
      Log(LogLevel::kError, "gateway.instance_refused",
          {{"instance", message.body.instance_up().instance()}, {"error", s.error()}});
      return reply.Fail(s.error());
    }
    case Envelope::kInstanceDown: InstanceDown(message.body.instance_down().instance(), "ended"); return reply.Ack();
    default: return reply.Fail(Unimplemented("not a message for a gateway"));
  }
}

void Gateway::OnKeeper(Message message, Channel::Reply reply) {
  switch (message.body.body_case()) {
    case Envelope::kEndInstance: {
      const Result<InstanceId> id = InstanceId::Parse(message.body.end_instance().instance());
      if (!id.ok()) return reply.Fail(id.error());
      // An instance is never up again once it has ended; the spawner's InstanceDown clears the mark.
      if (instances_.contains(*id)) ended_.insert(*id);
      InstanceDown(id->value(), "revoked");
      return reply.Ack();
    }
    case Envelope::kQuarantine:
      Quarantine(message.body.quarantine().instance(), message.body.quarantine().on());
      return reply.Ack();
    case Envelope::kCollectMetrics: {
      Envelope e;
      *e.mutable_metrics() = metrics_.ToMessage();
      for (const auto& [id, instance] : instances_) {
        auto& of = *e.mutable_metrics()->add_instances();
        of.set_instance(id.value());
        of.set_calls(instance->counts()->calls);
        of.set_denials(instance->counts()->denials);
      }
      return reply.Send(std::move(e));
    }
    default: return reply.Fail(Unimplemented("not a message for a gateway"));
  }
}

namespace {

Result<InstanceFacts> ParseFacts(const ::hexr::node::v1::InstanceUp& up, Random& random) {
  ASSIGN_OR_RETURN(InstanceId id, InstanceId::Parse(up.instance()));
  ASSIGN_OR_RETURN(IdSegment tenant, IdSegment::Parse(up.tenant()));
  ASSIGN_OR_RETURN(IdSegment agent, IdSegment::Parse(up.agent()));
  ASSIGN_OR_RETURN(IdSegment role, IdSegment::Parse(up.role()));
  ASSIGN_OR_RETURN(SpiffeId spiffe_id, SpiffeId::Parse(up.spiffe_id()));
  InstanceFacts facts{std::move(id), std::move(tenant), std::move(agent), std::move(role), std::move(spiffe_id)};
  for (const std::string& ancestor : up.lineage()) {
    ASSIGN_OR_RETURN(SpiffeId parsed, SpiffeId::Parse(ancestor));
    facts.lineage.push_back(std::move(parsed));
  }
  for (const std::string& other : up.shares()) {
    ASSIGN_OR_RETURN(InstanceId parsed, InstanceId::Parse(other));
    facts.shares.push_back(std::move(parsed));
  }
  if (!up.subject().empty())
    facts.on_behalf_of.emplace(identity::OnBehalfOf{up.subject(), up.subject_issuer(), up.subject_claims()}, random);
  return facts;
}

}  // namespace

Status Gateway::InstanceUp(const ::hexr::node::v1::InstanceUp& up, std::vector<UniqueFd> fds) {
  ASSIGN_OR_RETURN(InstanceFacts facts, ParseFacts(up, parts_.random));
  if (facts.tenant != options_.tenant || facts.spiffe_id.trust_domain() != options_.trust_domain) {
    return InvalidArgument("this instance belongs to another gateway");
  }
  if (static_cast<size_t>(up.listeners_size()) != fds.size()) return InvalidArgument("one descriptor per listener");
  const InstanceId id = facts.id;
  if (ended_.contains(id)) return FailedPrecondition("this instance has been ended");
  announced_.insert(id);
  if (instances_.contains(id)) return Ok();  // said again after a restart of the spawner: the listeners are the same
  auto instance = std::make_unique<Instance>(shared_, std::move(facts));
  for (int i = 0; i < up.listeners_size(); ++i) {
    const auto& listener = up.listeners(i);
    ASSIGN_OR_RETURN(const ListenerKind kind, ParseListenerKind(listener.kind()));
    if (listener.port() == 0 || listener.port() > 65535) return InvalidArgument("a listener has a port");
    RETURN_IF_ERROR(
        instance->Serve(kind, static_cast<uint16_t>(listener.port()), std::move(fds[static_cast<size_t>(i)])));
  }
  if (quarantined_.contains(id)) instance->Quarantine(true);
  instances_.emplace(id, std::move(instance));
  metrics_.instances = instances_.size();
  return Ok();
}

void Gateway::InstanceDown(const std::string& text, ledger::Code how) {
  const Result<InstanceId> id = InstanceId::Parse(text);
  if (!id.ok()) return;
  auto node = instances_.extract(*id);
  metrics_.instances = instances_.size();
  if (node.empty()) {
    ended_.erase(*id);
    quarantined_.erase(*id);
    return;
  }
  node.mapped()->CloseAll(how);
  recorder_.EndInstance(*id);
  journal_->EndInstance(*id);
  // Its connections may still be on the stack of this turn.
  parts_.loop.Post([gone = std::shared_ptr<Instance>(std::move(node.mapped()))] {});
  CheckDrained();
}

void Gateway::Quarantine(const std::string& text, bool on) {
  const Result<InstanceId> id = InstanceId::Parse(text);
  if (!id.ok()) return;
  if (on)
    quarantined_.insert(*id);
  else
    quarantined_.erase(*id);
  if (const auto it = instances_.find(*id); it != instances_.end()) it->second->Quarantine(on);
}

void Gateway::Find(const InstanceId& instance, const Endpoint& agent, const Endpoint& listener,
                   std::weak_ptr<ProcessLookup> lookup) {
  if (!spawner_ || !spawner_->open()) {
    ++metrics_.owners_unknown;
    if (const auto l = lookup.lock()) l->Finish(std::nullopt);
    return;
  }
  Envelope ask;
  auto& find = *ask.mutable_find_owner();
  find.set_instance(instance.value());
  find.set_local_address(std::string(AsText(agent.address.bytes())));
  find.set_local_port(agent.port);
  find.set_remote_address(std::string(AsText(listener.address.bytes())));
  find.set_remote_port(listener.port);
  spawner_->Call(std::move(ask), {}, options_.deadlines.find_owner,
                 [this, lookup = std::move(lookup)](Result<Message> reply) {
                   std::optional<Process> found;
                   if (reply.ok() && reply->body.has_owner() && reply->body.owner().known()) {
                     const auto& owner = reply->body.owner();
                     Process p{.pid = owner.pid(), .exe = owner.exe(), .registered = owner.registered()};
                     if (owner.exe_sha256().size() == p.digest.size()) {
                       std::copy(owner.exe_sha256().begin(), owner.exe_sha256().end(), p.digest.begin());
                       found = std::move(p);
                     }
                   }
                   ++(found ? metrics_.owners_found : metrics_.owners_unknown);
                   if (const auto l = lookup.lock()) l->Finish(std::move(found));
                 });
}

void Gateway::Drain(std::chrono::milliseconds deadline, UniqueFunction<void()> done) {
  draining_ = true;
  on_drained_ = std::move(done);
  drain_timer_ = parts_.loop.After(deadline, [this] {
    for (const auto& [id, instance] : instances_) instance->CloseAll("drained");
    CheckDrained();
  });
  CheckDrained();
}

void Gateway::CheckDrained() {
  if (!draining_ || !on_drained_) return;
  if (connections() == 0) {
    drain_timer_.Cancel();
    recorder_.WriteRepeats();
    return std::exchange(on_drained_, {})();
  }
  for (const auto& [id, instance] : instances_) instance->Drain();  // what has become idle since
  // Looked at again rather than told by every connection: a drain happens once in a process's life.
  drain_poll_ = parts_.loop.After(std::chrono::milliseconds(20), [this] { CheckDrained(); });
}

size_t Gateway::connections() const {
  size_t n = 0;
  for (const auto& [id, instance] : instances_) n += instance->connections();
  return n;
}

}  // namespace hexr::gateway
