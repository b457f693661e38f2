#include "keeper/admin_commands.h"

#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "crypto/digest.h"
#include "crypto/secret_arena.h"
#include "keeper/keeper.h"
#include "keeper/workload_door.h"

namespace hexr::keeper {

using identity::Instance;
using ledger::Code;
using wire::Json;
using wire::JsonArray;
using wire::JsonObject;

namespace {

std::string_view StateOf(const Instance& i) {
  if (i.quarantined) return "quarantined";
  return i.executing ? "executing" : "running";
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

void AdminCommands::ServeOn(AdminServer& server) {
  Serve(server, "status", &AdminCommands::Status);
  Serve(server, "ps", &AdminCommands::Ps);
  Serve(server, "show", &AdminCommands::Show);
  Serve(server, "kill", &AdminCommands::Kill);
  Serve(server, "quarantine", &AdminCommands::Quarantine);
  Serve(server, "release", &AdminCommands::Release);
  Serve(server, "tenant.list", &AdminCommands::TenantList);
  Serve(server, "tenant.freeze", &AdminCommands::TenantFreeze);
  Serve(server, "tenant.delete", &AdminCommands::TenantDelete);
  server.Serve("tenant.create", [this](std::shared_ptr<AdminCall> call) { TenantCreate(std::move(call)); });
  server.Serve("tenant.thaw", [this](std::shared_ptr<AdminCall> call) { TenantThaw(std::move(call)); });
  Serve(server, "bundle.show", &AdminCommands::BundleShow);
  Serve(server, "bundle.list", &AdminCommands::BundleList);
  Serve(server, "bundle.set", &AdminCommands::BundleSet);
  Serve(server, "bundle.set_map", &AdminCommands::BundleSetMap);
  Serve(server, "entry.list", &AdminCommands::EntryList);
  Serve(server, "entry.show", &AdminCommands::EntryShow);
  Serve(server, "entry.create", &AdminCommands::EntryCreate);
  Serve(server, "entry.delete", &AdminCommands::EntryDelete);
  Serve(server, "authority.list", &AdminCommands::AuthorityList);
  Serve(server, "authority.rotate", &AdminCommands::AuthorityRotate);
  Serve(server, "authority.taint", &AdminCommands::AuthorityTaint);
  Serve(server, "authority.revoke", &AdminCommands::AuthorityRevoke);
  Serve(server, "ledger.logs", &AdminCommands::LedgerLogs);
  Serve(server, "vault.put", &AdminCommands::VaultPut);
  Serve(server, "vault.list", &AdminCommands::VaultList);
  Serve(server, "vault.delete", &AdminCommands::VaultDelete);
  Serve(server, "vault.rotate", &AdminCommands::VaultRotate);
  server.Serve("vault.get", [this](std::shared_ptr<AdminCall> call) { VaultGet(std::move(call)); });
}

// ---- the node and its instances

Result<Json> AdminCommands::Status(const AdminCall&) {
  const auto& c = k_.options_.config;
  const crypto::SecretArenaStatus memory = crypto::SecretArena::Process().status();
  return Json(JsonObject{{"trust_domain", c.trust_domain.name()},
                         {"tenant", c.tenant.value()},
                         {"pid", static_cast<int64_t>(getppid())},
                         {"started", FormatRfc3339(k_.started_, 0)},
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

Result<Json> AdminCommands::Ps(const AdminCall& call) {
  JsonArray instances;
  for (const Instance* i : k_.core_->registry().All()) {
    if (call.Arg("tenant").empty() || i->facts.tenant.value() == call.Arg("tenant")) instances.push_back(Describe(*i));
  }
  return Json(JsonObject{{"instances", std::move(instances)}});
}

Result<Json> AdminCommands::Show(const AdminCall& call) {
  ASSIGN_OR_RETURN(const std::string text, call.Required("instance"));
  ASSIGN_OR_RETURN(const InstanceId id, InstanceId::Parse(text));
  const Instance* i = k_.core_->registry().Find(id);
  if (i == nullptr) return NotFound("no instance " + text + " runs; `hexr ledger tail` has its past");
  JsonObject o = Describe(*i);
  o.Set("exe", i->facts.image.exe);
  if (i->facts.image.exe_sha256) o.Set("exe_sha256", HexEncode(*i->facts.image.exe_sha256));
  if (!i->facts.image.script.empty()) o.Set("script", i->facts.image.script);
  if (i->facts.image.script_sha256) o.Set("script_sha256", HexEncode(*i->facts.image.script_sha256));
  o.Set("children", i->facts.children_inherit ? "inherit" : "deny");
  JsonArray lineage, shares;
  for (const SpiffeId& a : i->identity.lineage) lineage.push_back(a.ToString());
  for (const std::string& s : i->facts.shares) shares.push_back(s);
  o.Set("lineage", std::move(lineage));
  o.Set("shares", std::move(shares));
  if (i->identity.on_behalf_of) {
    o.Set("on_behalf_of",
          JsonObject{{"sub", i->identity.on_behalf_of->subject}, {"issuer", i->identity.on_behalf_of->issuer}});
  }
  if (!i->facts.cgroup.empty()) o.Set("cgroup", i->facts.cgroup);
  return Json(std::move(o));
}

Result<Json> AdminCommands::Kill(const AdminCall& call) {
  ASSIGN_OR_RETURN(const std::string target, call.Required("target"));
  ASSIGN_OR_RETURN(const std::vector<InstanceId> ids, k_.Targets(target));
  JsonArray out;
  for (const InstanceId& id : ids) {
    RETURN_IF_ERROR(k_.EndInstance(id, Code("operator")));
    out.push_back(id.value());
  }
  return Json(JsonObject{{"instances", std::move(out)}});
}

Result<Json> AdminCommands::SetQuarantined(const AdminCall& call, bool on) {
  ASSIGN_OR_RETURN(const std::string target, call.Required("target"));
  ASSIGN_OR_RETURN(const std::vector<InstanceId> ids, k_.Targets(target));
  JsonArray out;
  for (const InstanceId& id : ids) {
    RETURN_IF_ERROR(k_.SetQuarantined(id, on));
    out.push_back(id.value());
  }
  return Json(JsonObject{{"instances", std::move(out)}});
}
Result<Json> AdminCommands::Quarantine(const AdminCall& call) { return SetQuarantined(call, true); }
Result<Json> AdminCommands::Release(const AdminCall& call) { return SetQuarantined(call, false); }

// ---- tenants

Result<Json> AdminCommands::TenantList(const AdminCall&) {
  JsonArray out;
  for (const auto& [name, t] : k_.tenants_->all()) {
    int64_t instances = 0;
    for (const Instance* i : k_.core_->registry().All()) instances += i->facts.tenant == name;
    out.push_back(JsonObject{{"tenant", name.value()},
                             {"state", t.state == TenantState::kFrozen ? "frozen" : "active"},
                             {"uid", t.uid_base},
                             {"instances", instances},
                             {"created", FormatRfc3339(t.created, 0)}});
  }
  return Json(JsonObject{{"tenants", std::move(out)}});
}

void AdminCommands::TenantCreate(std::shared_ptr<AdminCall> call) {
  const auto name = TenantArg(*call);
  if (!name.ok()) return call->Fail(name.error());
  const auto tenant = k_.tenants_->Create(*name);
  if (!tenant.ok()) return call->Fail(tenant.error());
  const hexr::Status log = k_.evidence_->AddTenant(*name);
  if (!log.ok()) return call->Fail(log.error());
  k_.StartGateway(*tenant, [call, t = *tenant](const hexr::Status& s) {
    if (!s.ok()) return call->Fail(s.error());
    call->Answer(JsonObject{{"tenant", t.name.value()}, {"uid", t.uid_base}});
  });
}

// Ends what runs and takes the gateway away. The record comes first.
Result<Json> AdminCommands::EndTenant(const IdSegment& tenant, const char* why) {
  JsonArray ended;
  for (const Instance* i : k_.core_->registry().All()) {
    if (i->facts.tenant != tenant) continue;
    const InstanceId id = i->id();
    RETURN_IF_ERROR(k_.EndInstance(id, Code("tenant")));
    ended.push_back(id.value());
  }
  runtime::Envelope e;
  e.mutable_stop_tenant()->set_tenant(tenant.value());
  RETURN_IF_ERROR(k_.supervisor_.Send(std::move(e)));
  Log(LogLevel::kInfo, why, {{"tenant", tenant.value()}});
  return Json(JsonObject{{"tenant", tenant.value()}, {"ended", std::move(ended)}});
}

Result<Json> AdminCommands::TenantFreeze(const AdminCall& call) {
  ASSIGN_OR_RETURN(const IdSegment name, TenantArg(call));
  // Frozen first, so that nothing new starts while the old ones end.
  RETURN_IF_ERROR(k_.tenants_->SetState(name, TenantState::kFrozen));
  return EndTenant(name, "tenant.frozen");
}

void AdminCommands::TenantThaw(std::shared_ptr<AdminCall> call) {
  const auto name = TenantArg(*call);
  if (!name.ok()) return call->Fail(name.error());
  if (k_.tenants_->Find(*name) != nullptr) {
    // Its log may have been put right since the start.
    const hexr::Status log = k_.evidence_->AddTenant(*name);
    if (!log.ok()) return call->Fail(log.error().WithContext("the tenant's log"));
  }
  const hexr::Status s = k_.tenants_->SetState(*name, TenantState::kActive);
  if (!s.ok()) return call->Fail(s.error());
  k_.StartGateway(*k_.tenants_->Find(*name), [call, n = *name](const hexr::Status& started) {
    if (!started.ok()) return call->Fail(started.error());
    call->Answer(JsonObject{{"tenant", n.value()}});
  });
}

Result<Json> AdminCommands::TenantDelete(const AdminCall& call) {
  ASSIGN_OR_RETURN(const IdSegment name, TenantArg(call));
  // The keys go first: whatever happens after, nobody reads this tenant's secrets again.
  if (name != k_.options_.config.tenant) RETURN_IF_ERROR(k_.vault_->DeleteTenant(name));
  RETURN_IF_ERROR(k_.tenants_->Delete(name));
  return EndTenant(name, "tenant.deleted");
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

// ---- the vault

Result<IdSegment> AdminCommands::VaultTenant(const AdminCall& call) const {
  if (call.Arg("tenant").empty()) return k_.options_.config.tenant;
  ASSIGN_OR_RETURN(IdSegment tenant, IdSegment::Parse(call.Arg("tenant")));
  if (k_.tenants_->Find(tenant) == nullptr)
    return NotFound("there is no tenant " + tenant.value() + "; see `hexr tenant list`");
  return tenant;
}

Result<Json> AdminCommands::VaultPut(const AdminCall& call) {
  ASSIGN_OR_RETURN(const IdSegment tenant, VaultTenant(call));
  ASSIGN_OR_RETURN(const std::string text, call.Required("name"));
  ASSIGN_OR_RETURN(const credentials::VaultName name, credentials::VaultName::Parse(text));
  ASSIGN_OR_RETURN(const uint32_t version, k_.vault_->Put(tenant, name, crypto::Secret::Copy(AsBytes(call.secret()))));
  return Json(JsonObject{{"name", name.value()}, {"version", version}});
}

void AdminCommands::VaultGet(std::shared_ptr<AdminCall> call) {
  const auto get = [&]() -> Result<credentials::VaultSecret> {
    ASSIGN_OR_RETURN(const IdSegment tenant, VaultTenant(*call));
    ASSIGN_OR_RETURN(const std::string text, call->Required("name"));
    ASSIGN_OR_RETURN(const credentials::VaultName name, credentials::VaultName::Parse(text));
    return k_.vault_->Get(tenant, name);
  };
  const auto secret = get();
  if (!secret.ok()) return call->Fail(secret.error());
  call->Answer(JsonObject{{"version", secret->version}},
               secret->value.RevealText(crypto::RevealToken::For("vault get, by an operator")));
}

Result<Json> AdminCommands::VaultList(const AdminCall& call) {
  ASSIGN_OR_RETURN(const IdSegment tenant, VaultTenant(call));
  ASSIGN_OR_RETURN(const std::vector<credentials::VaultEntry> entries, k_.vault_->List(tenant));
  JsonArray out;
  for (const credentials::VaultEntry& e : entries) {
    out.push_back(
        JsonObject{{"name", e.name.value()}, {"version", e.version}, {"updated", FormatRfc3339(e.created, 0)}});
  }
  return Json(JsonObject{{"secrets", std::move(out)}});
}

Result<Json> AdminCommands::VaultDelete(const AdminCall& call) {
  ASSIGN_OR_RETURN(const IdSegment tenant, VaultTenant(call));
  ASSIGN_OR_RETURN(const std::string text, call.Required("name"));
  ASSIGN_OR_RETURN(const credentials::VaultName name, credentials::VaultName::Parse(text));
  RETURN_IF_ERROR(k_.vault_->Delete(tenant, name));
  return Json(JsonObject{{"name", name.value()}});
}

Result<Json> AdminCommands::VaultRotate(const AdminCall& call) {
  ASSIGN_OR_RETURN(const IdSegment tenant, VaultTenant(call));
  RETURN_IF_ERROR(k_.vault_->RotateTenantKey(tenant));
  return Json(JsonObject{{"tenant", tenant.value()}});
}

}  // namespace hexr::keeper
