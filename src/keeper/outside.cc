#include "keeper/outside.h"

#include <algorithm>
#include <utility>

#include "base/limits/identity.h"
#include "base/limits/keys.h"
#include "base/log.h"
#include "identity/public_documents.h"
#include "keeper/read_file.h"
#include "wire/json.h"

namespace hexr::keeper {

using identity::OnBehalfOf;
using identity::PublicDocument;
using identity::TrustBundle;

namespace {

constexpr char kBundles[] = "federated bundles";
constexpr char kSetBundles[] = "bundles set by operators";
constexpr char kUsers[] = "on behalf of";
constexpr char kEndpointProcess[] = "courier";  // SvidKeeper's name of who holds the endpoint's SVID
constexpr std::chrono::seconds kLookAtFiles{30};
constexpr std::chrono::minutes kSettled{2};

std::string_view Reveal(const crypto::Secret& s) {
  return s.RevealText(crypto::RevealToken::For("bundles and users, sealed for privacy and no secrets"));
}

void AddDocument(const PublicDocument& d, ::hexr::node::v1::Published& to) {
  auto& out = *to.add_documents();
  out.set_path(d.path);
  out.set_content_type(d.content_type);
  out.set_body(d.body);
  out.set_max_age_s(static_cast<uint32_t>(d.max_age.count()));
}

}  // namespace

Outside::Outside(runtime::Loop& loop, const Clock& clock, const config::Config& config, State& state,
                 identity::Core& core, CourierLink& link)
    : loop_(loop),
      clock_(clock),
      config_(config),
      state_(state),
      core_(core),
      link_(link),
      federation_(core.bundles(), clock, link),
      settled_at_(clock.Mono() + kSettled) {}

Result<std::unique_ptr<Outside>> Outside::Create(runtime::Loop& loop, const Clock& clock, const config::Config& config,
                                                 State& state, identity::Core& core, CourierLink& link) {
  std::unique_ptr<Outside> o(new Outside(loop, clock, config, state, core, link));
  RETURN_IF_ERROR(o->Open());
  return o;
}

Status Outside::Open() {
  for (const config::FederatedDomain& d : config_.federates_with) {
    if (const Status s = AddDomain(d); !s.ok()) {
      Log(LogLevel::kError, "federation.unusable", {{"trust_domain", d.trust_domain.name()}, {"error", s.error()}});
      unusable_.push_back({.trust_domain = d.trust_domain, .last_error = s.error().ToString()});
    }
  }
  RETURN_IF_ERROR(TakeUpSetBundles());
  KeepBundles();
  if (!config_.users.empty()) {
    std::vector<identity::TokenIssuer> issuers;
    for (const config::TokenIssuer& u : config_.users) issuers.push_back({u.issuer, u.audience, u.ca});
    ASSIGN_OR_RETURN(users_, identity::UserTokenVerifier::Create(std::move(issuers), clock_, link_));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> instances, state_.store().List(kUsers));
  kept_users_.insert(instances.begin(), instances.end());
  Tick();
  return Ok();
}

// ---- federation

Status Outside::AddDomain(const config::FederatedDomain& d) {
  const TrustDomain& td = d.trust_domain;
  // What was fetched in an earlier life is later than what the operator once wrote down.
  const auto kept = state_.store().Get(kBundles, td.name());
  if (kept.ok()) {
    ASSIGN_OR_RETURN(TrustBundle bundle, TrustBundle::Parse(td, Reveal(*kept)));
    RETURN_IF_ERROR(core_.bundles().SetFederated(std::move(bundle)));
  } else if (kept.error().code() != ErrorCode::kNotFound) {
    return kept.error();
  }
  identity::FederationPeer peer{.trust_domain = td, .url = d.url, .endpoint_id = {}, .bootstrap = {}, .ca_file = d.ca};
  if (d.profile == config::BundleProfile::kHttpsSpiffe) peer.endpoint_id = d.endpoint_id;
  if (!d.bundle.empty()) {
    ASSIGN_OR_RETURN(const std::string text, ReadConfiguredFile(d.bundle, limits::kMaxJwkSetBytes));
    auto bundle = TrustBundle::Parse(td, text);
    if (!bundle.ok()) return bundle.error().WithContext(d.bundle);
    peer.bootstrap = std::move(*bundle);
  }
  return federation_.Add(std::move(peer));
}

bool Outside::Configured(const std::string& trust_domain) const {
  return std::ranges::any_of(config_.federates_with,
                             [&](const auto& d) { return d.trust_domain.name() == trust_domain; });
}

Status Outside::TakeUpSetBundles() {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, state_.store().List(kSetBundles));
  for (const std::string& name : names) {
    if (Configured(name)) continue;  // that one is fetched
    const auto take_up = [&]() -> Status {
      ASSIGN_OR_RETURN(const TrustDomain td, TrustDomain::Parse(name));
      ASSIGN_OR_RETURN(const crypto::Secret kept, state_.store().Get(kSetBundles, name));
      ASSIGN_OR_RETURN(TrustBundle bundle, TrustBundle::Parse(td, Reveal(kept)));
      return core_.bundles().SetFederated(std::move(bundle));
    };
    // A domain that is not trusted any more is that domain's trouble.
    if (const Status s = take_up(); !s.ok())
      Log(LogLevel::kError, "bundle.unusable", {{"trust_domain", name}, {"error", s.error()}});
  }
  return Ok();
}

