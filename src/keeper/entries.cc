#include "keeper/entries.h"

#include <algorithm>

#include "base/limits/identity.h"
#include "base/log.h"
#include "wire/json.h"

namespace hexr::keeper {
namespace {

constexpr char kCollection[] = "entries";

crypto::Secret Write(const config::Entry& e) {
  wire::JsonArray selectors;
  for (const Selector& s : e.selectors) selectors.push_back(s.ToString());
  wire::JsonObject o{{"selectors", std::move(selectors)}};
  if (e.ttl) o.Set("ttl_ms", e.ttl->count());
  if (!e.hint.empty()) o.Set("hint", e.hint);
  std::string text = wire::ToJson(o);
  return crypto::Secret::Take(text);
}

Result<config::Entry> Read(const std::string& id, const crypto::Secret& kept) {
  ASSIGN_OR_RETURN(const wire::Json j,
                   wire::ParseJson(kept.RevealText(crypto::RevealToken::For("registration entry, not secret"))));
  config::Entry e{.id = id, .hint = std::string(j.FindString("hint").value_or(""))};
  const wire::JsonArray* selectors = j.FindArray("selectors");
  if (selectors == nullptr) return DataLoss("kept entry " + id);
  for (const wire::Json& s : *selectors) {
    if (s.as_string() == nullptr) return DataLoss("kept entry " + id);
    ASSIGN_OR_RETURN(Selector selector, Selector::Parse(*s.as_string()));
    e.selectors.push_back(std::move(selector));
  }
  if (const auto ttl = j.FindInteger("ttl_ms")) e.ttl = std::chrono::milliseconds(*ttl);
  return e;
}

}  // namespace

Result<identity::Entry> ToEntry(const config::Entry& e, const TrustDomain& trust_domain) {
  ASSIGN_OR_RETURN(SpiffeId id, SpiffeId::ForTrustDomain(trust_domain).Child(e.id));
  if (e.id.starts_with("agent/")) {
    return InvalidArgument("agent/… belongs to what hexr launches; write for example service/db");
  }
  identity::Entry entry{.entry_id = e.id, .spiffe_id = std::move(id), .selectors = e.selectors, .hint = e.hint};
  if (e.ttl) {
    if (*e.ttl < std::chrono::minutes(1) || *e.ttl > std::chrono::hours(1)) {
      return InvalidArgument("the lifetime " + FormatDuration(*e.ttl) + " is outside 1m to 1h");
    }
    entry.x509_ttl = std::chrono::duration_cast<std::chrono::seconds>(*e.ttl);
  }
  return entry;
}

Result<Entries> Entries::Open(const config::Config& config, store::SealedStore& store, identity::Core& core) {
  Entries entries(config.trust_domain, store, core);
  for (const config::Entry& e : config.entries) {
    ASSIGN_OR_RETURN(identity::Entry entry, ToEntry(e, config.trust_domain));
    RETURN_IF_ERROR(core.SetEntry(std::move(entry)));
    entries.configured_.insert(e.id);
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> kept, store.List(kCollection));
  for (const std::string& id : kept) {
    if (entries.InConfiguration(id)) {
      Log(LogLevel::kWarn, "entry.shadowed", {{"entry", id}, {"by", "the configuration"}});
      continue;
    }
    ASSIGN_OR_RETURN(const crypto::Secret text, store.Get(kCollection, id));
    ASSIGN_OR_RETURN(const config::Entry e, Read(id, text));
    ASSIGN_OR_RETURN(identity::Entry entry, ToEntry(e, config.trust_domain));
    RETURN_IF_ERROR(core.SetEntry(std::move(entry)));
  }
  return entries;
}

bool Entries::Exists(const std::string& id) const {
  return std::ranges::any_of(core_->entries().All(), [&](const identity::Entry* e) { return e->entry_id == id; });
}

Status Entries::CheckNew(const config::Entry& entry) const {
  RETURN_IF_ERROR(ToEntry(entry, trust_domain_));
  if (entry.selectors.empty()) return InvalidArgument("an entry without selectors would match every process");
  if (Exists(entry.id))
    return AlreadyExists("there is an entry " + entry.id + "; see `hexr entry show " + entry.id + "`");
  if (core_->entries().size() >= limits::kMaxEntries)
    return ResourceExhausted("the node has as many entries as it takes");
  return Ok();
}

Status Entries::Create(const config::Entry& entry) {
  RETURN_IF_ERROR(CheckNew(entry));
  ASSIGN_OR_RETURN(identity::Entry made, ToEntry(entry, trust_domain_));
  RETURN_IF_ERROR(core_->SetEntry(std::move(made)));
  if (Status s = store_->Put(kCollection, entry.id, Write(entry)); !s.ok()) {
    (void)core_->RemoveEntry(entry.id);
    return s;
  }
  return Ok();
}

Status Entries::CheckDeletable(const std::string& id) const {
  if (InConfiguration(id)) return FailedPrecondition("entry " + id + " stands in the configuration; take it out there");
  if (!Exists(id)) return NotFound("there is no entry " + id + "; see `hexr entry list`");
  return Ok();
}

Status Entries::Delete(const std::string& id) {
  RETURN_IF_ERROR(CheckDeletable(id));
  RETURN_IF_ERROR(core_->RemoveEntry(id));
  return store_->Delete(kCollection, id);
}

}  // namespace hexr::keeper
