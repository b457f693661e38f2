#include "keeper/tenants.h"

#include <algorithm>
#include <fstream>

#include "base/decimal.h"
#include "base/limits/names.h"
#include "wire/json.h"

namespace hexr::keeper {
namespace {

constexpr char kTenants[] = "tenants";
constexpr char kCounters[] = "counters";
constexpr char kNextUid[] = "next tenant uid";
// Above people, services, useradd's subordinate uids (up to 600,100,000) and systemd's containers (up to
// 1,879,048,191); below 2^31, from where on programs get signs wrong.
constexpr uint32_t kFirstUid = 1'879'048'192;
constexpr uint32_t kEndUid = 2'147'483'648;
constexpr uint32_t kUidsPerTenant = 16;

struct IdRange {
  uint64_t first, end;
};

// The ranges of a file as subuid(5): who owns one could become, and signal, an agent with such an id.
Status ReadSubordinate(const std::string& path, std::vector<IdRange>& out) {
  std::ifstream file(path);
  if (!file) return Ok();  // no such file, no such ranges
  std::string line;
  while (std::getline(file, line)) {
    const size_t a = line.find(':');
    const size_t b = line.find(':', a == std::string::npos ? a : a + 1);
    if (b == std::string::npos) continue;
    const auto start = ParseDecimal<uint64_t>(std::string_view(line).substr(a + 1, b - a - 1));
    const auto count = ParseDecimal<uint64_t>(std::string_view(line).substr(b + 1));
    if (start && count && *start <= UINT32_MAX && *count <= UINT32_MAX) out.push_back({*start, *start + *count});
  }
  return file.bad() ? Status(Internal("read " + path)) : Ok();
}

// The first id from `from` on at which a tenant's ids overlap none of `taken`.
uint64_t FirstFree(uint64_t from, std::vector<IdRange> taken) {
  std::sort(taken.begin(), taken.end(), [](const IdRange& a, const IdRange& b) { return a.first < b.first; });
  for (const IdRange& r : taken) {
    if (r.first < from + kUidsPerTenant && from < r.end) from = r.end;
  }
  return from;
}

Result<Tenant> Parse(const IdSegment& name, const crypto::Secret& value) {
  ASSIGN_OR_RETURN(const wire::Json j,
                   wire::ParseJson(value.RevealText(crypto::RevealToken::For("tenant record, not secret"))));
  const auto uid = j.FindInteger("uid_base");
  const auto state = j.FindString("state");
  const auto created = j.FindString("created");
  if (!uid || *uid < kFirstUid || *uid > UINT32_MAX || !state || !created)
    return DataLoss("tenant record of " + name.value());
  ASSIGN_OR_RETURN(const WallTime at, ParseRfc3339(*created));
  Tenant t{name, static_cast<uint32_t>(*uid), *state == "frozen" ? TenantState::kFrozen : TenantState::kActive, at, {}};
  for (const auto& [key, bound] :
       {std::pair("max_instances", &t.quota.instances), std::pair("max_secrets", &t.quota.secrets)}) {
    if (const auto n = j.FindInteger(key); n && *n >= 0) *bound = static_cast<uint64_t>(*n);
  }
  return t;
}

Status CheckQuota(const Quota& q) {
  if (q.instances > limits::kMaxInstances)
    return InvalidArgument("a node has at most " + std::to_string(limits::kMaxInstances) + " instances");
  if (q.secrets > limits::kMaxVaultSecretsPerTenant) {
    return InvalidArgument("a tenant has at most " + std::to_string(limits::kMaxVaultSecretsPerTenant) + " secrets");
  }
  return Ok();
}

}  // namespace

Result<Tenants> Tenants::Open(store::SealedStore& store, const IdSegment& first, const Clock& clock,
                              SubordinateFiles subordinate) {
  Tenants t(store, first, clock, std::move(subordinate));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, store.List(kTenants));
  for (const std::string& text : names) {
    ASSIGN_OR_RETURN(IdSegment name, IdSegment::Parse(text));
    ASSIGN_OR_RETURN(const crypto::Secret value, store.Get(kTenants, text));
    ASSIGN_OR_RETURN(Tenant tenant, Parse(name, value));
    t.tenants_.emplace(std::move(name), std::move(tenant));
  }
  t.next_uid_ = kFirstUid;
  const auto kept = store.Get(kCounters, kNextUid);
  if (kept.ok()) {
    ASSIGN_OR_RETURN(const wire::Json j,
                     wire::ParseJson(kept->RevealText(crypto::RevealToken::For("counter, not secret"))));
    if (j.as_integer() == nullptr) return DataLoss("tenant uid counter");
    t.next_uid_ = static_cast<uint32_t>(*j.as_integer());
  } else if (kept.error().code() != ErrorCode::kNotFound) {
    return kept.error();
  }
  if (t.Find(first) == nullptr) {
    ASSIGN_OR_RETURN(const Tenant created, t.Create(first));
    (void)created;
  }
  return t;
}

