#include <yaml-cpp/yaml.h>

#include "config/config.h"
#include "config/reader.h"

namespace hexr::config {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

Result<NamePattern> ParseNamePattern(const std::string& text) {
  if (text == "*") return NamePattern{};
  ASSIGN_OR_RETURN(IdSegment s, IdSegment::Parse(text));
  return NamePattern{std::move(s)};
}

Result<SpawnTarget> ParseSpawnTarget(const std::string& text) {
  const size_t slash = text.find('/');
  if (slash == std::string::npos) return InvalidArgument("'" + text + "': write AGENT/ROLE");
  ASSIGN_OR_RETURN(NamePattern agent, ParseNamePattern(text.substr(0, slash)));
  ASSIGN_OR_RETURN(NamePattern role, ParseNamePattern(text.substr(slash + 1)));
  return SpawnTarget{std::move(agent), std::move(role)};
}

const std::vector<std::pair<std::string_view, EndpointProfile>> kProfiles = {{"https_spiffe", EndpointProfile::kHttpsSpiffe},
                                                                            {"https_web", EndpointProfile::kHttpsWeb}};

void CheckListen(MapReader& m, const char* key, const std::string& listen) {
  const size_t colon = listen.rfind(':');
  const std::string port = colon == std::string::npos ? "" : listen.substr(colon + 1);
  const bool digits = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos;
  if (colon == std::string::npos || colon == 0 || !digits || std::stoul(port) > 65535) {
    m.Fail(key, "'" + listen + "': write ADDRESS:PORT, for example 127.0.0.1:9464");
  }
}

void CheckUrl(MapReader& m, const char* key, const std::string& url) {
  if (!url.starts_with("https://") || url.size() == 8) m.Fail(key, "'" + url + "': an https:// URL is expected");
}

Role ReadRole(MapReader& m, const IdSegment& tenant) {
  Role r;
  r.tenant = NamePattern{tenant};
  m.Required("agent");
  m.Parsed("agent", r.agent, ParseNamePattern);
  r.role = NamePattern{IdSegment::Parse("main").value()};
  m.Parsed("role", r.role, ParseNamePattern);
  m.Parsed("tenant", r.tenant, ParseNamePattern);
  m.Required("exe");
  m.Strings("exe", r.exe);
  m.Required("user");
  m.Strings("user", r.users);
  m.Choice<Children>("children", r.children, {{"deny", Children::kDeny}, {"inherit", Children::kInherit}});
  std::vector<std::string> spawn;
  m.Strings("spawn", spawn);
  for (const std::string& s : spawn) {
    auto target = ParseSpawnTarget(s);
    if (target.ok()) r.spawn.push_back(std::move(target).value());
    else m.Fail("spawn", target.error().message());
  }
  m.Choice<bool>("sub_identities", r.sub_identities, {{"deny", false}, {"allow", true}});
  return r;
}

Entry ReadEntry(MapReader& m, const TrustDomain& td) {
  Entry e;
  m.Required("id");
  m.String("id", e.id);
  if (!e.id.empty() && !SpiffeId::ForTrustDomain(td).Child(e.id).ok()) {
    m.Fail("id", "'" + e.id + "' is not a SPIFFE path; write for example service/db");
  } else if (e.id.starts_with("agent/")) {
    m.Fail("id", "agent/… belongs to what hexr launches; write for example service/db");
  }
  m.Required("selectors");
  m.Strings("selectors", e.selectors);
  for (const std::string& s : e.selectors) {
    const size_t first = s.find(':');
    const size_t second = first == std::string::npos ? first : s.find(':', first + 1);
    if (second == std::string::npos || second + 1 == s.size()) {
      m.Fail("selectors", "'" + s + "': write TYPE:KEY:VALUE, for example unix:uid:110");
    }
  }
  if (m.Has("selectors") && e.selectors.empty()) m.Fail("selectors", "at least one is needed: an entry without would match everyone");
  m.OptionalDuration("ttl", e.ttl, minutes(1), hours(1));
  m.String("hint", e.hint);
  return e;
}

void ReadRoot(MapReader& m, Config& c) {
  m.Required("trust_domain");
  m.Parsed("trust_domain", c.trust_domain, [](const std::string& s) { return TrustDomain::Parse(s); });
  m.Parsed("tenant", c.tenant, [](const std::string& s) { return IdSegment::Parse(s); });
  m.Choice<MachineKey>("machine_key", c.machine_key,
                       {{"auto", MachineKey::kAuto},
                        {"tpm", MachineKey::kTpm},
                        {"systemd-credential", MachineKey::kSystemdCredential},
                        {"passphrase", MachineKey::kPassphrase},
                        {"file", MachineKey::kFile}});
  m.String("passphrase_file", c.passphrase_file);
  if (c.machine_key == MachineKey::kPassphrase && c.passphrase_file.empty()) {
    m.Fail("passphrase_file", "is needed with machine_key: passphrase; give a file (or a pipe) that holds it");
  }
  m.Map("identity", [&](MapReader& i) {
    i.Duration("svid_ttl", c.identity.svid_ttl, minutes(1), hours(1));
    i.Duration("jwt_ttl", c.identity.jwt_ttl, minutes(1), hours(1));
  });
  m.Each("roles", [&](MapReader& r) { c.roles.push_back(ReadRole(r, c.tenant)); });
  m.Each("entries", [&](MapReader& e) { c.entries.push_back(ReadEntry(e, c.trust_domain)); });
  m.Each("users", [&](MapReader& u) {
    UserIssuer issuer;
    u.Required("issuer");
    u.String("issuer", issuer.issuer);
    if (!issuer.issuer.empty()) CheckUrl(u, "issuer", issuer.issuer);
    u.Required("audience");
    u.String("audience", issuer.audience);
    u.String("ca_file", issuer.ca_file);
    c.users.push_back(std::move(issuer));
  });
  m.Map("egress", [&](MapReader& e) {
    e.Choice<EgressDefault>("default", c.egress.fallback, {{"deny", EgressDefault::kDeny}});
    e.Strings("allow", c.egress.allow);
    e.Ports("ports", c.egress.ports);
    e.StringMap("resolve", c.egress.resolve);
    e.Strings("allow_private", c.egress.allow_private);
  });
  m.Map("bundle_endpoint", [&](MapReader& b) {
    BundleEndpoint endpoint;
    b.Required("listen");
    b.String("listen", endpoint.listen);
    if (!endpoint.listen.empty()) CheckListen(b, "listen", endpoint.listen);
    b.Choice<EndpointProfile>("profile", endpoint.profile, kProfiles);
    b.String("certificate_file", endpoint.certificate_file);
    b.String("key_file", endpoint.key_file);
    if (endpoint.profile == EndpointProfile::kHttpsWeb) {
      b.Required("certificate_file");
      b.Required("key_file");
    }
    b.String("oidc_issuer", endpoint.oidc_issuer);
    if (!endpoint.oidc_issuer.empty()) CheckUrl(b, "oidc_issuer", endpoint.oidc_issuer);
    c.bundle_endpoint = std::move(endpoint);
  });
  m.Each("federates_with", [&](MapReader& f) {
    FederatesWith w;
    f.Required("trust_domain");
    f.Parsed("trust_domain", w.trust_domain, [&](const std::string& s) -> Result<std::string> {
      ASSIGN_OR_RETURN(const TrustDomain td, TrustDomain::Parse(s));
      if (td == c.trust_domain) return InvalidArgument("a node does not federate with its own trust domain");
      return td.name();
    });
    f.Required("url");
    f.String("url", w.url);
    if (!w.url.empty()) CheckUrl(f, "url", w.url);
    f.Choice<EndpointProfile>("profile", w.profile, kProfiles);
    f.Parsed("endpoint_id", w.endpoint_id, [](const std::string& s) -> Result<std::string> {
      ASSIGN_OR_RETURN(const SpiffeId id, SpiffeId::Parse(s));
      return id.ToString();
    });
    f.String("bundle_file", w.bundle_file);
    f.String("ca_file", w.ca_file);
    if (w.profile == EndpointProfile::kHttpsSpiffe) {
      f.Required("endpoint_id");
      f.Required("bundle_file");
    }
    c.federates_with.push_back(std::move(w));
  });
  m.Map("ledger", [&](MapReader& l) {
    l.Choice<SyncMode>("sync", c.ledger.sync, {{"written", SyncMode::kWritten}, {"durable", SyncMode::kDurable}});
    l.Duration("checkpoint_interval", c.ledger.checkpoint_interval, milliseconds(10), minutes(10));
    l.Each("witnesses", [&](MapReader& w) {
      Witness witness;
      for (const char* key : {"name", "url", "public_key"}) w.Required(key);
      w.String("name", witness.name);
      w.String("url", witness.url);
      w.String("public_key", witness.public_key);
      c.ledger.witnesses.push_back(std::move(witness));
    });
  });
  m.Map("metrics", [&](MapReader& x) {
    x.String("listen", c.metrics_listen);
    if (!c.metrics_listen.empty()) CheckListen(x, "listen", c.metrics_listen);
  });
  m.Map("log", [&](MapReader& l) {
    l.Choice<LogLevel>("level", c.log.level,
                       {{"debug", LogLevel::kDebug}, {"info", LogLevel::kInfo}, {"warn", LogLevel::kWarn}, {"error", LogLevel::kError}});
  });
}

}  // namespace

