#include <yaml-cpp/yaml.h>

#include <functional>

#include "base/clock.h"
#include "config/config.h"

namespace hexr::config {
namespace {

std::string_view Name(MachineKey k) {
  switch (k) {
    case MachineKey::kAuto: return "auto";
    case MachineKey::kTpm: return "tpm";
    case MachineKey::kSystemdCredential: return "systemd-credential";
    case MachineKey::kPassphrase: return "passphrase";
    case MachineKey::kFile: return "file";
  }
  return "auto";
}
std::string_view Name(LogLevel l) {
  switch (l) {
    case LogLevel::kDebug: return "debug";
    case LogLevel::kInfo: return "info";
    case LogLevel::kWarn: return "warn";
    case LogLevel::kError: return "error";
  }
  return "info";
}

std::string_view Name(BundleProfile p) { return p == BundleProfile::kHttpsWeb ? "https_web" : "https_spiffe"; }

class Emitter {
 public:
  Emitter() { e_.SetIndent(2); }
  Emitter& Field(const char* key, std::string_view value) {
    e_ << YAML::Key << key << YAML::Value << std::string(value);
    return *this;
  }
  Emitter& NonEmpty(const char* key, std::string_view value) { return value.empty() ? *this : Field(key, value); }
  Emitter& List(const char* key, const std::vector<std::string>& values) {
    e_ << YAML::Key << key << YAML::Value << YAML::Flow << values;
    return *this;
  }
  // Each by `text`, which gives its one text.
  template <class T, class F>
  Emitter& Texts(const char* key, const std::vector<T>& values, F text) {
    std::vector<std::string> texts;
    for (const T& v : values) texts.push_back(text(v));
    return List(key, texts);
  }
  void Begin(const char* key) { e_ << YAML::Key << key << YAML::Value << YAML::BeginMap; }
  void BeginItem() { e_ << YAML::BeginMap; }
  void End() { e_ << YAML::EndMap; }
  YAML::Emitter& raw() { return e_; }