Status Outside::SetBundle(TrustBundle bundle, identity::BundleSet::Older older) {
  const TrustDomain td = bundle.trust_domain;
  const std::string json = bundle.ToJson();
  const bool was_there = core_.bundles().Find(td) != nullptr;
  RETURN_IF_ERROR(core_.bundles().SetFederated(std::move(bundle), older));
  if (Configured(td.name())) return Ok();  // kept by KeepBundles, until the next one is fetched
  Status kept = state_.store().Put(kSetBundles, td.name(), crypto::Secret::Copy(AsBytes(json)));
  if (!kept.ok() && !was_there) (void)core_.bundles().RemoveFederated(td);
  return kept;
}

Status Outside::DeleteBundle(const TrustDomain& td) {
  if (td == config_.trust_domain) return PermissionDenied("the node's own bundle is its authority's");
  if (Configured(td.name()))
    return FailedPrecondition(td.name() + " stands in the configuration (federates_with): take it out there");
  Status removed = core_.bundles().RemoveFederated(td);
  Status deleted = state_.store().Delete(kSetBundles, td.name());
  if (!deleted.ok() && deleted.error().code() != ErrorCode::kNotFound) return deleted;
  return removed;
}

// In the store: the bundles of the trust domains that the configuration names, as they are now, and no others.
void Outside::KeepBundles() {
  std::map<TrustDomain, std::string> now;
  for (const config::FederatedDomain& d : config_.federates_with) {
    if (const TrustBundle* bundle = core_.bundles().Find(d.trust_domain)) now[d.trust_domain] = bundle->ToJson();
  }
  if (now == kept_bundles_ && !kept_bundles_.empty()) return;
  const auto keep = [&]() -> Status {
    for (const auto& [td, json] : now) {
      if (kept_bundles_[td] != json)
        RETURN_IF_ERROR(state_.store().Put(kBundles, td.name(), crypto::Secret::Copy(AsBytes(json))));
    }
    ASSIGN_OR_RETURN(const std::vector<std::string> stored, state_.store().List(kBundles));
    for (const std::string& name : stored) {
      if (!Configured(name)) RETURN_IF_ERROR(state_.store().Delete(kBundles, name));
    }
    return Ok();
  };
  if (const Status s = keep(); !s.ok()) {
    Log(LogLevel::kError, "federation.not_kept", {{"error", s.error()}});
    return;  // the next change tries again
  }
  kept_bundles_ = std::move(now);
}

std::vector<identity::FederationState> Outside::FederationStates() const {
  std::vector<identity::FederationState> out = federation_.States();
  out.insert(out.end(), unusable_.begin(), unusable_.end());
  return out;
}

// ---- what is published

void Outside::OnCourier() { Publish(true); }

void Outside::OnBundles() {
  KeepBundles();
  Publish(false);
}

void Outside::Publish(bool again) {
  ::hexr::node::v1::Publish all;
  if (config_.bundle_endpoint) {
    auto& to = *all.add_listeners();
    to.set_listener("bundle");
    AddDocument(identity::BundleDocument(core_.bundles()), to);
    if (config_.oidc && !config_.oidc->listen) {
      for (const PublicDocument& d : DiscoveryDocuments(core_.bundles(), config_.oidc->issuer)) AddDocument(d, to);
    }
    to.set_own_svid(config_.bundle_endpoint->profile == config::BundleProfile::kHttpsSpiffe);
    if (!to.own_svid()) AddCertificate(config_.bundle_endpoint->web, to);
  }
  if (config_.oidc && config_.oidc->listen) {
    auto& to = *all.add_listeners();
    to.set_listener("oidc");
    for (const PublicDocument& d : DiscoveryDocuments(core_.bundles(), config_.oidc->issuer)) AddDocument(d, to);
    AddCertificate(config_.oidc->web, to);
  }
  std::string text = all.SerializeAsString();
  const crypto::Sha256Digest digest = crypto::Sha256(AsBytes(text));
  WipeText(text);
  if (again || published_ != digest) link_.Publish(all);
  published_ = digest;
  for (auto& listener : *all.mutable_listeners()) WipeText(*listener.mutable_key_pem());
}

