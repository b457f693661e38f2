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
constexpr char kUsers[] = "on behalf of";
constexpr char kEndpointProcess[] = "courier";  // SvidKeeper's name of who holds the endpoint's SVID
constexpr std::chrono::seconds kLookAtFiles{30};
constexpr std::chrono::minutes kSettled{2};

crypto::Secret ToSecret(std::string text) { return crypto::Secret::Take(text); }

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

// In the store: the bundles of the trust domains that the configuration names, as they are now, and no others.
void Outside::KeepBundles() {
  std::map<TrustDomain, std::string> now;
  for (const config::FederatedDomain& d : config_.federates_with) {
    if (const TrustBundle* bundle = core_.bundles().Find(d.trust_domain)) now[d.trust_domain] = bundle->ToJson();
  }
  if (now == kept_bundles_ && !kept_bundles_.empty()) return;
  const auto keep = [&]() -> Status {
    for (const auto& [td, json] : now) {
      if (kept_bundles_[td] != json) RETURN_IF_ERROR(state_.store().Put(kBundles, td.name(), ToSecret(json)));
    }
    ASSIGN_OR_RETURN(const std::vector<std::string> stored, state_.store().List(kBundles));
    for (const std::string& name : stored) {
      const bool wanted =
          std::ranges::any_of(config_.federates_with, [&](const auto& d) { return d.trust_domain.name() == name; });
      if (!wanted) RETURN_IF_ERROR(state_.store().Delete(kBundles, name));
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
  if (!again && text == published_) return;
  published_ = std::move(text);
  link_.Publish(all);
}

void Outside::AddCertificate(const config::WebCertificate& web, ::hexr::node::v1::Published& to) {
  const auto certificate = ReadConfiguredFile(web.certificate, limits::kMaxPemBytes);
  const auto key = ReadConfiguredFile(web.key, limits::kMaxPemBytes);
  for (const auto* file : {&certificate, &key}) {
    if (!file->ok()) {
      Log(LogLevel::kError, "endpoint.no_certificate", {{"listener", to.listener()}, {"error", file->error()}});
    }
  }
  if (!certificate.ok() || !key.ok()) return;  // the one that was shown before stays
  to.set_certificate_pem(*certificate);
  to.set_key_pem(*key);
}

Result<identity::GatewaySvid> Outside::IssueEndpointSvid(ByteView spki_der) {
  if (!config_.bundle_endpoint || config_.bundle_endpoint->profile != config::BundleProfile::kHttpsSpiffe) {
    return FailedPrecondition("no endpoint of this node shows an SVID");
  }
  const identity::Identity endpoint{.id = identity::BundleEndpointId(config_.trust_domain),
                                    .assurance = Assurance::kAttested,
                                    .instance = {},
                                    .lineage = {},
                                    .on_behalf_of = {},
                                    .hint = {}};
  return core_.svids().ForKey(kEndpointProcess, endpoint, spki_der);
}

// ---- users

void Outside::VerifyUser(std::string token, identity::UserTokenVerifier::Done done) {
  if (!users_)
    return done(PermissionDenied("--on-behalf-of: this node takes no users' tokens (`users:` in its configuration)"));
  users_->Verify(std::move(token), std::move(done));
}

Status Outside::Remember(const InstanceId& instance, const OnBehalfOf& user) {
  const wire::Json json =
      wire::JsonObject{{"sub", user.subject}, {"issuer", user.issuer}, {"claims", user.claims_json}};
  RETURN_IF_ERROR(state_.store().Put(kUsers, instance.value(), ToSecret(wire::ToJson(json))));
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