std::string Problem::ToString() const {
  std::string s = file;
  if (line > 0) s += ":" + std::to_string(line) + ":" + std::to_string(column);
  return s + ": " + message;
}

ParseOutcome Parse(const std::string& text, const std::string& file) {
  ParseOutcome outcome;
  Problems problems(file);
  Config config{.trust_domain = TrustDomain::Parse("unset").value(), .tenant = IdSegment::Parse("default").value()};
  try {  // yaml-cpp speaks in exceptions; this is the one place that hears them
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) {
      problems.Add(documents[1].Mark(), "one document a file");
    } else {
      MapReader root(documents.empty() ? YAML::Node(YAML::NodeType::Map) : documents[0], "", problems);
      ReadRoot(root, config);
      root.Finish();
    }
  } catch (const YAML::Exception& e) {
    problems.Add(e.mark, "not YAML: " + e.msg);
  }
  outcome.problems = problems.Take();
  if (outcome.problems.empty()) outcome.config = std::move(config);
  return outcome;
}

Result<Config> ParseOrError(const std::string& text, const std::string& file) {
  ParseOutcome outcome = Parse(text, file);
  if (outcome.config) return std::move(*outcome.config);
  std::string all;
  for (const Problem& p : outcome.problems) all += (all.empty() ? "" : "\n") + p.ToString();
  return InvalidArgument(all);
}

}  // namespace hexr::config