void Outside::AddCertificate(const config::WebCertificate& web, ::hexr::node::v1::Published& to) {
  const auto certificate = ReadConfiguredBytes(web.certificate, limits::kMaxPemBytes);
  const auto key = ReadConfiguredBytes(web.key, limits::kMaxPemBytes);
  for (const auto* file : {&certificate, &key}) {
    if (!file->ok()) {
      Log(LogLevel::kError, "endpoint.no_certificate", {{"listener", to.listener()}, {"error", file->error()}});
    }
  }
  if (!certificate.ok() || !key.ok()) return;  // the one that was shown before stays
  to.mutable_certificate_pem()->assign(AsText(*certificate));
  to.mutable_key_pem()->assign(AsText(*key));
}

void Outside::IssueEndpointSvid(ByteView spki_der, UniqueFunction<void(Result<identity::GatewaySvid>)> done) {
  if (!config_.bundle_endpoint || config_.bundle_endpoint->profile != config::BundleProfile::kHttpsSpiffe) {
    return done(FailedPrecondition("no endpoint of this node shows an SVID"));
  }
  const identity::Identity endpoint{.id = identity::BundleEndpointId(config_.trust_domain),
                                    .assurance = Assurance::kAttested,
                                    .instance = {},
                                    .lineage = {},
                                    .on_behalf_of = {},
                                    .hint = {}};
  core_.svids().ForKey(kEndpointProcess, endpoint, spki_der, std::move(done));
}

// ---- users

void Outside::VerifyUser(std::string token, uint32_t user, identity::UserTokenVerifier::Done done) {
  if (!users_)
    return done(PermissionDenied("--on-behalf-of: this node takes no users' tokens (`users:` in its configuration)"));
  users_->Verify(std::move(token), user, std::move(done));
}

Status Outside::Remember(const InstanceId& instance, const OnBehalfOf& user) {
  const wire::Json json =
      wire::JsonObject{{"sub", user.subject}, {"issuer", user.issuer}, {"claims", user.claims_json}};
  RETURN_IF_ERROR(state_.store().Put(kUsers, instance.value(), crypto::Secret::Take(wire::ToJson(json))));
  kept_users_.insert(instance.value());
  return Ok();
}

Result<std::optional<OnBehalfOf>> Outside::Recall(const InstanceId& instance) {
  if (!kept_users_.contains(instance.value())) return std::optional<OnBehalfOf>();
  ASSIGN_OR_RETURN(const crypto::Secret kept, state_.store().Get(kUsers, instance.value()));
  ASSIGN_OR_RETURN(const wire::Json json, wire::ParseJson(Reveal(kept)));
  const auto sub = json.FindString("sub"), issuer = json.FindString("issuer"), claims = json.FindString("claims");
  if (!sub || !issuer || !claims) return DataLoss("whom instance " + instance.value() + " acts for");
  return std::optional<OnBehalfOf>(OnBehalfOf{std::string(*sub), std::string(*issuer), std::string(*claims)});
}

void Outside::Forget(const InstanceId& instance) {
  if (kept_users_.erase(instance.value()) == 0) return;
  const Status s = state_.store().Delete(kUsers, instance.value());
  if (!s.ok() && s.error().code() != ErrorCode::kNotFound) {
    Log(LogLevel::kError, "user.not_forgotten", {{"instance", instance}, {"error", s.error()}});
  }
}

// Instances that ended while there was no keeper to hear of it.
void Outside::ForgetTheDead() {
  for (const std::string& name : std::vector<std::string>(kept_users_.begin(), kept_users_.end())) {
    const auto id = InstanceId::Parse(name);
    if (id.ok() && core_.registry().Find(*id) == nullptr) Forget(*id);
  }
}

void Outside::Tick() {
  if (link_.open()) federation_.Tick();
  const MonoTime now = clock_.Mono();
  const bool web = (config_.bundle_endpoint && config_.bundle_endpoint->profile == config::BundleProfile::kHttpsWeb) ||
                   (config_.oidc && config_.oidc->listen);
  if (web && link_.open() && now >= next_look_) {
    next_look_ = now + kLookAtFiles;
    Publish(false);  // a certificate that somebody renewed
  }
  if (!settled_ && now >= settled_at_) {
    settled_ = true;
    ForgetTheDead();
  }
  timer_ = loop_.After(std::chrono::seconds(1), [this] { Tick(); });
}

}  // namespace hexr::keeper
