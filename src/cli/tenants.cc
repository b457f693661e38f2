#include "cli/tenants.h"

#include "cli/admin_client.h"
#include "cli/admin_print.h"
#include "cli/output.h"

namespace hexr::cli {
namespace {

int Change(const Invocation& in, const char* method, const char* done) {
  const auto r = Admin(in.paths, method,
                       {{"tenant", in.Get("TENANT")},
                        {"max_instances", in.Get("--max-instances")},
                        {"max_secrets", in.Get("--max-secrets")}});
  if (!r.ok()) return Fail(r.error());
  if (in.output == Output::kJson)
    PrintJson(r->json);
  else
    PrintLine(std::string(done) + " " + in.Get("TENANT"));
  return kYes;
}

int RunTenantCreate(const Invocation& in) { return Change(in, "tenant.create", "created"); }
int RunTenantQuota(const Invocation& in) {
  if (in.Has("--max-instances") || in.Has("--max-secrets")) return Change(in, "tenant.quota", "changed");
  return PrintObject(in, Admin(in.paths, "tenant.quota", {{"tenant", in.Get("TENANT")}}));
}
int RunTenantFreeze(const Invocation& in) { return Change(in, "tenant.freeze", "frozen"); }
int RunTenantThaw(const Invocation& in) { return Change(in, "tenant.thaw", "thawed"); }

int RunTenantDelete(const Invocation& in) {
  // Keys and secrets of a tenant cannot be brought back: the name has to be typed a second time.
  if (in.Get("--confirm") != in.Get("TENANT")) {
    PrintError("this destroys the tenant's keys and secrets for good; add --confirm " + in.Get("TENANT"));
    return kUsage;
  }
  return Change(in, "tenant.delete", "deleted");
}

int RunTenantList(const Invocation& in) {
  const auto r = Admin(in.paths, "tenant.list", {});
  if (!r.ok()) return Fail(r.error());
  if (in.output == Output::kJson) {
    PrintJson(r->json);
    return kYes;
  }
  std::vector<std::vector<std::string>> rows;
  if (const wire::JsonArray* tenants = r->json.FindArray("tenants")) {
    for (const wire::Json& t : *tenants) {
      rows.push_back({Text(t, "tenant"), Text(t, "state"), Text(t, "uid"), Text(t, "instances"),
                      Text(t, "max_instances"), Text(t, "max_secrets"), Text(t, "created")});
    }
  }
  PrintTable({"TENANT", "STATE", "UID", "INSTANCES", "MAX", "SECRETS MAX", "CREATED"}, rows);
  return kYes;
}

}  // namespace

std::vector<Command> TenantCommands() {
  return {
      {"tenant create",
       "Create a tenant",
       "hexr tenant create acme --max-instances 50",
       {{"--max-instances", "N", "how many instances it may run (the node's bound)"},
        {"--max-secrets", "N", "how many secrets it may keep in the vault (the node's bound)"}},
       {{"TENANT", "letters, digits, . - _"}},
       RunTenantCreate},
      {"tenant list", "List the tenants", "hexr tenant list", {}, {}, RunTenantList},
      {"tenant quota",
       "Show what a tenant may have of the node, or change it",
       "hexr tenant quota acme --max-instances 50 --max-secrets 100",
       {{"--max-instances", "N", "how many instances it may run; those that run stay (unchanged)"},
        {"--max-secrets", "N", "how many secrets it may keep in the vault; those that are there stay (unchanged)"}},
       {{"TENANT", "its name"}},
       RunTenantQuota},
      {"tenant freeze",
       "End a tenant's instances and start no more",
       "hexr tenant freeze acme",
       {},
       {{"TENANT", "its name"}},
       RunTenantFreeze},
      {"tenant thaw",
       "Let a frozen tenant start instances again",
       "hexr tenant thaw acme",
       {},
       {{"TENANT", "its name"}},
       RunTenantThaw},
      {"tenant delete",
       "Destroy a tenant: its instances, keys, secrets and texts; its log stays, for others to check",
       "hexr tenant delete acme --confirm acme",
       {{"--confirm", "TENANT", "the tenant's name again"}},
       {{"TENANT", "its name"}},
       RunTenantDelete},
  };
}

}  // namespace hexr::cli
