#include "keeper/keeper.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/limits/identity.h"
#include "base/log.h"
#include "crypto/digest.h"
#include "keeper/admin_commands.h"
#include "keeper/workload_door.h"
#include "runtime/process.h"
#include "runtime/shared_counters.h"

namespace hexr::keeper {

using identity::Instance;
using identity::InstanceChange;
using ledger::Body;
using ledger::Code;
using ledger::PublicName;
using ledger::RecordKind;
using runtime::Channel;
using runtime::Envelope;
using runtime::Message;
using runtime::UniqueFd;

namespace {

constexpr std::chrono::seconds kPeerDeadline{5};
// The kernel says that a process has ended, the spawner with what status: the record has both where both come.
constexpr std::chrono::seconds kHowItEnded{2};

crypto::Sha256Digest DigestOf(const std::string& bytes) {
  crypto::Sha256Digest d{};
  std::copy_n(bytes.begin(), std::min(bytes.size(), d.size()), d.begin());
  return d;
}

Result<identity::ImageFacts> ReadImage(const ::hexr::node::v1::Image& image) {
  identity::ImageFacts facts;
  facts.exe = image.exe();
  facts.script = image.script();
  const auto digest = [](const std::string& bytes) -> Result<std::optional<crypto::Sha256Digest>> {
    if (bytes.empty()) return std::optional<crypto::Sha256Digest>();
    if (bytes.size() != sizeof(crypto::Sha256Digest)) return InvalidArgument("image: a SHA-256 has 32 bytes");
    return std::optional(DigestOf(bytes));
  };
  ASSIGN_OR_RETURN(facts.exe_sha256, digest(image.exe_sha256()));
  ASSIGN_OR_RETURN(facts.script_sha256, digest(image.script_sha256()));
  return facts;
}

void TellQuarantine(Channel& to, const InstanceId& instance, bool on) {
  Envelope e;
  e.mutable_quarantine()->set_instance(instance.value());
  e.mutable_quarantine()->set_on(on);
  (void)to.Send(std::move(e));
}

// How it ended, in the words of wait(2), and why where somebody ended it.
void AddEnd(Body& body, const ::hexr::node::v1::InstanceEnded& ended) {
  const int status = ended.wait_status();
  if (WIFEXITED(status)) body.Set("status", static_cast<uint64_t>(WEXITSTATUS(status)));
  if (WIFSIGNALED(status)) body.Set("signal", static_cast<uint64_t>(WTERMSIG(status)));
  std::string word = ended.why();
  std::ranges::replace(word, ' ', '_');
  if (const auto why = PublicName::Parse(word); why.ok()) body.Set("why", *why);
}

void AddImage(Body& body, const identity::ImageFacts& image) {
  if (image.exe_sha256) body.Set("exe_sha256", *image.exe_sha256);
  if (image.script_sha256) body.Set("script_sha256", *image.script_sha256);
}

}  // namespace

Keeper::Keeper(runtime::Loop& loop, const Clock& clock, Random& random, KeeperOptions options, Channel& supervisor)
    : loop_(loop),
      clock_(clock),
      random_(random),
      options_(std::move(options)),
      supervisor_(supervisor),
      started_(clock.Wall()) {}

Keeper::~Keeper() = default;

Result<std::unique_ptr<Keeper>> Keeper::Create(runtime::Loop& loop, const Clock& clock, Random& random,
                                               KeeperOptions options, Channel& supervisor) {
  std::unique_ptr<Keeper> k(new Keeper(loop, clock, random, std::move(options), supervisor));
  RETURN_IF_ERROR(k->Open());
  return k;
}

Status Keeper::Open() {
  const config::Config& c = options_.config;
  ASSIGN_OR_RETURN(state_, State::Open(c, options_.state_dir, random_));
  ASSIGN_OR_RETURN(Tenants tenants, Tenants::Open(state_->store(), c.tenant, clock_));
  tenants_.emplace(std::move(tenants));
  ASSIGN_OR_RETURN(credentials::Vault vault,
                   credentials::Vault::Open({.database = {options_.state_dir + "/vault.db", std::nullopt}},
                                            state_->machine_key().key(), clock_, random_));
  vault_.emplace(std::move(vault));
  ASSIGN_OR_RETURN(Quarantine quarantine, Quarantine::Open(state_->store()));
  quarantine_.emplace(std::move(quarantine));
  ASSIGN_OR_RETURN(crypto::Secret out_key, state_->KeyFor("certificates/out", random_));
  ASSIGN_OR_RETURN(OutCertificates out,
                   OutCertificates::Open(options_.state_dir + "/out.db", std::move(out_key), clock_, random_));
  out_certificates_.emplace(std::move(out));
  std::vector<IdSegment> names;
  for (const auto& [name, t] : tenants_->all()) names.push_back(name);
  link_ = std::make_unique<CourierLink>(
      loop_, [this](Message m, Channel::Reply reply) { OnCourier(std::move(m), std::move(reply)); });
  EvidenceOptions evidence{
      c.trust_domain,
      options_.state_dir,
      c.ledger.sync == config::SyncMode::kDurable ? ledger::SyncPolicy::kDurable : ledger::SyncPolicy::kWritten,
      c.ledger.checkpoint_interval,
      c.ledger.witnesses,
      c.ledger.text_retention,
      [link = link_.get()](const std::string& url, std::string body, Witnesses::OnAnswer done) {
        link->Post(url, std::move(body), limits::kMaxNoteBytes,
                   [done = std::move(done)](Result<identity::FetchResponse> r) mutable {
                     if (!r.ok()) return done(r.error());
                     done(WitnessAnswerText{r->status, std::move(r->body)});
                   });
      }};
  ASSIGN_OR_RETURN(evidence_, Evidence::Start(std::move(evidence), names, *state_, loop_, clock_, random_));

  // What this node is from now on, before it does anything: CF.
  ledger::Event started{
      .time = clock_.Wall(), .kind = RecordKind::kConfiguration, .spiffe_id = SpiffeId::ForTrustDomain(c.trust_domain)};
  started.body.Set("event", Code("keeper.started"))
      .Set("configuration_sha256", crypto::Sha256(AsBytes(options_.config_yaml)))
      .Set("epoch", options_.epoch)
      .Set("boot_sha256", crypto::Sha256(AsBytes(options_.boot_id)));
  RETURN_IF_ERROR(evidence_->Record(started));

  ASSIGN_OR_RETURN(
      workload_,
      WorkloadDoor::Create(
          loop_, clock_, random_, c, *state_, std::move(options_.api_listener), *out_certificates_, options_.images,
          {[this](const Instance& i, InstanceChange change) { OnInstanceChange(i, change); },
           [this] {
             if (outside_) outside_->OnBundles();
           },
           [this](const identity::Identity& identity, std::string_view kind, ByteView serial, WallTime not_after,
                  Evidence::Done done) { RecordIssued(identity, kind, serial, not_after, std::move(done)); }}));
  core_ = &workload_->core();
  ASSIGN_OR_RETURN(outside_, Outside::Create(loop_, clock_, options_.config, *state_, *core_, *link_));
  ASSIGN_OR_RETURN(Entries entries, Entries::Open(c, state_->store(), *core_));
  entries_.emplace(std::move(entries));

  operators_.emplace(workload_->reader(), clock_);
  admin_ = std::make_unique<AdminServer>(loop_, std::move(options_.admin_listener),
                                         [this](int pidfd, pid_t pid) { return InsideInstance(pidfd, pid); });
  commands_ = std::make_unique<AdminCommands>(*this);
  commands_->ServeOn(*admin_);

  // Gateways first, then Ready: a node without its tenants' gateways is not up.
  auto waiting = std::make_shared<size_t>(0);
  const auto one_done = [this, waiting](const Status& s) {
    if (!s.ok()) Log(LogLevel::kError, "tenant.gateway_failed", {{"error", s.error()}});
    if (--*waiting > 0) return;
    Envelope e;
    e.mutable_ready();
    supervisor_.Call(std::move(e), {}, kPeerDeadline, [](Result<Message>) {});
  };
  // A tenant whose log did not open has no gateway: without a journal it could only refuse, and never be ready.
  const auto starts = [this](const Tenant& t) { return t.state == TenantState::kActive && evidence_->Has(t.name); };
  for (const auto& [name, t] : tenants_->all()) *waiting += starts(t);
  if (*waiting == 0) {  // every tenant is frozen or without a log: the node is up, and starts nothing
    ++*waiting;
    one_done(Ok());
  }
  for (const auto& [name, t] : tenants_->all()) {
    if (starts(t)) StartGateway(t, one_done);
    if (t.state == TenantState::kFrozen) RETURN_IF_ERROR(StopGateway(t.name, /*frozen=*/true));
  }
  return Ok();
}

Result<bool> Keeper::InsideInstance(int pidfd, pid_t pid) const {
  const identity::ProcessEvidence evidence{.pid = pid, .pidfd = UniqueFd(fcntl(pidfd, F_DUPFD_CLOEXEC, 0))};
  ASSIGN_OR_RETURN(const identity::ProcessKey key, workload_->reader().Identify(evidence));
  ASSIGN_OR_RETURN(const auto chain, workload_->reader().AncestorsOf(key));
  return core_->registry().FindByAncestry(chain) != nullptr || core_->registry().IsLeftOver(chain);
}

void Keeper::StartGateway(const Tenant& tenant, UniqueFunction<void(Status)> done) {
  Envelope e;
  e.mutable_start_tenant()->set_tenant(tenant.name.value());
  e.mutable_start_tenant()->set_uid_base(tenant.uid_base);
  supervisor_.Call(std::move(e), {}, kPeerDeadline,
                   [done = std::move(done)](Result<Message> r) mutable { done(r.ok() ? Ok() : Status(r.error())); });
}

Status Keeper::StopGateway(const IdSegment& tenant, bool frozen) {
  Envelope e;
  e.mutable_stop_tenant()->set_tenant(tenant.value());
  e.mutable_stop_tenant()->set_frozen(frozen);
  return supervisor_.Send(std::move(e));
}

// It has died, and its start brings a new pair; or the pair alone broke, and the supervisor makes another.
void Keeper::PeerLost(const std::string& role, const std::string& tenant) {
  Envelope e;
  e.mutable_peer_lost()->set_role(role);
  e.mutable_peer_lost()->set_tenant(tenant);
  (void)supervisor_.Send(std::move(e));
}

void Keeper::OnPeer(const std::string& role, const std::string& tenant, UniqueFd socket) {
  // The supervisor speaks of a new pair only when the old end is gone: the old channel goes with its calls.
  if (role == "spawner") {
    spawner_ = std::make_unique<Channel>(
        loop_, std::move(socket), "spawner",
        [this](Message m, Channel::Reply r) { OnSpawner(std::move(m), std::move(r)); },
        [this](const Error&) { PeerLost("spawner", ""); });
    for (const auto& [instance, of] : quarantine_->all()) TellQuarantine(*spawner_, instance, true);
    return;
  }
  if (role == "courier") {
    link_->Use(std::move(socket));
    return outside_->OnCourier();
  }
  if (role != "gateway") return;
  const auto name = IdSegment::Parse(tenant);
  if (!name.ok()) return;
  auto& slot = gateways_[tenant];
  slot = std::make_unique<Channel>(
      loop_, std::move(socket), "gateway/" + tenant,
      [this, t = *name](Message m, Channel::Reply r) { OnGateway(t, std::move(m), std::move(r)); },
      [this, tenant](const Error&) { PeerLost("gateway", tenant); });
  // A gateway that starts again knows of no quarantine. This goes out before it gets a journal, without which it serves
  // nobody; it names those too whom the spawner has not registered again yet after a restart of this process.
  for (const auto& [instance, of] : quarantine_->all()) {
    if (of == *name) TellQuarantine(*slot, instance, true);
  }
}

Channel* Keeper::GatewayOf(const IdSegment& tenant) {
  const auto it = gateways_.find(tenant.value());
  return it == gateways_.end() || !it->second->open() ? nullptr : it->second.get();
}

// ---- the spawner

void Keeper::OnSpawner(Message m, Channel::Reply reply) {
  switch (m.body.body_case()) {
    case Envelope::kRegisterInstance: return Register(std::move(m), std::move(reply));
    case Envelope::kExecStarting: {
      const auto id = InstanceId::Parse(m.body.exec_starting().instance());
      if (!id.ok()) return reply.Fail(id.error());
      exec_waits_ = &reply;
      const Status s = core_->registry().ExecStarting(*id);
      exec_waits_ = nullptr;
      if (!reply.wanted()) return;
      return s.ok() ? reply.Ack() : reply.Fail(s.error());
    }
    case Envelope::kExecCounters: {
      exec_counters_.reset();
      auto counters =
          runtime::SharedCounters::Adopt(m.fds.empty() ? UniqueFd() : std::move(m.fds[0]), limits::kMaxInstances);
      if (!counters.ok()) return reply.Fail(counters.error());
      exec_counters_ = std::make_shared<const runtime::SharedCounters>(std::move(*counters));
      return reply.Ack();
    }
    case Envelope::kExecDone: return ExecDone(m.body.exec_done(), std::move(reply));
    case Envelope::kInstanceEnded: return InstanceEnded(m.body.instance_ended(), std::move(reply));
    default: return reply.Fail(Unimplemented("the keeper does not serve this to the spawner"));
  }
}

Result<identity::Registration> Keeper::ReadRegistration(const ::hexr::node::v1::RegisterInstance& r,
                                                        UniqueFd pidfd) const {
  ASSIGN_OR_RETURN(InstanceId id, InstanceId::Parse(r.instance()));
  ASSIGN_OR_RETURN(IdSegment tenant, IdSegment::Parse(r.tenant()));
  ASSIGN_OR_RETURN(IdSegment agent, IdSegment::Parse(r.agent()));
  ASSIGN_OR_RETURN(IdSegment role, IdSegment::Parse(r.role()));
  ASSIGN_OR_RETURN(identity::ImageFacts image, ReadImage(r.image()));
  identity::Registration out{.id = std::move(id),
                             .tenant = std::move(tenant),
                             .agent = std::move(agent),
                             .role = std::move(role),
                             .process = {.pid = r.pid(), .start_time = r.start_time(), .pidfd_inode = r.pidfd_inode()},
                             .pidfd = std::move(pidfd),
                             .image = std::move(image)};
  if (!r.parent_instance().empty()) {
    ASSIGN_OR_RETURN(InstanceId parent, InstanceId::Parse(r.parent_instance()));
    out.parent = std::move(parent);
    for (const std::string& ancestor : r.lineage()) {
      ASSIGN_OR_RETURN(SpiffeId ancestor_id, SpiffeId::Parse(ancestor));
      out.lineage.push_back(std::move(ancestor_id));
    }
  }
  out.exe_patterns.assign(r.exe_patterns().begin(), r.exe_patterns().end());
  out.children_inherit = r.children() == "inherit";
  out.sub_identities = r.sub_identities();
  out.shares.assign(r.shares().begin(), r.shares().end());
  out.sockets = r.sockets();
  out.cgroup = r.cgroup();
  out.caller_uid = r.caller_uid();
  out.caller_user = r.caller_user();
  out.quarantined = quarantine_->Contains(out.id);
  if (r.exec_counter() > 0 && exec_counters_) {
    if (r.exec_counter() > exec_counters_->size())
      return InvalidArgument("registration: there is no such exec counter");
    out.execs = {exec_counters_, r.exec_counter() - 1, r.execs()};
  }
  out.again = r.again();
  return out;
}

Status Keeper::CheckMayStart(const identity::Registration& r) const {
  const std::string& tenant = r.tenant.value();
  const Tenant* known = tenants_->Find(r.tenant);
  if (known == nullptr)
    return NotFound("there is no tenant " + tenant + "; create it with `hexr tenant create " + tenant + "`");
  if (known->state == TenantState::kFrozen)
    return PermissionDenied("tenant " + tenant + " is frozen; `hexr tenant thaw " + tenant + "` ends that");
  if (killed_.contains(r.id)) return FailedPrecondition("this instance has been ended");
  // Who lives already has its place, whatever the quota has become since.
  if (r.again || core_->registry().Find(r.id) != nullptr) return Ok();
  if (core_->registry().CountOf(r.tenant) < known->quota.instances) return Ok();
  return ResourceExhausted("tenant " + tenant + " runs its " + std::to_string(known->quota.instances) +
                           " instances; end some, or see `hexr tenant quota --help`");
}

void Keeper::Register(Message m, Channel::Reply reply) {
  if (m.fds.size() != 1) return reply.Fail(InvalidArgument("registration: one pidfd is expected"));
  auto registration = ReadRegistration(m.body.register_instance(), std::move(m.fds[0]));
  if (!registration.ok()) return reply.Fail(registration.error());
  if (const Status may = CheckMayStart(*registration); !may.ok()) return reply.Fail(may.error());
  std::string token = m.body.register_instance().on_behalf_of().token();
  if (token.empty()) {
    // A sub-agent acts for whom its parent acts; everyone else for nobody, unless this keeper's predecessor knew
    // better.
    auto user = outside_->Recall(registration->id);
    if (!user.ok()) return reply.Fail(user.error());
    registration->on_behalf_of = std::move(*user);
    return Admit(std::move(*registration), std::move(reply));
  }
  if (registration->parent) return reply.Fail(PermissionDenied("a sub-agent acts for whom its parent acts"));
  const uint32_t caller = registration->caller_uid;
  outside_->VerifyUser(std::move(token), caller,
                       [this, registration = std::move(*registration),
                        reply = std::move(reply)](Result<identity::OnBehalfOf> user) mutable {
                         if (!user.ok()) return reply.Fail(user.error());
                         const Status kept = outside_->Remember(registration.id, *user);
                         if (!kept.ok()) return reply.Fail(kept.error());
                         registration.on_behalf_of = std::move(*user);
                         const InstanceId id = registration.id;
                         Admit(std::move(registration), std::move(reply));
                         // A launch that was refused. Who is registered again after a restart may be refused for now:
                         // it keeps its user.
                         if (core_->registry().Find(id) == nullptr) outside_->Forget(id);
                       });
}

void Keeper::Admit(identity::Registration registration, Channel::Reply reply) {
  // The token took its time: others have started meanwhile, an operator may have frozen or killed.
  if (const Status may = CheckMayStart(registration); !may.ok()) return reply.Fail(may.error());
  const bool known = core_->registry().Find(registration.id) != nullptr;
  const auto instance = core_->registry().Register(std::move(registration));
  if (!instance.ok()) return reply.Fail(instance.error());
  const Instance& i = **instance;
  if (known) return Answer(i, std::move(reply));  // the spawner was restarted
  if (i.facts.parent && i.identity.on_behalf_of) {
    // It may outlive its parent, and this process.
    if (const Status kept = outside_->Remember(i.id(), *i.identity.on_behalf_of); !kept.ok()) {
      const InstanceId id = i.id();
      core_->registry().End(id, "whom it acts for cannot be kept");
      return reply.Fail(kept.error());
    }
  }
  Body body;
  body.Set("event", Code("registered")).Set("uid", i.facts.caller_uid);
  if (i.facts.parent) body.Set("parent", *i.facts.parent);
  AddImage(body, i.facts.image);
  if (i.identity.on_behalf_of) {
    // Who it is stands in the sealed texts, where it can be erased; the log commits to it.
    Body user;
    user.Set("sub", ledger::SaltedText(i.identity.on_behalf_of->subject, random_));
    user.Set("issuer", ledger::SaltedText(i.identity.on_behalf_of->issuer, random_));
    body.Set("on_behalf_of", std::move(user));
  }
  // Not on record, not alive: the process has not run an instruction yet, or it is registered again.
  evidence_->Record(InstanceEvent(i, RecordKind::kIdentity, std::move(body)),
                    [this, id = i.id(), reply = std::move(reply)](const Status& s) mutable {
                      const Instance* alive = core_->registry().Find(id);
                      if (s.ok() && alive != nullptr) return Answer(*alive, std::move(reply));
                      if (s.ok()) return reply.Fail(NotFound("the process has ended"));
                      core_->registry().End(id, "not recorded");
                      if (outside_) outside_->Forget(id);
                      reply.Fail(s.error().WithContext("the ledger takes no record"));
                    });
}

void Keeper::Answer(const Instance& i, Channel::Reply reply) const {
  Envelope e;
  auto& r = *e.mutable_registered();
  r.set_spiffe_id(i.identity.id.ToString());
  for (const SpiffeId& ancestor : i.identity.lineage) r.add_lineage(ancestor.ToString());
  r.set_reads_execs(i.facts.execs.counters != nullptr);
  if (i.identity.on_behalf_of) {
    r.set_subject(i.identity.on_behalf_of->subject);
    r.set_subject_issuer(i.identity.on_behalf_of->issuer);
    r.set_subject_claims(i.identity.on_behalf_of->claims_json);
  }
  reply.Send(std::move(e));
}

void Keeper::ExecDone(const ::hexr::node::v1::ExecDone& done, Channel::Reply reply) {
  const auto id = InstanceId::Parse(done.instance());
  if (!id.ok()) return reply.Fail(id.error());
  if (done.failed()) {
    const Status s = core_->registry().ExecFailed(*id, done.execs());
    return s.ok() ? reply.Ack() : reply.Fail(s.error());
  }
  auto image = ReadImage(done.image());
  if (!image.ok()) return reply.Fail(image.error());
  const Status s = core_->registry().ExecDone(*id, std::move(*image), done.execs());
  return s.ok() ? reply.Ack() : reply.Fail(s.error());
}

void Keeper::InstanceEnded(const ::hexr::node::v1::InstanceEnded& ended, Channel::Reply reply) {
  const auto id = InstanceId::Parse(ended.instance());
  if (!id.ok()) return reply.Fail(id.error());
  killed_.erase(*id);
  if (!ended.late() || core_->registry().Find(*id) != nullptr || ending_.contains(*id)) {
    ended_how_ = &ended;
    core_->registry().End(*id, "ended");
    ended_how_ = nullptr;
    if (auto node = ending_.extract(*id); !node.empty()) RecordEnd(std::move(node.mapped().event), &ended);
    return reply.Ack();
  }
  // It ended between two keepers: the log says so all the same, twice where the one before was just quick enough.
  const auto tenant = IdSegment::Parse(ended.tenant());
  const auto spiffe_id = SpiffeId::Parse(ended.spiffe_id());
  if (!tenant.ok() || !spiffe_id.ok()) return reply.Fail(InvalidArgument("an end says whose"));
  ledger::Event event{.time = clock_.Wall(),
                      .kind = RecordKind::kIdentity,
                      .spiffe_id = *spiffe_id,
                      .instance = *id,
                      .tenant = *tenant};
  event.body.Set("event", Code("ended"));
  AddEnd(event.body, ended);
  evidence_->Record(event, [reply = std::move(reply)](const Status& s) mutable {
    return s.ok() ? reply.Ack() : reply.Fail(s.error());
  });
  (void)quarantine_->Remove(*id);  // an entry that stays does no harm: an instance's name is never used again
  evidence_->EndInstance(*tenant, *id);
}

void Keeper::RecordEnd(ledger::Event event, const ::hexr::node::v1::InstanceEnded* how) {
  if (how != nullptr) AddEnd(event.body, *how);
  // Noted whether or not the disk takes it: the process has ended all the same.
  evidence_->Note(event);
  evidence_->EndInstance(event.tenant, *event.instance);
}

void Keeper::RecordEnds(const std::optional<IdSegment>& of_tenant) {
  for (auto it = ending_.begin(); it != ending_.end();) {
    const auto next = std::next(it);
    if (!of_tenant || it->second.event.tenant == of_tenant)
      RecordEnd(std::move(ending_.extract(it).mapped().event), nullptr);
    it = next;
  }
}

// ---- what happens to instances

ledger::Event Keeper::InstanceEvent(const Instance& i, RecordKind kind, Body body) const {
  return {.time = clock_.Wall(),
          .kind = kind,
          .spiffe_id = i.identity.id,
          .instance = i.id(),
          .tenant = i.facts.tenant,
          .body = std::move(body)};
}

void Keeper::RecordIssued(const identity::Identity& identity, std::string_view kind, ByteView serial,
                          WallTime not_after, Evidence::Done done) {
  Body body;
  body.Set("event", Code("svid.issued")).Set("not_after", not_after);
  const auto kind_name = PublicName::Parse(kind), serial_name = PublicName::Parse(HexEncode(serial));
  if (!kind_name.ok()) return done(kind_name.error());
  body.Set("svid", *kind_name);
  if (!serial.empty()) {
    if (!serial_name.ok()) return done(serial_name.error());
    body.Set("serial", *serial_name);
  }
  std::optional<IdSegment> tenant;
  if (identity.instance) {
    if (const Instance* i = core_->registry().Find(*identity.instance)) tenant = i->facts.tenant;
  }
  evidence_->Record({.time = clock_.Wall(),
                     .kind = RecordKind::kIdentity,
                     .spiffe_id = identity.id,
                     .instance = tenant ? identity.instance : std::nullopt,
                     .tenant = tenant,
                     .body = std::move(body)},
                    std::move(done));
}

void Keeper::OnInstanceChange(const Instance& i, InstanceChange change) {
  // Its identity has gone. What is on record of that does not depend on the process, which stands still until then.
  if (exec_waits_ != nullptr) exec_waits_->Ack();
  Channel* gateway = GatewayOf(i.facts.tenant);
  Body body;
  switch (change) {
    case InstanceChange::kRegistered:
      // Admit records it, and can still refuse. Its image may have changed while no keeper watched.
      if (!i.quarantined || quarantine_->Contains(i.id())) return;
      body.Set("event", Code("quarantined"));
      break;
    case InstanceChange::kWithheld: body.Set("event", i.executing ? Code("svid.withheld") : Code("quarantined")); break;
    case InstanceChange::kRestored: body.Set("event", Code("restored")); break;
    case InstanceChange::kNewImage:
      body.Set("event", Code("image.attested"));
      AddImage(body, i.facts.image);
      break;
    case InstanceChange::kEnded: body.Set("event", Code("ended")); break;
  }
  const bool ended = change == InstanceChange::kEnded;
  const bool held = i.quarantined && !ended, was_held = quarantine_->Contains(i.id());
  const auto tell = [&] {
    if (i.executing && !ended) return;
    if (!ended) {
      if (gateway != nullptr) TellQuarantine(*gateway, i.id(), i.quarantined);
      const bool news = held || was_held;  // it does not hear of every exec
      if (news && spawner_ && spawner_->open()) TellQuarantine(*spawner_, i.id(), i.quarantined);
    } else if (gateway != nullptr) {
      Envelope e;
      e.mutable_end_instance()->set_instance(i.id().value());
      (void)gateway->Send(std::move(e));
    }
  };
  // What is taken away is taken before any disk is asked, what is given back after.
  if (ended || held) tell();
  if (const Status s = held ? quarantine_->Add(i.id(), i.facts.tenant) : quarantine_->Remove(i.id()); !s.ok()) {
    Log(LogLevel::kError, "quarantine.not_saved", {{"instance", i.id()}, {"error", s.error()}});
  }
  // A process has ended or lost its identity whether or not the disk takes the record: nothing waits for it here.
  ledger::Event event = InstanceEvent(i, RecordKind::kIdentity, std::move(body));
  if (!ended) {
    evidence_->Note(event);
    if (!held) tell();
    return;
  }
  if (outside_) outside_->Forget(i.id());
  if (ended_how_ != nullptr || !spawner_ || !spawner_->open()) return RecordEnd(std::move(event), ended_how_);
  Ending& ending = ending_.insert_or_assign(i.id(), Ending{std::move(event), {}}).first->second;
  ending.timer = loop_.After(kHowItEnded, [this, id = i.id()] {
    if (auto node = ending_.extract(id); !node.empty()) RecordEnd(std::move(node.mapped().event), nullptr);
  });
}

Result<std::vector<InstanceId>> Keeper::Targets(const std::string& target) const {
  std::vector<InstanceId> out;
  const auto id = InstanceId::Parse(target);
  const auto prefix = SpiffeId::Parse(target);
  if (!id.ok() && !prefix.ok()) {
    return InvalidArgument("'" + target + "' is neither an instance (see `hexr ps`) nor a SPIFFE ID");
  }
  std::multimap<InstanceId, const Instance*> children;
  std::set<InstanceId> seen;
  const auto add = [&](const Instance& i) {
    if (seen.insert(i.id()).second) out.push_back(i.id());
  };
  for (const Instance* i : core_->registry().All()) {
    if (i->facts.parent) children.emplace(*i->facts.parent, i);
    if (id.ok() ? i->id() == *id : i->identity.id.IsUnder(*prefix)) add(*i);
  }
  // Whoever they have started goes with them: a sub-agent acts on its parent's behalf.
  for (size_t n = 0; n < out.size(); ++n) {
    const auto [first, last] = children.equal_range(out[n]);
    for (auto child = first; child != last; ++child) add(*child->second);
  }
  if (out.empty()) return NotFound("no instance is " + target + "; see `hexr ps`");
  return out;
}

void Keeper::EndInstance(const InstanceId& id, Code why, std::optional<Body> by) {
  const Instance* i = core_->registry().Find(id);
  if (i == nullptr) return;
  if (spawner_ && spawner_->open()) {
    Envelope e;
    e.mutable_end_instance()->set_instance(id.value());
    e.mutable_end_instance()->set_why(std::string(why.text()));
    (void)spawner_->Send(std::move(e));
  }
  // The spawner may be gone; its process may not stay.
  if (const Status s = runtime::SignalPidfd(i->facts.pidfd.get(), SIGKILL);
      !s.ok() && s.error().code() != ErrorCode::kNotFound) {
    Log(LogLevel::kError, "instance.kill_failed", {{"instance", id}, {"error", s.error()}});
  }
  if (killed_.size() < limits::kMaxInstances) killed_.insert(id);
  // Done by now, whether or not it can be recorded: a full disk must not keep a rogue agent alive.
  Body body;
  body.Set("event", Code("killed")).Set("why", why);
  if (by) body.Set("operator", std::move(*by));
  evidence_->Record(InstanceEvent(*i, RecordKind::kKill, std::move(body)), [id](const Status& s) {
    if (!s.ok()) Log(LogLevel::kError, "ledger.record_failed", {{"instance", id}, {"error", s.error()}});
  });
  core_->registry().End(id, why.text());
  core_->PushCrls();
}

void Keeper::Drain(UniqueFunction<void()> done) {
  workload_->Drain();
  ledger::Event stopped{.time = clock_.Wall(),
                        .kind = RecordKind::kConfiguration,
                        .spiffe_id = SpiffeId::ForTrustDomain(options_.config.trust_domain)};
  stopped.body.Set("event", Code("keeper.stopped"));
  RecordEnds();
  evidence_->Note(stopped);
  evidence_->Finish();
  loop_.Post(std::move(done));
}

}  // namespace hexr::keeper
