#include "keeper/quarantine.h"

namespace hexr::keeper {
namespace {

constexpr char kQuarantined[] = "quarantine";

}  // namespace

Result<Quarantine> Quarantine::Open(store::SealedStore& store) {
  Quarantine q(store);
  ASSIGN_OR_RETURN(const std::vector<std::string> names, store.List(kQuarantined));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(InstanceId instance, InstanceId::Parse(name));
    ASSIGN_OR_RETURN(const crypto::Secret value, store.Get(kQuarantined, name));
    ASSIGN_OR_RETURN(IdSegment tenant,
                     IdSegment::Parse(value.RevealText(crypto::RevealToken::For("name of a tenant, not secret"))));
    q.instances_.emplace(std::move(instance), std::move(tenant));
  }
  return q;
}

Status Quarantine::Add(const InstanceId& instance, const IdSegment& tenant) {
  if (!instances_.emplace(instance, tenant).second) return Ok();
  return store_->Put(kQuarantined, instance.value(), crypto::Secret::Copy(AsBytes(tenant.value())));
}

Status Quarantine::Remove(const InstanceId& instance) {
  if (!Contains(instance)) return Ok();
  Status deleted = store_->Delete(kQuarantined, instance.value());
  if (!deleted.ok() && deleted.error().code() != ErrorCode::kNotFound) return deleted;
  instances_.erase(instance);
  return Ok();
}

}  // namespace hexr::keeper
