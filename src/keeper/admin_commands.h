// What each operator command does, as JSON. The table is in ServeOn.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/spiffe_id.h"
#include "base/unique_function.h"
#include "identity/authority.h"
#include "identity/bundle.h"
#include "identity/entry.h"
#include "keeper/admin_server.h"
#include "keeper/call_counts.h"
#include "ledger/types.h"
#include "runtime/loop.h"
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
  // What is recorded: INV-KPR-07.
  using Call = std::shared_ptr<AdminCall>;
  using Acting = void (AdminCommands::*)(const Call&);
  void Serve(AdminServer& server, const char* method, Acting f);
  // An event that names who asks; in the tenant's log, or in the node's.
  ledger::Event Event(const AdminCall& call, ledger::RecordKind kind, ledger::Code event, ledger::Body body,
                      std::optional<IdSegment> tenant = {});
  // For what gives something: `then` runs once it is on record.
  void Give(const Call& call, const ledger::Event& event, UniqueFunction<void()> then);
  // The same for what is done in one step; one that fails is on record, too.
  void Give(const Call& call, ledger::Event event, UniqueFunction<Result<wire::Json>()> act);
  // What it gave came to nothing.
  void Failed(const Call& call, ledger::Event event, const Error& why);
  // For what has taken something away: that is done, and the answer waits for the records.
  void Taken(const Call& call, const std::vector<ledger::Event>& events, wire::Json result);

  Result<wire::Json> Status(const AdminCall& call);
  void Ps(const Call& call);
  void Show(const Call& call);
  // Asks the gateways of these tenants; `then` runs once.
  void CountCalls(const std::set<IdSegment>& tenants, UniqueFunction<void(const CallCountsByInstance&)> then);
  Result<wire::Json> Kill(const AdminCall& call);
  void Quarantine(const Call& call);
  void Release(const Call& call);

  void TenantCreate(const Call& call);
  Result<wire::Json> TenantList(const AdminCall& call);
  void TenantFreeze(const Call& call);
  void TenantThaw(const Call& call);
  void TenantQuota(const Call& call);
  void TenantDelete(const Call& call);
  // Once the gateway has gone, by whose records the log ends.
  void FinishDelete(const Call& call, const IdSegment& tenant, wire::Json answer, MonoTime deadline);
  // Ends what runs and takes the gateway away.
  Result<wire::Json> EndTenant(const AdminCall& call, const IdSegment& tenant, ledger::Code why, bool frozen);

  Result<wire::Json> BundleShow(const AdminCall& call);
  Result<wire::Json> BundleList(const AdminCall& call);
  void BundleSet(const Call& call);
  void BundleDelete(const Call& call);
  void BundleSetMap(const Call& call);
  ledger::Event BundleEvent(const AdminCall& call, const identity::TrustBundle& bundle);
  Result<wire::Json> EntryList(const AdminCall& call);
  Result<wire::Json> EntryShow(const AdminCall& call);
  void EntryCreate(const Call& call);
  void EntryDelete(const Call& call);
  wire::Json DescribeEntry(const identity::Entry& e) const;
  Result<wire::Json> AuthorityList(const AdminCall& call);
  void AuthorityRotate(const Call& call);
  void Activate(const Call& call, identity::SigningUse use, const std::string& next);
  void TakeTrust(const Call& call, ledger::Code event,
                 hexr::Status (identity::Authority::*step)(identity::SigningUse, std::string_view));
  Result<wire::Json> LedgerLogs(const AdminCall& call);
  void LedgerErase(const Call& call);

  // The tenant that a vault command names (the node's own where it names none), which has to exist.
  Result<IdSegment> TenantOf(const AdminCall& call) const;
  void VaultPut(const Call& call);
  void VaultGet(const Call& call);
  Result<wire::Json> VaultList(const AdminCall& call);
  void VaultDelete(const Call& call);
  void VaultRotate(const Call& call);

  Keeper& k_;
  std::map<IdSegment, runtime::Timer> deleting_;
};

}  // namespace hexr::keeper
