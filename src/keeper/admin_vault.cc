// Operator commands about tenants' secrets. Names stand in records as salted digests, values nowhere.
#include "keeper/admin_commands.h"
#include "keeper/keeper.h"

namespace hexr::keeper {

using credentials::VaultName;
using ledger::Body;
using ledger::RecordKind;
using wire::Json;
using wire::JsonArray;
using wire::JsonObject;

namespace {

Result<VaultName> NameArg(const AdminCall& call) {
  ASSIGN_OR_RETURN(const std::string text, call.Required("name"));
  return VaultName::Parse(text);
}

Body NameBody(const VaultName& name, Random& random) {
  Body body;
  body.Set("name", ledger::SaltedText(name.value(), random));
  return body;
}

}  // namespace

Result<IdSegment> AdminCommands::TenantOf(const AdminCall& call) const {
  if (call.Arg("tenant").empty()) return k_.options_.config.tenant;
  ASSIGN_OR_RETURN(IdSegment tenant, IdSegment::Parse(call.Arg("tenant")));
  if (k_.tenants_->Find(tenant) == nullptr)
    return NotFound("there is no tenant " + tenant.value() + "; see `hexr tenant list`");
  return tenant;
}

void AdminCommands::VaultPut(const Call& call) {
  const auto tenant = TenantOf(*call);
  if (!tenant.ok()) return call->Fail(tenant.error());
  const auto name = NameArg(*call);
  if (!name.ok()) return call->Fail(name.error());
  Give(call, Event(*call, RecordKind::kConfiguration, "vault.put", NameBody(*name, k_.random_), *tenant),
       UniqueFunction<Result<Json>()>([this, call, t = *tenant, n = *name]() -> Result<Json> {
         ASSIGN_OR_RETURN(const uint32_t version,
                          k_.vault_->Put(t, n, call->secret(), k_.tenants_->Find(t)->quota.secrets));
         return Json(JsonObject{{"name", n.value()}, {"version", version}});
       }));
}

void AdminCommands::VaultGet(const Call& call) {
  const auto tenant = TenantOf(*call);
  if (!tenant.ok()) return call->Fail(tenant.error());
  const auto name = NameArg(*call);
  if (!name.ok()) return call->Fail(name.error());
  const ledger::Event event =
      Event(*call, RecordKind::kConfiguration, "vault.get", NameBody(*name, k_.random_), *tenant);
  Give(call, event, UniqueFunction<void()>([this, call, event, t = *tenant, n = *name] {
         const auto secret = k_.vault_->Get(t, n);
         if (!secret.ok()) return Failed(call, event, secret.error());
         call->Answer(JsonObject{{"version", secret->version}}, secret->value);
       }));
}

Result<Json> AdminCommands::VaultList(const AdminCall& call) {
  ASSIGN_OR_RETURN(const IdSegment tenant, TenantOf(call));
  ASSIGN_OR_RETURN(const std::vector<credentials::VaultEntry> entries, k_.vault_->List(tenant));
  JsonArray out;
  for (const credentials::VaultEntry& e : entries) {
    out.push_back(
        JsonObject{{"name", e.name.value()}, {"version", e.version}, {"updated", FormatRfc3339(e.created, 0)}});
  }
  return Json(JsonObject{{"secrets", std::move(out)}});
}

void AdminCommands::VaultDelete(const Call& call) {
  const auto tenant = TenantOf(*call);
  if (!tenant.ok()) return call->Fail(tenant.error());
  const auto name = NameArg(*call);
  if (!name.ok()) return call->Fail(name.error());
  if (const hexr::Status s = k_.vault_->Delete(*tenant, *name); !s.ok()) return call->Fail(s.error());
  Taken(call, {Event(*call, RecordKind::kConfiguration, "vault.deleted", NameBody(*name, k_.random_), *tenant)},
        JsonObject{{"name", name->value()}});
}

void AdminCommands::VaultRotate(const Call& call) {
  const auto tenant = TenantOf(*call);
  if (!tenant.ok()) return call->Fail(tenant.error());
  Give(call, Event(*call, RecordKind::kConfiguration, "vault.rotated", {}, *tenant),
       UniqueFunction<Result<Json>()>([this, t = *tenant]() -> Result<Json> {
         RETURN_IF_ERROR(k_.vault_->RotateTenantKey(t));
         return Json(JsonObject{{"tenant", t.value()}});
       }));
}

}  // namespace hexr::keeper
