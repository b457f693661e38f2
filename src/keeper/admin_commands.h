// What each operator command does, as JSON. The table is in ServeOn.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/spiffe_id.h"
#include "identity/authority.h"
#include "identity/bundle.h"
#include "identity/entry.h"
#include "keeper/admin_server.h"
#include "ledger/types.h"
#include "wire/json.h"

namespace hexr::keeper {

class Keeper;

class AdminCommands {
 public:
  explicit AdminCommands(Keeper& keeper) : k_(keeper) {}
  void ServeOn(AdminServer& server);

 private:
  // Most commands: arguments in, one document out.
  using Simple = Result<wire::Json> (AdminCommands::*)(const AdminCall&);
  void Serve(AdminServer& server, const char* method, Simple f);

  Result<wire::Json> Status(const AdminCall& call);
  Result<wire::Json> Ps(const AdminCall& call);
  Result<wire::Json> Show(const AdminCall& call);
  Result<wire::Json> Kill(const AdminCall& call);
  Result<wire::Json> Quarantine(const AdminCall& call);
  Result<wire::Json> Release(const AdminCall& call);
  Result<wire::Json> SetQuarantined(const AdminCall& call, bool on);

  void TenantCreate(std::shared_ptr<AdminCall> call);
  Result<wire::Json> TenantList(const AdminCall& call);
  Result<wire::Json> TenantFreeze(const AdminCall& call);
  void TenantThaw(std::shared_ptr<AdminCall> call);
  Result<wire::Json> TenantDelete(const AdminCall& call);
  Result<wire::Json> EndTenant(const IdSegment& tenant, const char* why);

  Result<wire::Json> BundleShow(const AdminCall& call);
  Result<wire::Json> BundleList(const AdminCall& call);
  Result<wire::Json> BundleSet(const AdminCall& call);
  Result<wire::Json> BundleSetMap(const AdminCall& call);
  hexr::Status SetBundle(identity::TrustBundle bundle, const AdminCall& call);
  Result<wire::Json> EntryList(const AdminCall& call);
  Result<wire::Json> EntryShow(const AdminCall& call);
  Result<wire::Json> EntryCreate(const AdminCall& call);
  Result<wire::Json> EntryDelete(const AdminCall& call);
  wire::Json DescribeEntry(const identity::Entry& e) const;
  Result<wire::Json> AuthorityList(const AdminCall& call);
  Result<wire::Json> AuthorityRotate(const AdminCall& call);
  Result<wire::Json> AuthorityTaint(const AdminCall& call);
  Result<wire::Json> AuthorityRevoke(const AdminCall& call);
  Result<wire::Json> TakeTrust(const AdminCall& call, ledger::Code event,
                               hexr::Status (identity::Authority::*step)(identity::SigningUse, std::string_view));
  hexr::Status Record(ledger::RecordKind kind, ledger::Body body);
  Result<wire::Json> LedgerLogs(const AdminCall& call);

  // The tenant that a vault command names (the node's own where it names none), which has to exist.
  Result<IdSegment> VaultTenant(const AdminCall& call) const;
  Result<wire::Json> VaultPut(const AdminCall& call);
  void VaultGet(std::shared_ptr<AdminCall> call);
  Result<wire::Json> VaultList(const AdminCall& call);
  Result<wire::Json> VaultDelete(const AdminCall& call);
  Result<wire::Json> VaultRotate(const AdminCall& call);

  Keeper& k_;
};

}  // namespace hexr::keeper
