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
using ledger::RecordKind;
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

namespace {

identity::BundleSet::Older OlderOf(const AdminCall& call) {
  return call.Arg("older") == "allow" ? identity::BundleSet::Older::kAllow : identity::BundleSet::Older::kRefuse;
}

}  // namespace

ledger::Event AdminCommands::BundleEvent(const AdminCall& call, const identity::TrustBundle& bundle) {
  Body body;
  body.Set("trust_domain", SpiffeId::ForTrustDomain(bundle.trust_domain))
      .Set("bundle_sha256", crypto::Sha256(AsBytes(bundle.ToJson())))
      .Set("older", call.Arg("older") == "allow");
  return Event(call, RecordKind::kConfiguration, "bundle.set", std::move(body));
}

void AdminCommands::BundleSet(const Call& call) {
  const auto parse = [&]() -> Result<identity::TrustBundle> {
    ASSIGN_OR_RETURN(const std::string text, call->Required("trust_domain"));
    ASSIGN_OR_RETURN(const TrustDomain td, TrustDomain::Parse(text));
    if (td == k_.options_.config.trust_domain) return PermissionDenied("the node's own bundle is its authority's");
    return identity::TrustBundle::Parse(td, call->Arg("bundle"));
  };
  auto bundle = parse();
  if (!bundle.ok()) return call->Fail(bundle.error());
  const ledger::Event event = BundleEvent(*call, *bundle);
  Give(call, event,
       UniqueFunction<Result<Json>()>([this, older = OlderOf(*call), b = std::move(*bundle)]() mutable -> Result<Json> {
         const std::string name = b.trust_domain.name();
         RETURN_IF_ERROR(k_.outside_->SetBundle(std::move(b), older));
         return Json(JsonObject{{"trust_domain", name}});
       }));
}

void AdminCommands::BundleDelete(const Call& call) {
  const auto text = call->Required("trust_domain");
  if (!text.ok()) return call->Fail(text.error());
  const auto td = TrustDomain::Parse(*text);
  if (!td.ok()) return call->Fail(td.error());
  if (const hexr::Status s = k_.outside_->DeleteBundle(*td); !s.ok()) return call->Fail(s.error());
  Body body;
  body.Set("trust_domain", SpiffeId::ForTrustDomain(*td));
  Taken(call, {Event(*call, RecordKind::kConfiguration, "bundle.deleted", std::move(body))},
        JsonObject{{"trust_domain", td->name()}});
}

