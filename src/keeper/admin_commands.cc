#include "keeper/admin_commands.h"

#include <unistd.h>

#include <algorithm>

#include "base/decimal.h"
#include "base/log.h"
#include "crypto/digest.h"
#include "crypto/secret_arena.h"
#include "keeper/keeper.h"
#include "keeper/workload_door.h"

namespace hexr::keeper {

using identity::Instance;
using ledger::Body;
using ledger::Code;
using ledger::RecordKind;
using wire::Json;
using wire::JsonArray;
using wire::JsonObject;

namespace {

std::string_view StateOf(const Instance& i) {
  if (i.quarantined) return "quarantined";
  return i.replacing_image() ? "executing" : "running";
}

// What the gateway has decided for it; not there: nobody could say.
void SetCounts(const Instance& i, const CallCountsByInstance& counts, JsonObject& o) {
  const auto found = counts.find(i.id().value());
  if (found == counts.end()) return;
  o.Set("calls", found->second.calls);
  o.Set("denials", found->second.denials);
}

JsonObject Describe(const Instance& i) {
  JsonObject o{{"instance", i.id().value()},
               {"spiffe_id", i.identity.id.ToString()},
               {"tenant", i.facts.tenant.value()},
               {"agent", i.facts.agent.value()},
               {"role", i.facts.role.value()},
               {"pid", i.facts.process.pid},
               {"state", StateOf(i)},
               {"assurance", AssuranceName(i.identity.assurance)},
               {"user", i.facts.caller_user},
               {"started", FormatRfc3339(i.registered_at, 0)}};
  if (i.facts.parent) o.Set("parent", i.facts.parent->value());
  return o;
}

JsonObject DescribeWhole(const Instance& i, const CallCountsByInstance& counts) {
  JsonObject o = Describe(i);
  SetCounts(i, counts, o);
  o.Set("exe", i.facts.image.exe);
  if (i.facts.image.exe_sha256) o.Set("exe_sha256", HexEncode(*i.facts.image.exe_sha256));
  if (!i.facts.image.script.empty()) o.Set("script", i.facts.image.script);
  if (i.facts.image.script_sha256) o.Set("script_sha256", HexEncode(*i.facts.image.script_sha256));
  o.Set("children", i.facts.children_inherit ? "inherit" : "deny");
  JsonArray lineage, shares;
  for (const SpiffeId& a : i.identity.lineage) lineage.push_back(a.ToString());
  for (const std::string& s : i.facts.shares) shares.push_back(s);
  o.Set("lineage", std::move(lineage));
  o.Set("shares", std::move(shares));
  if (!i.facts.sockets.empty()) o.Set("weaker", JsonArray{i.facts.sockets});
  if (i.identity.on_behalf_of) {
    o.Set("on_behalf_of",
          JsonObject{{"sub", i.identity.on_behalf_of->subject}, {"issuer", i.identity.on_behalf_of->issuer}});
  }
  if (!i.facts.cgroup.empty()) o.Set("cgroup", i.facts.cgroup);
  return o;
}

constexpr std::chrono::seconds kGatewayEnds{20};
constexpr std::chrono::milliseconds kGatewayLook{20};
constexpr std::chrono::milliseconds kGatewayCounts{500};

// The quota that a command names, `now` where it names none.
Result<Quota> QuotaArgs(const AdminCall& call, Quota now) {
  for (const auto& [name, bound] :
       {std::pair("max_instances", &now.instances), std::pair("max_secrets", &now.secrets)}) {
    const std::string& text = call.Arg(name);
    if (text.empty()) continue;
    const auto n = ParseDecimal<uint64_t>(text);
    if (!n) return InvalidArgument(std::string(name) + ": '" + text + "' is no number");
    *bound = *n;
  }
  return now;
}

Json QuotaOf(const IdSegment& tenant, const Quota& q) {
  return JsonObject{{"tenant", tenant.value()}, {"max_instances", q.instances}, {"max_secrets", q.secrets}};
}

Result<IdSegment> TenantArg(const AdminCall& call) {
  ASSIGN_OR_RETURN(const std::string name, call.Required("tenant"));
  return IdSegment::Parse(name);
}

}  // namespace

void AdminCommands::Serve(AdminServer& server, const char* method, Simple f) {
  server.Serve(method, [this, f](std::shared_ptr<AdminCall> call) {
    const Result<Json> r = (this->*f)(*call);
    if (r.ok())
      call->Answer(*r);
    else
      call->Fail(r.error());
  });
}

void AdminCommands::Serve(AdminServer& server, const char* method, Acting f) {
  server.Serve(method, [this, f](const Call& call) { (this->*f)(call); });
}

ledger::Event AdminCommands::Event(const AdminCall& call, RecordKind kind, Code event, Body body,
                                   std::optional<IdSegment> tenant) {
  body.Set("event", event).Set("operator", k_.operators_->Name(call.who(), /*may_read=*/true));
  return {.time = k_.clock_.Wall(),
          .kind = kind,
          .spiffe_id = SpiffeId::ForTrustDomain(k_.options_.config.trust_domain),
          .tenant = std::move(tenant),
          .body = std::move(body)};
}

void AdminCommands::Give(const Call& call, const ledger::Event& event, UniqueFunction<void()> then) {
  k_.evidence_->Record(event, [call, then = std::move(then)](const hexr::Status& recorded) mutable {
    if (!recorded.ok()) return call->Fail(recorded.error().WithContext("not done, since it cannot be recorded"));
    then();
  });
}

void AdminCommands::Give(const Call& call, ledger::Event event, UniqueFunction<Result<Json>()> act) {
  const ledger::Event copy = event;
  Give(call, copy, UniqueFunction<void()>([this, call, event = std::move(event), act = std::move(act)]() mutable {
         const Result<Json> done = act();
         if (!done.ok()) return Failed(call, std::move(event), done.error());
         call->Answer(*done);
       }));
}

void AdminCommands::Failed(const Call& call, ledger::Event event, const Error& why) {
  event.time = k_.clock_.Wall();
  event.body.Set("failed", true);
  k_.evidence_->Note(event);
  call->Fail(why);
}

void AdminCommands::Taken(const Call& call, const std::vector<ledger::Event>& events, Json result) {
  struct Open {
    size_t left;
    hexr::Status status;
    Json result;
  };
  const auto open = std::make_shared<Open>(Open{events.size(), Ok(), std::move(result)});
  for (const ledger::Event& event : events) {
    k_.evidence_->Record(event, [call, open](const hexr::Status& recorded) {
      if (!recorded.ok()) open->status = recorded;
      if (--open->left > 0) return;
      if (open->status.ok()) return call->Answer(open->result);
      call->Fail(open->status.error().WithContext("done, but it cannot be recorded"));
    });
  }
}

void AdminCommands::ServeOn(AdminServer& server) {
  Serve(server, "status", &AdminCommands::Status);
  Serve(server, "ps", &AdminCommands::Ps);
  Serve(server, "show", &AdminCommands::Show);
  Serve(server, "kill", &AdminCommands::Kill);
  Serve(server, "quarantine", &AdminCommands::Quarantine);
  Serve(server, "release", &AdminCommands::Release);
  Serve(server, "tenant.list", &AdminCommands::TenantList);
  Serve(server, "tenant.freeze", &AdminCommands::TenantFreeze);
  Serve(server, "tenant.quota", &AdminCommands::TenantQuota);
  Serve(server, "tenant.delete", &AdminCommands::TenantDelete);
  Serve(server, "tenant.create", &AdminCommands::TenantCreate);
  Serve(server, "tenant.thaw", &AdminCommands::TenantThaw);
  Serve(server, "bundle.show", &AdminCommands::BundleShow);
  Serve(server, "bundle.list", &AdminCommands::BundleList);
  Serve(server, "bundle.set", &AdminCommands::BundleSet);
  Serve(server, "bundle.delete", &AdminCommands::BundleDelete);
  Serve(server, "bundle.set_map", &AdminCommands::BundleSetMap);
  Serve(server, "entry.list", &AdminCommands::EntryList);
  Serve(server, "entry.show", &AdminCommands::EntryShow);
  Serve(server, "entry.create", &AdminCommands::EntryCreate);
  Serve(server, "entry.delete", &AdminCommands::EntryDelete);
  Serve(server, "authority.list", &AdminCommands::AuthorityList);
  Serve(server, "authority.rotate", &AdminCommands::AuthorityRotate);
  server.Serve("authority.taint",
               [this](const Call& call) { TakeTrust(call, "authority.tainted", &identity::Authority::Taint); });
  server.Serve("authority.revoke",
               [this](const Call& call) { TakeTrust(call, "authority.revoked", &identity::Authority::Revoke); });
  Serve(server, "ledger.logs", &AdminCommands::LedgerLogs);
  Serve(server, "ledger.erase", &AdminCommands::LedgerErase);
  Serve(server, "vault.put", &AdminCommands::VaultPut);
  Serve(server, "vault.list", &AdminCommands::VaultList);
  Serve(server, "vault.delete", &AdminCommands::VaultDelete);
  Serve(server, "vault.rotate", &AdminCommands::VaultRotate);
  Serve(server, "vault.get", &AdminCommands::VaultGet);
}

// ---- the node and its instances

Result<Json> AdminCommands::Status(const AdminCall&) {
  const auto& c = k_.options_.config;
  const crypto::SecretArenaStatus memory = crypto::SecretArena::Process().status();
  return Json(JsonObject{{"trust_domain", c.trust_domain.name()},
                         {"tenant", c.tenant.value()},
                         {"pid", static_cast<int64_t>(getppid())},
                         {"started", FormatRfc3339(k_.started_, 0)},
                         {"config_file", k_.options_.config_file},
                         {"config_sha256", HexEncode(crypto::Sha256(AsBytes(k_.options_.config_yaml)))},
                         {"machine_key", store::MachineKeyProviderName(k_.state_->machine_key().provider())},
                         {"machine_key_detail", k_.state_->machine_key().description()},
                         {"secret_memory", crypto::SecretBackendName(memory.best)},
                         {"secret_memory_unlocked_bytes", memory.unlocked_bytes},
                         {"instances", k_.core_->registry().size()},
                         {"tenants", k_.tenants_->all().size()},
                         {"streams", k_.core_->subscribers()},
                         {"svids_issued", k_.core_->svids().issued()},
                         {"trust_bundle_sha256", HexEncode(crypto::Sha256(k_.core_->authority().bundle().X509Der()))}});
}

void AdminCommands::CountCalls(const std::set<IdSegment>& tenants,
                               UniqueFunction<void(const CallCountsByInstance&)> then) {
  const auto counting = std::make_shared<CallCounting>(std::move(then));
  runtime::Envelope ask;
  ask.mutable_collect_metrics();
  for (const IdSegment& tenant : tenants) {
    runtime::Channel* gateway = k_.GatewayOf(tenant);
    if (gateway == nullptr) continue;
    gateway->Call(ask, {}, kGatewayCounts, [this, counting, tenant](const Result<runtime::Message>& answer) {
      counting->AddFromGateway(answer, [&](const std::string& text) {
        const auto id = InstanceId::Parse(text);
        const Instance* i = id.ok() ? k_.core_->registry().Find(*id) : nullptr;
        return i != nullptr && i->facts.tenant == tenant;
      });
    });
  }
}

void AdminCommands::Ps(const Call& call) {
  if (!call->Arg("tenant").empty()) {
    if (const auto tenant = TenantOf(*call); !tenant.ok()) return call->Fail(tenant.error());
  }
  const auto wanted = [call](const Instance& i) {
    return call->Arg("tenant").empty() || i.facts.tenant.value() == call->Arg("tenant");
  };
  std::set<IdSegment> tenants;
  for (const Instance* i : k_.core_->registry().All()) {
    if (wanted(*i)) tenants.insert(i->facts.tenant);
  }
  CountCalls(tenants, [this, call, wanted](const CallCountsByInstance& counts) {
    JsonArray instances;
    for (const Instance* i : k_.core_->registry().All()) {
      if (!wanted(*i)) continue;
      JsonObject o = Describe(*i);
      SetCounts(*i, counts, o);
      instances.push_back(std::move(o));
    }
    call->Answer(JsonObject{{"instances", std::move(instances)}});
  });
}

void AdminCommands::Show(const Call& call) {
  const auto instance = [this, call]() -> Result<const Instance*> {
    ASSIGN_OR_RETURN(const std::string text, call->Required("instance"));
    ASSIGN_OR_RETURN(const InstanceId id, InstanceId::Parse(text));
    const Instance* i = k_.core_->registry().Find(id);
    if (i == nullptr)
      return NotFound("no instance " + text +
                      " runs; the log of its tenant (`hexr ledger tail --tenant NAME`) has its past");
    return i;
  };
  const auto now = instance();
  if (!now.ok()) return call->Fail(now.error());
  CountCalls({(*now)->facts.tenant}, [call, instance](const CallCountsByInstance& counts) {
    const auto still = instance();
    if (!still.ok()) return call->Fail(still.error());
    call->Answer(DescribeWhole(**still, counts));
  });
}

Result<Json> AdminCommands::Kill(const AdminCall& call) {
  ASSIGN_OR_RETURN(const std::string target, call.Required("target"));
  ASSIGN_OR_RETURN(const std::vector<InstanceId> ids, k_.Targets(target));
  JsonArray out;
  // Nothing is waited for, not even for the digest of the operator's program.
  const Body by = k_.operators_->Name(call.who(), /*may_read=*/false);
  for (const InstanceId& id : ids) {
    k_.EndInstance(id, Code("operator"), by);
    out.push_back(id.value());
  }
  return Json(JsonObject{{"instances", std::move(out)}});
}

void AdminCommands::Quarantine(const Call& call) {
  const auto target = call->Required("target");
  if (!target.ok()) return call->Fail(target.error());
  const auto ids = k_.Targets(*target);
  if (!ids.ok()) return call->Fail(ids.error());
  JsonArray out;
  std::vector<ledger::Event> events;
  for (const InstanceId& id : *ids) {
    const Instance* i = k_.core_->registry().Find(id);
    if (i == nullptr || !k_.core_->registry().SetQuarantined(id, true).ok()) continue;
    Body body;
    body.Set("event", Code("quarantine"));
    events.push_back(k_.InstanceEvent(*i, RecordKind::kKill, std::move(body)));
    out.push_back(id.value());
  }
  k_.core_->PushCrls();
  const Body by = k_.operators_->Name(call->who(), /*may_read=*/true);
  for (ledger::Event& event : events) event.body.Set("operator", by);
  if (events.empty()) return call->Fail(NotFound("the instance has ended"));
  Taken(call, events, JsonObject{{"instances", std::move(out)}});
}

void AdminCommands::Release(const Call& call) {
  const auto target = call->Required("target");
  if (!target.ok()) return call->Fail(target.error());
  const auto ids = k_.Targets(*target);
  if (!ids.ok()) return call->Fail(ids.error());
  const Body by = k_.operators_->Name(call->who(), /*may_read=*/true);
  const auto event_of = [&](const InstanceId& id) {
    Body body;
    body.Set("event", Code("release")).Set("operator", by);
    return k_.InstanceEvent(*k_.core_->registry().Find(id), RecordKind::kKill, std::move(body));
  };
  // One that may not be released keeps the others of its crew where they are: nothing is half done.
  for (const InstanceId& id : *ids) {
    if (const hexr::Status s = k_.core_->registry().CheckRelease(id); !s.ok())
      return Failed(call, event_of(id), s.error());
  }
  struct Open {
    size_t left;
    hexr::Status status;
    JsonArray out;
  };
  const auto open = std::make_shared<Open>(Open{ids->size(), Ok(), {}});
  for (const InstanceId& id : *ids) {
    k_.evidence_->Record(event_of(id), [this, call, open, id](const hexr::Status& recorded) {
      const hexr::Status s = recorded.ok() ? k_.core_->registry().SetQuarantined(id, false) : recorded;
      if (s.ok())
        open->out.push_back(id.value());
      else
        open->status = s;
      if (--open->left > 0) return;
      if (!open->status.ok()) return call->Fail(open->status.error());
      call->Answer(JsonObject{{"instances", std::move(open->out)}});
    });
  }
}

// ---- tenants

Result<Json> AdminCommands::TenantList(const AdminCall&) {
  JsonArray out;
  for (const auto& [name, t] : k_.tenants_->all()) {
    out.push_back(JsonObject{{"tenant", name.value()},
                             {"state", t.state == TenantState::kFrozen ? "frozen" : "active"},
                             {"uid", t.uid_base},
                             {"instances", static_cast<int64_t>(k_.core_->registry().CountOf(name))},
                             {"max_instances", t.quota.instances},
                             {"max_secrets", t.quota.secrets},
                             {"created", FormatRfc3339(t.created, 0)}});
  }
  return Json(JsonObject{{"tenants", std::move(out)}});
}

namespace {

Body TenantBody(const IdSegment& tenant, std::optional<Quota> quota = {}) {
  Body body;
  body.Set("tenant", tenant);
  if (quota) body.Set("max_instances", quota->instances).Set("max_secrets", quota->secrets);
  return body;
}

}  // namespace

void AdminCommands::TenantCreate(const Call& call) {
  const auto name = TenantArg(*call);
  if (!name.ok()) return call->Fail(name.error());
  const auto quota = QuotaArgs(*call, {});
  if (!quota.ok()) return call->Fail(quota.error());
  const ledger::Event event = Event(*call, RecordKind::kConfiguration, "tenant.created", TenantBody(*name, *quota));
  Give(call, event, UniqueFunction<void()>([this, call, n = *name, q = *quota, event] {
         const auto tenant = k_.tenants_->Create(n, q);
         if (!tenant.ok()) return Failed(call, event, tenant.error());
         const hexr::Status log = k_.evidence_->AddTenant(n);
         if (!log.ok()) return Failed(call, event, log.error());
         k_.StartGateway(*tenant, [this, call, event, t = *tenant](const hexr::Status& s) {
           if (!s.ok()) return Failed(call, event, s.error());
           call->Answer(JsonObject{{"tenant", t.name.value()}, {"uid", t.uid_base}});
         });
       }));
}

Result<Json> AdminCommands::EndTenant(const AdminCall& call, const IdSegment& tenant, Code why, bool frozen) {
  JsonArray ended;
  const Body by = k_.operators_->Name(call.who(), /*may_read=*/false);
  for (const Instance* i : k_.core_->registry().All()) {
    if (i->facts.tenant != tenant) continue;
    const InstanceId id = i->id();
    k_.EndInstance(id, Code("tenant"), by);
    ended.push_back(id.value());
  }
  RETURN_IF_ERROR(k_.StopGateway(tenant, frozen));
  Log(LogLevel::kInfo, why.text(), {{"tenant", tenant.value()}});
  return Json(JsonObject{{"tenant", tenant.value()}, {"ended", std::move(ended)}});
}

void AdminCommands::TenantFreeze(const Call& call) {
  const auto name = TenantArg(*call);
  if (!name.ok()) return call->Fail(name.error());
  // Frozen first, so that nothing new starts while the old ones end.
  if (const hexr::Status s = k_.tenants_->SetState(*name, TenantState::kFrozen); !s.ok()) return call->Fail(s.error());
  auto ended = EndTenant(*call, *name, "tenant.frozen", /*frozen=*/true);
  if (!ended.ok()) return call->Fail(ended.error());
  Taken(call, {Event(*call, RecordKind::kConfiguration, "tenant.frozen", TenantBody(*name))}, std::move(*ended));
}

void AdminCommands::TenantThaw(const Call& call) {
  const auto name = TenantArg(*call);
  if (!name.ok()) return call->Fail(name.error());
  const ledger::Event event = Event(*call, RecordKind::kConfiguration, "tenant.thawed", TenantBody(*name));
  Give(call, event, UniqueFunction<void()>([this, call, n = *name, event] {
         if (k_.tenants_->Find(n) != nullptr) {
           // Its log may have been put right since the start.
           const hexr::Status log = k_.evidence_->AddTenant(n);
           if (!log.ok()) return Failed(call, event, log.error().WithContext("the tenant's log"));
         }
         const hexr::Status s = k_.tenants_->SetState(n, TenantState::kActive);
         if (!s.ok()) return Failed(call, event, s.error());
         k_.StartGateway(*k_.tenants_->Find(n), [this, call, n, event](const hexr::Status& started) {
           if (!started.ok()) return Failed(call, event, started.error());
           call->Answer(JsonObject{{"tenant", n.value()}});
         });
       }));
}

void AdminCommands::TenantQuota(const Call& call) {
  const auto name = TenantArg(*call);
  if (!name.ok()) return call->Fail(name.error());
  const Tenant* tenant = k_.tenants_->Find(*name);
  if (tenant == nullptr)
    return call->Fail(NotFound("there is no tenant " + name->value() + "; see `hexr tenant list`"));
  const auto quota = QuotaArgs(*call, tenant->quota);
  if (!quota.ok()) return call->Fail(quota.error());
  if (*quota == tenant->quota) return call->Answer(QuotaOf(*name, *quota));  // nothing changes: nothing to record
  Give(call, Event(*call, RecordKind::kConfiguration, "tenant.quota", TenantBody(*name, *quota)),
       UniqueFunction<Result<Json>()>([this, n = *name, q = *quota]() -> Result<Json> {
         RETURN_IF_ERROR(k_.tenants_->SetQuota(n, q));
         return QuotaOf(n, q);
       }));
}

// In this order, so that a command which fails half-way can be given again: nothing new starts; nobody reads this
// tenant's secrets any more; what runs ends; its log, which only now has no other writer, takes its last records and
// keeps nothing but what others check; the name is free.
void AdminCommands::TenantDelete(const Call& call) {
  const auto name = TenantArg(*call);
  if (!name.ok()) return call->Fail(name.error());
  const auto begin = [&]() -> Result<Json> {
    RETURN_IF_ERROR(k_.tenants_->CheckDeletable(*name));
    RETURN_IF_ERROR(k_.tenants_->SetState(*name, TenantState::kFrozen));
    RETURN_IF_ERROR(k_.vault_->DeleteTenant(*name));
    return EndTenant(*call, *name, "tenant.deleted", /*frozen=*/false);
  };
  Result<Json> ended = begin();
  if (!ended.ok()) return call->Fail(ended.error());
  FinishDelete(call, *name, std::move(*ended), k_.clock_.Mono() + kGatewayEnds);
}

void AdminCommands::FinishDelete(const Call& call, const IdSegment& tenant, Json answer, MonoTime deadline) {
  if (k_.GatewayOf(tenant) != nullptr) {
    if (k_.clock_.Mono() >= deadline) {
      call->Fail(Unavailable("the gateway of " + tenant.value() + " does not end; delete the tenant again"));
      deleting_.erase(tenant);
      return;
    }
    deleting_[tenant] =
        k_.loop_.After(kGatewayLook, [this, call, tenant, answer = std::move(answer), deadline]() mutable {
          FinishDelete(call, IdSegment(tenant), std::move(answer), deadline);
        });
    return;
  }
  const ledger::Event event = Event(*call, RecordKind::kConfiguration, "tenant.deleted", TenantBody(tenant));
  k_.RecordEnds(tenant);
  hexr::Status s = k_.evidence_->DestroyTenant(tenant);
  if (s.ok()) s = k_.tenants_->Delete(tenant);
  if (s.ok()) k_.gateways_.erase(tenant.value());
  if (s.ok())
    Taken(call, {event}, std::move(answer));
  else
    Failed(call, event, s.error());
  deleting_.erase(tenant);
}

// ---- evidence

Result<Json> AdminCommands::LedgerLogs(const AdminCall&) {
  JsonArray out;
  for (const auto& log : k_.evidence_->logs()) {
    JsonArray witnesses;
    for (const WitnessState& w : log.witnesses) {
      JsonObject o{{"name", w.name}, {"records", w.size}};
      if (w.last) o.Set("last", FormatRfc3339(*w.last, 0));
      if (!w.error.empty()) o.Set("error", w.error);
      witnesses.push_back(std::move(o));
    }
    out.push_back(JsonObject{{"tenant", log.tenant},
                             {"folder", log.folder},
                             {"key", log.verifier_key},
                             {"records", log.size},
                             {"witnesses", std::move(witnesses)}});
  }
  return Json(JsonObject{{"logs", std::move(out)}});
}

void AdminCommands::LedgerErase(const Call& call) {
  std::optional<IdSegment> tenant;
  Body body;
  const auto read = [&]() -> Result<ledger::TextSelection> {
    if (!call->Arg("tenant").empty()) {
      ASSIGN_OR_RETURN(tenant, TenantArg(*call));
      if (!k_.evidence_->Has(*tenant))
        return NotFound("there is no log of " + tenant->value() + "; see `hexr ledger list`");
    }
    if (!call->Arg("instance").empty()) {
      ASSIGN_OR_RETURN(const InstanceId id, InstanceId::Parse(call->Arg("instance")));
      body.Set("of", id);
      return ledger::TextSelection(id);
    }
    if (!call->Arg("before").empty()) {
      ASSIGN_OR_RETURN(const WallTime before, ParseRfc3339(call->Arg("before")));
      body.Set("before", before);
      return ledger::TextSelection(before);
    }
    ASSIGN_OR_RETURN(const std::string text, call->Required("sha256"));
    ASSIGN_OR_RETURN(const Bytes bytes, HexDecode(text));
    crypto::Sha256Digest digest{};
    if (bytes.size() != digest.size()) return InvalidArgument("a digest has 64 hexadecimal digits");
    std::ranges::copy(bytes, digest.begin());
    body.Set("text_sha256", digest);
    return ledger::TextSelection(digest);
  };
  auto which = read();
  if (!which.ok()) return call->Fail(which.error());
  // Evidence does not go without evidence of it.
  const ledger::Event event = Event(*call, RecordKind::kConfiguration, "texts.erased", std::move(body), tenant);
  Give(call, event, UniqueFunction<void()>([this, call, event, tenant, w = std::move(*which)]() mutable {
         k_.evidence_->EraseTexts(tenant, std::move(w), [this, call, event](Result<uint64_t> erased) {
           if (!erased.ok()) return Failed(call, event, erased.error());
           call->Answer(JsonObject{{"texts", *erased}});
         });
       }));
}
}  // namespace hexr::keeper