 private:
  YAML::Emitter e_;
};

template <class T, class F>
void EmitList(Emitter& e, const char* key, const std::vector<T>& items, F emit) {
  e.raw() << YAML::Key << key << YAML::Value;
  if (items.empty()) {
    e.raw() << YAML::Flow << YAML::BeginSeq << YAML::EndSeq;
    return;
  }
  e.raw() << YAML::BeginSeq;
  for (const T& item : items) {
    e.BeginItem();
    emit(item);
    e.End();
  }
  e.raw() << YAML::EndSeq;
}

void EmitOutside(Emitter& e, const Config& c) {
  EmitList(e, "users", c.users, [&](const TokenIssuer& u) {
    e.Field("issuer", u.issuer).Field("audience", u.audience).NonEmpty("ca", u.ca);
  });
  EmitList(e, "federates_with", c.federates_with, [&](const FederatedDomain& f) {
    e.Field("trust_domain", f.trust_domain.name()).Field("url", f.url).Field("profile", Name(f.profile));
    if (f.profile == BundleProfile::kHttpsSpiffe) e.Field("endpoint_id", f.endpoint_id.ToString());
    e.NonEmpty("bundle", f.bundle).NonEmpty("ca", f.ca);
  });
  // What is not there is off: showing it as a default would turn it on.
  if (c.bundle_endpoint) {
    e.Begin("bundle_endpoint");
    e.Field("listen", c.bundle_endpoint->listen.ToString()).Field("profile", Name(c.bundle_endpoint->profile));
    e.NonEmpty("certificate", c.bundle_endpoint->web.certificate).NonEmpty("key", c.bundle_endpoint->web.key);
    e.End();
  }
  if (c.oidc) {
    e.Begin("oidc");
    e.Field("issuer", c.oidc->issuer);
    if (c.oidc->listen) e.Field("listen", c.oidc->listen->ToString());
    e.NonEmpty("certificate", c.oidc->web.certificate).NonEmpty("key", c.oidc->web.key);
    e.End();
  }
  if (c.metrics) {
    e.Begin("metrics");
    e.Field("listen", c.metrics->listen.ToString());
    e.End();
  }
}

}  // namespace

std::string ToYaml(const Config& c) {
  Emitter e;
  e.BeginItem();
  e.Field("trust_domain", c.trust_domain.name()).Field("tenant", c.tenant.value());
  e.Field("machine_key", Name(c.machine_key)).NonEmpty("passphrase_file", c.passphrase_file);
  e.Begin("identity");
  e.Field("svid_ttl", FormatDuration(c.identity.svid_ttl)).Field("jwt_ttl", FormatDuration(c.identity.jwt_ttl));
  e.Field("jwt_algorithm", c.identity.jwt_algorithm == JwtAlgorithm::kRs256 ? "RS256" : "ES256");
  e.End();
  EmitList(e, "roles", c.roles, [&](const Role& r) {
    e.Field("tenant", r.tenant.ToString()).Field("agent", r.agent.ToString()).Field("role", r.role.ToString());
    e.List("exe", r.exe).List("user", r.users);
    e.Field("children", r.children == Children::kInherit ? "inherit" : "deny");
    e.Texts("spawn", r.spawn, [](const SpawnTarget& s) { return s.agent.ToString() + "/" + s.role.ToString(); });
    e.Field("sub_identities", r.sub_identities ? "allow" : "deny");
  });
  EmitList(e, "entries", c.entries, [&](const Entry& x) {
    e.Field("id", x.id).Texts("selectors", x.selectors, std::mem_fn(&Selector::ToString));
    if (x.ttl) e.Field("ttl", FormatDuration(*x.ttl));
    e.NonEmpty("hint", x.hint);
  });
  EmitOutside(e, c);
  if (c.policy) {
    e.Begin("policy");
    e.Field("bundle", c.policy->bundle).NonEmpty("verification_key", c.policy->verification_key);
    e.raw() << YAML::Key << "require_signature" << YAML::Value << c.policy->require_signature;
    e.Field("mode", c.policy->audit ? "audit" : "enforce");
    e.End();
  }
  e.Begin("egress");
  e.Field("default", "deny").Texts("allow", c.egress.allow, std::mem_fn(&AllowRule::text));
  e.raw() << YAML::Key << "ports" << YAML::Value << YAML::Flow << YAML::BeginSeq;
  for (const uint16_t p : c.egress.ports) e.raw() << p;
  e.raw() << YAML::EndSeq;
  e.raw() << YAML::Key << "resolve" << YAML::Value;
  if (c.egress.resolve.empty()) e.raw() << YAML::Flow;
  e.BeginItem();
  for (const auto& [name, to] : c.egress.resolve) e.Field(name.value().c_str(), to.ToString());
  e.End();
  e.Texts("allow_private", c.egress.allow_private, std::mem_fn(&IpRange::ToString));
  e.End();
  e.Begin("ledger");
  e.Field("sync", c.ledger.sync == SyncMode::kDurable ? "durable" : "written");
  e.Field("checkpoint_interval", FormatDuration(c.ledger.checkpoint_interval));
  if (c.ledger.text_retention) e.Field("text_retention", FormatDuration(*c.ledger.text_retention));
  EmitList(e, "witnesses", c.ledger.witnesses, [&](const Witness& w) { e.Field("url", w.url).Field("key", w.key); });
  e.End();
  e.Begin("log");
  e.Field("level", Name(c.log.level));
  e.End();
  e.End();
  return std::string(e.raw().c_str()) + "\n";
}

std::string StarterYaml(const std::string& user) {
  return "# Written by `hexr up`, since no configuration was there. `hexr config show` prints every default.\n"
         "trust_domain: hexr.local\n"
         "\n"
         "# Who may be started, as what. Narrow this before anyone else uses the node.\n"
         "roles:\n"
         "  - {agent: \"*\", role: \"*\", exe: \"*\", user: \"" +
         user +
         "\", spawn: [\"*/*\"]}\n"
         "\n"
         "# Nothing leaves the node until a line here allows it, for example allow: [\"example.org:443\"].\n"
         "egress: {default: deny, allow: []}\n";
}

}  // namespace hexr::config