const Tenant* Tenants::Find(const IdSegment& name) const {
  const auto it = tenants_.find(name);
  return it == tenants_.end() ? nullptr : &it->second;
}

Status Tenants::Save(const Tenant& t) {
  const wire::Json j = wire::JsonObject{{"uid_base", t.uid_base},
                                        {"state", t.state == TenantState::kFrozen ? "frozen" : "active"},
                                        {"created", FormatRfc3339(t.created, 9)},
                                        {"max_instances", t.quota.instances},
                                        {"max_secrets", t.quota.secrets}};
  return store_->Put(kTenants, t.name.value(), crypto::Secret::Take(wire::ToJson(j)));
}

Result<Tenant> Tenants::Create(const IdSegment& name, const Quota& quota) {
  RETURN_IF_ERROR(CheckQuota(quota));
  if (Find(name) != nullptr) return AlreadyExists("tenant " + name.value() + " exists");
  if (tenants_.size() >= limits::kMaxTenants) {
    return ResourceExhausted("a node has at most " + std::to_string(limits::kMaxTenants) + " tenants");
  }
  std::vector<IdRange> taken;
  RETURN_IF_ERROR(ReadSubordinate(subordinate_.uids, taken));
  RETURN_IF_ERROR(ReadSubordinate(subordinate_.gids, taken));
  const uint64_t free = FirstFree(next_uid_, std::move(taken));
  if (free + kUidsPerTenant > kEndUid) return ResourceExhausted("no uids are left for another tenant");
  const auto uid = static_cast<uint32_t>(free);
  const Tenant t{name, uid, TenantState::kActive, clock_->Wall(), quota};
  ASSIGN_OR_RETURN(store::Transaction transaction, store_->Begin());
  RETURN_IF_ERROR(Save(t));
  RETURN_IF_ERROR(store_->Put(kCounters, kNextUid, crypto::Secret::Take(std::to_string(uid + kUidsPerTenant))));
  RETURN_IF_ERROR(transaction.Commit());
  next_uid_ = uid + kUidsPerTenant;
  tenants_.emplace(name, t);
  return t;
}

Status Tenants::SetState(const IdSegment& name, TenantState state) {
  return Change(name, [state](Tenant& t) { t.state = state; });
}

Status Tenants::SetQuota(const IdSegment& name, const Quota& quota) {
  RETURN_IF_ERROR(CheckQuota(quota));
  return Change(name, [quota](Tenant& t) { t.quota = quota; });
}

Status Tenants::Change(const IdSegment& name, UniqueFunction<void(Tenant&)> change) {
  const auto it = tenants_.find(name);
  if (it == tenants_.end()) return NotFound("there is no tenant " + name.value() + "; see `hexr tenant list`");
  Tenant changed = it->second;
  change(changed);
  RETURN_IF_ERROR(Save(changed));
  it->second = changed;
  return Ok();
}

Status Tenants::CheckDeletable(const IdSegment& name) const {
  if (name == first_)
    return FailedPrecondition(name.value() + " is the node's own tenant (`tenant:` in the configuration)");
  if (Find(name) == nullptr) return NotFound("there is no tenant " + name.value() + "; see `hexr tenant list`");
  return Ok();
}

Status Tenants::Delete(const IdSegment& name) {
  RETURN_IF_ERROR(CheckDeletable(name));
  RETURN_IF_ERROR(store_->Delete(kTenants, name.value()));
  tenants_.erase(name);
  return Ok();
}

}  // namespace hexr::keeper
