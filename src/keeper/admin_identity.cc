// Operator commands about who is trusted: bundles, registration entries, the authority's signing keys.
#include <algorithm>

#include "crypto/digest.h"
#include "keeper/admin_commands.h"
#include "keeper/keeper.h"

namespace hexr::keeper {

using identity::SigningSlot;
using identity::SigningUse;
using ledger::Body;
using ledger::Code;
using ledger::PublicName;
using wire::Json;
using wire::JsonArray;
using wire::JsonObject;

namespace {

constexpr SigningUse kUses[] = {SigningUse::kX509, SigningUse::kJwt, SigningUse::kWit};

// "a\nb" → a, b: how a list travels in an argument.
std::vector<std::string> Lines(const std::string& text) {
  std::vector<std::string> out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    if (end > at) out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

}  // namespace

// A change of who is trusted: on record before it is done.
hexr::Status AdminCommands::Record(ledger::RecordKind kind, Body body) {
  return k_.evidence_->Record({.time = k_.clock_.Wall(),
                               .kind = kind,
                               .spiffe_id = SpiffeId::ForTrustDomain(k_.options_.config.trust_domain),
                               .body = std::move(body)});
}

// ---- bundles

Result<Json> AdminCommands::BundleShow(const AdminCall& call) {
  if (call.Arg("all") == "yes") return wire::ParseJson(identity::BundleMapToJson(k_.core_->bundles().All()));
  const identity::TrustBundle* bundle = &k_.core_->authority().bundle();
  if (!call.Arg("trust_domain").empty()) {
    ASSIGN_OR_RETURN(const TrustDomain td, TrustDomain::Parse(call.Arg("trust_domain")));
    bundle = k_.core_->bundles().Find(td);
    if (bundle == nullptr) return NotFound("no bundle of " + td.name() + "; see `hexr bundle list`");
  }
  return wire::ParseJson(bundle->ToJson());
}

Result<Json> AdminCommands::BundleList(const AdminCall&) {
  const auto states = k_.outside_->FederationStates();
  const auto state_of = [&](const TrustDomain& td) -> const identity::FederationState* {
    const auto it = std::ranges::find(states, td, &identity::FederationState::trust_domain);
    return it == states.end() ? nullptr : &*it;
  };
  const auto add_state = [](JsonObject& o, const identity::FederationState& s) {
    if (s.last_success) o.Set("refreshed", FormatRfc3339(*s.last_success, 0));
    if (s.next) o.Set("next", FormatRfc3339(*s.next, 0));
    if (!s.last_error.empty()) o.Set("error", s.last_error);
  };
  const TrustDomain& own = k_.options_.config.trust_domain;
  JsonArray out;
  const auto all = k_.core_->bundles().All();
  for (const auto& [td, b] : all) {
    const identity::FederationState* state = state_of(td);
    JsonObject o{{"trust_domain", td.name()},
                 {"own", td == own},
                 {"source", td == own ? "own" : (state != nullptr ? "federation" : "operator")},
                 {"x509_authorities", b.x509_authorities.size()},
                 {"jwt_keys", b.jwt_keys.size()},
                 {"sequence", b.sequence.value_or(0)}};
    if (state != nullptr) add_state(o, *state);
    out.push_back(std::move(o));
  }
  // What is configured and has never been had.
  for (const identity::FederationState& s : states) {
    if (all.contains(s.trust_domain)) continue;
    JsonObject o{{"trust_domain", s.trust_domain.name()}, {"own", false}, {"source", "federation"}};
    add_state(o, s);
    out.push_back(std::move(o));
  }
  return Json(JsonObject{{"bundles", std::move(out)}});
}

Result<Json> AdminCommands::BundleSet(const AdminCall& call) {
  ASSIGN_OR_RETURN(const std::string text, call.Required("trust_domain"));
  ASSIGN_OR_RETURN(const TrustDomain td, TrustDomain::Parse(text));
  if (td == k_.options_.config.trust_domain) return PermissionDenied("the node's own bundle is its authority's");
  ASSIGN_OR_RETURN(identity::TrustBundle bundle, identity::TrustBundle::Parse(td, call.Arg("bundle")));
  RETURN_IF_ERROR(SetBundle(std::move(bundle), call));
  return Json(JsonObject{{"trust_domain", td.name()}});
}

// A whole map, as another node's `bundle show --all` prints it: parsed before anything is taken, then each by itself.
Result<Json> AdminCommands::BundleSetMap(const AdminCall& call) {
  ASSIGN_OR_RETURN(auto bundles, identity::ParseBundleMap(call.Arg("bundles")));
  // A map of everything that somebody trusts may name us; what we are is our authority's to say.
  bundles.erase(k_.options_.config.trust_domain);
  JsonArray taken, refused;
  for (auto& [td, bundle] : bundles) {
    if (const hexr::Status s = SetBundle(std::move(bundle), call); s.ok())
      taken.push_back(td.name());
    else
      refused.push_back(JsonObject{{"trust_domain", td.name()}, {"error", s.error().message()}});
  }
  return Json(JsonObject{{"trust_domains", std::move(taken)}, {"refused", std::move(refused)}});
}

hexr::Status AdminCommands::SetBundle(identity::TrustBundle bundle, const AdminCall& call) {
  const auto older =
      call.Arg("older") == "allow" ? identity::BundleSet::Older::kAllow : identity::BundleSet::Older::kRefuse;
  RETURN_IF_ERROR(k_.core_->bundles().CheckFederated(bundle, older));
  ASSIGN_OR_RETURN(const PublicName name, PublicName::Parse(bundle.trust_domain.name()));
  Body body;
  body.Set("event", Code("bundle.set"))
      .Set("trust_domain", name)
      .Set("bundle_sha256", crypto::Sha256(AsBytes(bundle.ToJson())));
  RETURN_IF_ERROR(Record(ledger::RecordKind::kConfiguration, std::move(body)));
  return k_.core_->bundles().SetFederated(std::move(bundle), older);
}

// ---- entries

Json AdminCommands::DescribeEntry(const identity::Entry& e) const {
  JsonArray selectors;
  for (const auto& s : e.selectors) selectors.push_back(s.ToString());
  JsonObject o{{"entry", e.entry_id},
               {"spiffe_id", e.spiffe_id.ToString()},
               {"selectors", std::move(selectors)},
               {"origin", k_.entries_->InConfiguration(e.entry_id) ? "configuration" : "operator"}};
  if (e.x509_ttl) o.Set("ttl", FormatDuration(*e.x509_ttl));
  if (!e.hint.empty()) o.Set("hint", e.hint);
  return o;
}

Result<Json> AdminCommands::EntryList(const AdminCall&) {
  JsonArray out;
  for (const identity::Entry* e : k_.core_->entries().All()) out.push_back(DescribeEntry(*e));
  return Json(JsonObject{{"entries", std::move(out)}});
}

Result<Json> AdminCommands::EntryShow(const AdminCall& call) {
  ASSIGN_OR_RETURN(const std::string id, call.Required("entry"));
  for (const identity::Entry* e : k_.core_->entries().All()) {
    if (e->entry_id == id) return DescribeEntry(*e);
  }
  return NotFound("there is no entry " + id + "; see `hexr entry list`");
}

Result<Json> AdminCommands::EntryCreate(const AdminCall& call) {
  ASSIGN_OR_RETURN(const std::string id, call.Required("entry"));
  config::Entry e{.id = id, .hint = call.Arg("hint")};
  for (const std::string& text : Lines(call.Arg("selectors"))) {
    ASSIGN_OR_RETURN(Selector selector, Selector::Parse(text));
    e.selectors.push_back(std::move(selector));
  }
  if (!call.Arg("ttl").empty()) {
    ASSIGN_OR_RETURN(e.ttl, ParseDuration(call.Arg("ttl")));
  }
  RETURN_IF_ERROR(k_.entries_->CheckNew(e));
  ASSIGN_OR_RETURN(const PublicName name, PublicName::Parse(id));
  Body body;
  body.Set("event", Code("entry.created"))
      .Set("entry", name)
      .Set("selectors", e.selectors.size())
      .Set("selectors_sha256", crypto::Sha256(AsBytes(call.Arg("selectors"))));
  RETURN_IF_ERROR(Record(ledger::RecordKind::kConfiguration, std::move(body)));
  RETURN_IF_ERROR(k_.entries_->Create(e));
  return EntryShow(call);
}

Result<Json> AdminCommands::EntryDelete(const AdminCall& call) {
  ASSIGN_OR_RETURN(const std::string id, call.Required("entry"));
  RETURN_IF_ERROR(k_.entries_->CheckDeletable(id));
  ASSIGN_OR_RETURN(const PublicName name, PublicName::Parse(id));
  Body body;
  body.Set("event", Code("entry.deleted")).Set("entry", name);
  const hexr::Status recorded = Record(ledger::RecordKind::kConfiguration, std::move(body));
  RETURN_IF_ERROR(k_.entries_->Delete(id));  // taking away is done whether or not it can be recorded
  RETURN_IF_ERROR(recorded);
  return Json(JsonObject{{"entry", id}});
}

// ---- the authority

Result<Json> AdminCommands::AuthorityList(const AdminCall&) {
  JsonArray out;
  for (const SigningUse use : kUses) {
    for (const SigningSlot& s : k_.core_->authority().Slots(use)) {
      JsonObject o{{"use", identity::SigningUseName(use)},      {"id", s.id},
                   {"state", identity::SlotStateName(s.state)}, {"tainted", s.tainted},
                   {"issued", FormatRfc3339(s.issued_at, 0)},   {"expires", FormatRfc3339(s.not_after, 0)}};
      if (s.state == identity::SlotState::kOld) o.Set("retired", FormatRfc3339(s.retired_at, 0));
      out.push_back(std::move(o));
    }
  }
  return Json(JsonObject{{"keys", std::move(out)}});
}

namespace {

// The only slot of a state, or an empty ID.
std::string IdOf(const identity::Authority& authority, SigningUse use, identity::SlotState state) {
  const auto& slots = authority.Slots(use);
  const auto it = std::ranges::find(slots, state, &SigningSlot::state);
  return it == slots.end() ? "" : it->id;
}

Result<Body> KeyEvent(Code event, SigningUse use, const std::string& id) {
  ASSIGN_OR_RETURN(const PublicName use_name, PublicName::Parse(identity::SigningUseName(use)));
  ASSIGN_OR_RETURN(const PublicName key, PublicName::Parse(id));
  Body body;
  body.Set("event", event).Set("use", use_name).Set("key", key);
  return body;
}

}  // namespace

Result<Json> AdminCommands::AuthorityRotate(const AdminCall& call) {
  ASSIGN_OR_RETURN(const std::string name, call.Required("use"));
  ASSIGN_OR_RETURN(const SigningUse use, identity::ParseSigningUse(name));
  identity::Authority& authority = k_.core_->authority();
  const bool prepare_only = call.Arg("prepare_only") == "true";
  std::string next = IdOf(authority, use, identity::SlotState::kPrepared);
  if (next.empty()) {
    RETURN_IF_ERROR(authority.Prepare(use));
    next = IdOf(authority, use, identity::SlotState::kPrepared);
    ASSIGN_OR_RETURN(Body body, KeyEvent("authority.prepared", use, next));
    RETURN_IF_ERROR(Record(ledger::RecordKind::kConfiguration, std::move(body)));
  }
  const std::string old = IdOf(authority, use, identity::SlotState::kActive);
  if (!prepare_only) {
    ASSIGN_OR_RETURN(Body body, KeyEvent("authority.activated", use, next));
    RETURN_IF_ERROR(Record(ledger::RecordKind::kConfiguration, std::move(body)));
    RETURN_IF_ERROR(authority.Activate(use));
  }
  JsonObject o{{"use", name}, {"state", prepare_only ? "prepared" : "active"}, {"id", next}};
  if (!old.empty() && !prepare_only) o.Set("old", old);
  return Json(std::move(o));
}

Result<Json> AdminCommands::TakeTrust(const AdminCall& call, Code event,
                                      hexr::Status (identity::Authority::*step)(SigningUse, std::string_view)) {
  ASSIGN_OR_RETURN(const std::string id, call.Required("id"));
  identity::Authority& authority = k_.core_->authority();
  for (const SigningUse use : kUses) {
    const auto& slots = authority.Slots(use);
    if (std::ranges::find(slots, id, &SigningSlot::id) == slots.end()) continue;
    RETURN_IF_ERROR((authority.*step)(use, id));  // done whether or not it can be recorded
    ASSIGN_OR_RETURN(Body body, KeyEvent(event, use, id));
    RETURN_IF_ERROR(Record(ledger::RecordKind::kKill, std::move(body)));
    return Json(JsonObject{{"use", identity::SigningUseName(use)}, {"id", id}});
  }
  return NotFound("no signing key is " + id + "; see `hexr authority list`");
}

Result<Json> AdminCommands::AuthorityTaint(const AdminCall& call) {
  return TakeTrust(call, "authority.tainted", &identity::Authority::Taint);
}
Result<Json> AdminCommands::AuthorityRevoke(const AdminCall& call) {
  return TakeTrust(call, "authority.revoked", &identity::Authority::Revoke);
}

}  // namespace hexr::keeper