// A whole map, as another node's `bundle show --all` prints it: parsed before anything is taken, then each by itself.
void AdminCommands::BundleSetMap(const Call& call) {
  auto bundles = identity::ParseBundleMap(call->Arg("bundles"));
  if (!bundles.ok()) return call->Fail(bundles.error());
  // A map of everything that somebody trusts may name us; what we are is our authority's to say.
  bundles->erase(k_.options_.config.trust_domain);
  struct Open {
    size_t left;
    JsonArray taken, refused;
  };
  const auto open = std::make_shared<Open>(Open{bundles->size(), {}, {}});
  const auto answer = [call, open] {
    call->Answer(JsonObject{{"trust_domains", std::move(open->taken)}, {"refused", std::move(open->refused)}});
  };
  if (bundles->empty()) return answer();
  const auto older = OlderOf(*call);
  for (auto& [td, bundle] : *bundles) {
    const auto done = [open, answer, name = td.name()](const hexr::Status& s) {
      if (s.ok())
        open->taken.push_back(name);
      else
        open->refused.push_back(JsonObject{{"trust_domain", name}, {"error", s.error().message()}});
      if (--open->left == 0) answer();
    };
    if (const hexr::Status s = k_.core_->bundles().CheckFederated(bundle, older); !s.ok()) {
      done(s);
      continue;
    }
    const ledger::Event event = BundleEvent(*call, bundle);
    k_.evidence_->Record(event, [this, done, older, b = std::move(bundle)](const hexr::Status& s) mutable {
      done(s.ok() ? k_.outside_->SetBundle(std::move(b), older) : s);
    });
  }
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

void AdminCommands::EntryCreate(const Call& call) {
  config::Entry e{.id = call->Arg("entry"), .hint = call->Arg("hint")};
  const auto make = [&]() -> Result<Body> {
    ASSIGN_OR_RETURN(e.id, call->Required("entry"));
    for (const std::string& text : Lines(call->Arg("selectors"))) {
      ASSIGN_OR_RETURN(Selector selector, Selector::Parse(text));
      e.selectors.push_back(std::move(selector));
    }
    if (!call->Arg("ttl").empty()) {
      ASSIGN_OR_RETURN(e.ttl, ParseDuration(call->Arg("ttl")));
    }
    RETURN_IF_ERROR(k_.entries_->CheckNew(e));
    ASSIGN_OR_RETURN(const PublicName name, PublicName::Parse(e.id));
    Body body;
    body.Set("entry", name)
        .Set("selectors", e.selectors.size())
        .Set("selectors_sha256", crypto::Sha256(AsBytes(call->Arg("selectors"))));
    return body;
  };
  auto body = make();
  if (!body.ok()) return call->Fail(body.error());
  Give(call, Event(*call, RecordKind::kConfiguration, "entry.created", std::move(*body)),
       UniqueFunction<Result<Json>()>([this, call, e = std::move(e)]() -> Result<Json> {
         RETURN_IF_ERROR(k_.entries_->Create(e));
         return EntryShow(*call);
       }));
}

void AdminCommands::EntryDelete(const Call& call) {
  const auto take = [&]() -> Result<Body> {
    ASSIGN_OR_RETURN(const std::string id, call->Required("entry"));
    RETURN_IF_ERROR(k_.entries_->CheckDeletable(id));
    ASSIGN_OR_RETURN(const PublicName name, PublicName::Parse(id));
    Body body;
    body.Set("entry", name);
    RETURN_IF_ERROR(k_.entries_->Delete(id));
    return body;
  };
  auto body = take();
  if (!body.ok()) return call->Fail(body.error());
  Taken(call, {Event(*call, RecordKind::kConfiguration, "entry.deleted", std::move(*body))},
        JsonObject{{"entry", call->Arg("entry")}});
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

// `id` is hexadecimal or Base64url: a public name.
Body KeyBody(SigningUse use, const std::string& id) {
  Body body;
  body.Set("use", PublicName::Parse(identity::SigningUseName(use)).value());
  if (!id.empty()) body.Set("key", PublicName::Parse(id).value());
  return body;
}

}  // namespace

// A key is in the bundle from its preparation on, and trusted by whoever fetches that.
void AdminCommands::AuthorityRotate(const Call& call) {
  const auto name = call->Required("use");
  if (!name.ok()) return call->Fail(name.error());
  const auto use = identity::ParseSigningUse(*name);
  if (!use.ok()) return call->Fail(use.error());
  const bool prepare_only = call->Arg("prepare_only") == "true";
  const auto go_on = [this, call, use = *use, prepare_only](const std::string& next) {
    if (!prepare_only) return Activate(call, use, next);
    call->Answer(JsonObject{{"use", SigningUseName(use)}, {"state", "prepared"}, {"id", next}});
  };
  const std::string prepared = IdOf(k_.core_->authority(), *use, identity::SlotState::kPrepared);
  if (!prepared.empty()) return go_on(prepared);
  const ledger::Event event = Event(*call, RecordKind::kConfiguration, "authority.preparing", KeyBody(*use, ""));
  Give(call, event, UniqueFunction<void()>([this, call, use = *use, event, go_on] {
         identity::Authority& authority = k_.core_->authority();
         if (const hexr::Status s = authority.Prepare(use); !s.ok()) return Failed(call, event, s.error());
         const std::string next = IdOf(authority, use, identity::SlotState::kPrepared);
         k_.evidence_->Note(Event(*call, RecordKind::kConfiguration, "authority.prepared", KeyBody(use, next)));
         go_on(next);
       }));
}

void AdminCommands::Activate(const Call& call, SigningUse use, const std::string& next) {
  Give(call, Event(*call, RecordKind::kConfiguration, "authority.activated", KeyBody(use, next)),
       UniqueFunction<Result<Json>()>([this, use, next]() -> Result<Json> {
         identity::Authority& authority = k_.core_->authority();
         const std::string old = IdOf(authority, use, identity::SlotState::kActive);
         RETURN_IF_ERROR(authority.Activate(use));
         JsonObject o{{"use", SigningUseName(use)}, {"state", "active"}, {"id", next}};
         if (!old.empty()) o.Set("old", old);
         return Json(std::move(o));
       }));
}

void AdminCommands::TakeTrust(const Call& call, Code event,
                              hexr::Status (identity::Authority::*step)(SigningUse, std::string_view)) {
  const auto id = call->Required("id");
  if (!id.ok()) return call->Fail(id.error());
  identity::Authority& authority = k_.core_->authority();
  for (const SigningUse use : kUses) {
    const auto& slots = authority.Slots(use);
    if (std::ranges::find(slots, *id, &SigningSlot::id) == slots.end()) continue;
    if (const hexr::Status s = (authority.*step)(use, *id); !s.ok()) return call->Fail(s.error());
    return Taken(call, {Event(*call, RecordKind::kKill, event, KeyBody(use, *id))},
                 JsonObject{{"use", SigningUseName(use)}, {"id", *id}});
  }
  call->Fail(NotFound("no signing key is " + *id + "; see `hexr authority list`"));
}

}  // namespace hexr::keeper
