#include <yaml-cpp/yaml.h>

#include <set>

#include "base/bytes.h"
#include "base/https_url.h"
#include "base/limits/agents.h"
#include "base/limits/gateway.h"
#include "base/limits/identity.h"
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

Result<std::string> ParseExePattern(const std::string& text) {
  if (text.empty() || text.find('\0') != std::string::npos) {
    return InvalidArgument(
        "a pattern that matches no program; write a name (python3*), a path (/usr/bin/node) or \"*\"");
  }
  return text;
}

Result<std::string> ParseUser(const std::string& text) {
  if (text.empty()) return InvalidArgument("name a local user, or \"*\" for any");
  return text;
}

// `parse` of one text, its error with the text before it and `example` behind it.
template <class F>
auto Quoting(F parse, const char* example) {
  return [parse, example](const std::string& text) {
    auto r = parse(text);
    if (r.ok()) return r;
    return decltype(r)(InvalidArgument("'" + text + "': " + r.error().message() + "; write for example " + example));
  };
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
  if (m.ParsedList("exe", r.exe, limits::kMaxRoleWords, ParseExePattern))
    m.Fail("exe", "name at least one program; \"*\" is any");
  m.Required("user");
  if (m.ParsedList("user", r.users, limits::kMaxRoleWords, ParseUser))
    m.Fail("user", "name at least one user; \"*\" is any");
  m.Choice<Children>("children", r.children, {{"deny", Children::kDeny}, {"inherit", Children::kInherit}});
  m.ParsedList("spawn", r.spawn, limits::kMaxRoleWords, ParseSpawnTarget);
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
  if (m.ParsedList("selectors", e.selectors, limits::kMaxSelectorsPerEntry, Selector::Parse))
    m.Fail("selectors", "at least one is needed: an entry without would match everyone");
  m.OptionalDuration("ttl", e.ttl, minutes(1), hours(1));
  m.String("hint", e.hint);
  if (e.hint.size() > limits::kMaxHintBytes)
    m.Fail("hint", "a hint has at most " + std::to_string(limits::kMaxHintBytes) + " bytes");
  return e;
}

void CheckUrl(MapReader& m, const char* key, const std::string& url, Status (*check)(std::string_view)) {
  if (url.empty()) return;
  if (const Status s = check(url); !s.ok()) m.Fail(key, s.error().message());
}

TokenIssuer ReadTokenIssuer(MapReader& m) {
  TokenIssuer u;
  m.Required("issuer");
  m.String("issuer", u.issuer);
  CheckUrl(m, "issuer", u.issuer, CheckHttpsUrl);
  if (u.issuer.find('?') != std::string::npos) m.Fail("issuer", "an issuer has no query");
  m.Required("audience");
  m.String("audience", u.audience);
  if (m.Has("audience") && u.audience.empty())
    m.Fail("audience", "tokens for anybody are not taken; name what \"aud\" has to hold");
  m.String("ca", u.ca);
  return u;
}

void ReadProfile(MapReader& m, BundleProfile& profile) {
  m.Choice<BundleProfile>("profile", profile,
                          {{"https_spiffe", BundleProfile::kHttpsSpiffe}, {"https_web", BundleProfile::kHttpsWeb}});
}

// `needed`: whether the endpoint cannot do without a certificate.
void ReadWebCertificate(MapReader& m, WebCertificate& web, bool needed) {
  m.String("certificate", web.certificate);
  m.String("key", web.key);
  for (const char* key : {"certificate", "key"}) {
    if (needed && !m.Has(key)) m.Fail(key, "is needed here: a PEM file");
    if (!needed && m.Has(key)) m.Fail(key, "belongs to an endpoint of the web; this one has none or shows an SVID");
  }
}

BundleEndpoint ReadBundleEndpoint(MapReader& m) {
  BundleEndpoint e;
  m.Required("listen");
  m.Parsed("listen", e.listen, ListenAddress::Parse);
  ReadProfile(m, e.profile);
  ReadWebCertificate(m, e.web, e.profile == BundleProfile::kHttpsWeb);
  return e;
}

FederatedDomain ReadFederatedDomain(MapReader& m, const TrustDomain& own) {
  FederatedDomain f{.trust_domain = own, .endpoint_id = SpiffeId::ForTrustDomain(own)};
  m.Required("trust_domain");
  m.Parsed("trust_domain", f.trust_domain, [](const std::string& s) { return TrustDomain::Parse(s); });
  if (m.Has("trust_domain") && f.trust_domain == own) m.Fail("trust_domain", "name another one than the node's own");
  m.Required("url");
  m.String("url", f.url);
  CheckUrl(m, "url", f.url, CheckHttpsUrl);
  ReadProfile(m, f.profile);
  const bool spiffe = f.profile == BundleProfile::kHttpsSpiffe;
  // Another hexr node, unless it is said who.
  f.endpoint_id = SpiffeId::ForService(f.trust_domain, IdSegment::Parse("hexr-bundle-endpoint").value());
  m.Parsed("endpoint_id", f.endpoint_id, [](const std::string& s) { return SpiffeId::Parse(s); });
  m.String("bundle", f.bundle);
  m.String("ca", f.ca);
  if (spiffe && !m.Has("bundle")) {
    m.Fail("bundle", "is needed with https_spiffe: a file with the other side's bundle (`hexr bundle show` there)");
  }
  if (spiffe && m.Has("ca")) m.Fail("ca", "belongs to https_web");
  if (!spiffe && m.Has("endpoint_id")) m.Fail("endpoint_id", "belongs to https_spiffe");
  return f;
}

OidcDiscovery ReadOidc(MapReader& m, const Config& c) {
  OidcDiscovery o;
  m.Required("issuer");
  m.String("issuer", o.issuer);
  CheckUrl(m, "issuer", o.issuer, CheckHttpsUrl);
  if (o.issuer.find('?') != std::string::npos) m.Fail("issuer", "an issuer has no query");
  ListenAddress listen;
  m.Parsed("listen", listen, ListenAddress::Parse);
  const bool shared = c.bundle_endpoint && c.bundle_endpoint->profile == BundleProfile::kHttpsWeb;
  if (m.Has("listen"))
    o.listen = std::move(listen);
  else if (!shared)
    m.Fail("listen", "is needed here, or a bundle_endpoint with profile: https_web");
  ReadWebCertificate(m, o.web, o.listen.has_value());
  return o;
}

// What can be said of a verifier key without arithmetic: name+8 hexadecimal digits+base64 of 33 bytes, type 4.
Result<std::string> ParseWitnessKey(const std::string& text) {
  const size_t first = text.find('+');
  const size_t second = first == std::string::npos ? first : text.find('+', first + 1);
  const Error bad = InvalidArgument("a witness's key is name+id+base64, as `hexr ledger witness` writes it");
  if (second == std::string::npos || first == 0 || !HexDecode(text.substr(first + 1, second - first - 1)).ok())
    return bad;
  const auto key = Base64Decode(text.substr(second + 1));
  if (!key.ok() || key->size() != 33) return bad;
  if (key->front() != 4)
    return InvalidArgument("this is not the key of a witness (cosignature/v1) but of another kind");
  return text;
}

Witness ReadWitness(MapReader& m) {
  Witness w;
  m.Required("url");
  m.String("url", w.url);
  // Its answers are signed, so plain HTTP gives nobody more than a look at sizes and hashes.
  CheckUrl(m, "url", w.url, CheckHttpUrl);
  m.Required("key");
  m.Parsed("key", w.key, ParseWitnessKey);
  return w;
}

void ReadOutside(MapReader& m, Config& c) {
  m.Each("users", [&](MapReader& u) {
    TokenIssuer issuer = ReadTokenIssuer(u);
    for (const TokenIssuer& other : c.users) {
      if (other.issuer == issuer.issuer) u.Fail("issuer", "given twice; keep one");
    }
    c.users.push_back(std::move(issuer));
  });
  m.Each("federates_with", [&](MapReader& f) {
    FederatedDomain domain = ReadFederatedDomain(f, c.trust_domain);
    for (const FederatedDomain& other : c.federates_with) {
      if (other.trust_domain == domain.trust_domain) f.Fail("trust_domain", "given twice; keep one");
    }
    c.federates_with.push_back(std::move(domain));
  });
  m.Map("bundle_endpoint", [&](MapReader& e) { c.bundle_endpoint = ReadBundleEndpoint(e); });
  m.Map("oidc", [&](MapReader& o) { c.oidc = ReadOidc(o, c); });
  m.Map("metrics", [&](MapReader& e) {
    c.metrics.emplace();
    e.Parsed("listen", c.metrics->listen, ListenAddress::Parse);
  });
}

// Ports that mean something else inside an agent: DNS, the proxy, and hexr's own doors.
Result<uint16_t> ParseCapturedPort(const std::string& text) {
  ASSIGN_OR_RETURN(const uint16_t port, ParsePort(text));
  if (port == 53 || port == 15001 || (port >= 15010 && port <= 15014))
    return InvalidArgument("port " + text + " is hexr's own inside an agent and needs no line here; take it out");
  return port;
}

void ReadEgress(MapReader& e, Egress& out) {
  e.Choice<EgressDefault>("default", out.fallback, {{"deny", EgressDefault::kDeny}});
  e.ParsedList("allow", out.allow, limits::kMaxEgressRules, Quoting(AllowRule::Parse, "example.org:443"));
  e.ParsedList("ports", out.ports, limits::kMaxCapturedPorts, ParseCapturedPort);
  e.EachPair("resolve", [&](const std::string& name, const std::string& place) -> Status {
    ASSIGN_OR_RETURN(HostName host, Quoting(HostName::Parse, "files.test: 127.0.0.1:8443")(name));
    ASSIGN_OR_RETURN(const DialPlace where, DialPlace::Parse(place));
    if (out.resolve.size() == limits::kMaxEgressRules)
      return InvalidArgument("at most " + std::to_string(limits::kMaxEgressRules) + " are taken");
    if (!out.resolve.emplace(std::move(host), where).second)
      return InvalidArgument("'" + name + "' is given twice; keep one");
    return Ok();
  });
  e.ParsedList("allow_private", out.allow_private, limits::kMaxEgressRules, Quoting(IpRange::Parse, "10.0.0.0/8"));
}

// Two doors at one address: the second could not be opened.
void CheckListeners(MapReader& m, const Config& c) {
  std::vector<Listener> seen;
  for (const Listener& l : Listeners(c)) {
    for (const Listener& other : seen) {
      if (!(other.address == l.address)) continue;
      const std::string key = l.name == "bundle" ? "bundle_endpoint" : l.name;
      m.Fail(key.c_str(), "listens at " + l.address.ToString() + ", as " +
                              (other.name == "bundle" ? "bundle_endpoint" : other.name) +
                              " does; give it another port");
    }
    seen.push_back(l);
  }
}

// hexrd works in /, so a relative path would mean another file to it than to who wrote it.
void ReadPath(MapReader& m, const char* key, std::string& out) {
  m.String(key, out);
  if (m.Has(key) && !out.starts_with('/')) m.Fail(key, "write an absolute path");
}

Policy ReadPolicy(MapReader& m) {
  Policy p;
  m.Required("bundle");
  ReadPath(m, "bundle", p.bundle);
  m.Bool("require_signature", p.require_signature);
  ReadPath(m, "verification_key", p.verification_key);
  if (p.require_signature && !m.Has("verification_key")) {
    m.Fail("verification_key",
           "is needed to check the bundle's signature (`hexr policy sign`); or say require_signature: false");
  }
  if (!p.require_signature && m.Has("verification_key"))
    m.Fail("verification_key", "is for require_signature: true; keep one of the two");
  m.Choice<bool>("mode", p.audit, {{"enforce", false}, {"audit", true}});
  return p;
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
    m.Fail("passphrase_file",
           "is needed with machine_key: passphrase; give a file of the node's user alone (chmod 600) that holds it");
  }
  m.Map("identity", [&](MapReader& i) {
    i.Duration("svid_ttl", c.identity.svid_ttl, minutes(1), hours(1));
    i.Duration("jwt_ttl", c.identity.jwt_ttl, minutes(1), hours(1));
    i.Choice<JwtAlgorithm>("jwt_algorithm", c.identity.jwt_algorithm,
                           {{"ES256", JwtAlgorithm::kEs256}, {"RS256", JwtAlgorithm::kRs256}});
  });
  m.Each("roles", [&](MapReader& r) { c.roles.push_back(ReadRole(r, c.tenant)); });
  std::set<std::string> entry_ids;
  m.Each("entries", [&](MapReader& e) {
    Entry entry = ReadEntry(e, c.trust_domain);
    if (c.entries.size() == limits::kMaxEntries)
      return e.Fail("id", "a node has at most " + std::to_string(limits::kMaxEntries) + " entries");
    if (!entry_ids.insert(entry.id).second) e.Fail("id", "'" + entry.id + "' is given twice; keep one");
    c.entries.push_back(std::move(entry));
  });
  ReadOutside(m, c);
  CheckListeners(m, c);
  m.Map("policy", [&](MapReader& k) { c.policy = ReadPolicy(k); });
  m.Map("egress", [&](MapReader& e) { ReadEgress(e, c.egress); });
  m.Map("ledger", [&](MapReader& l) {
    l.Choice<SyncMode>("sync", c.ledger.sync, {{"written", SyncMode::kWritten}, {"durable", SyncMode::kDurable}});
    l.Duration("checkpoint_interval", c.ledger.checkpoint_interval, milliseconds(10), minutes(10));
    l.OptionalDuration("text_retention", c.ledger.text_retention, minutes(1), hours(24 * 3660));
    l.Each("witnesses", [&](MapReader& w) { c.ledger.witnesses.push_back(ReadWitness(w)); });
  });
  m.Map("log", [&](MapReader& l) {
    l.Choice<LogLevel>("level", c.log.level,
                       {{"debug", LogLevel::kDebug},
                        {"info", LogLevel::kInfo},
                        {"warn", LogLevel::kWarn},
                        {"error", LogLevel::kError}});
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
    const YAML::Node document = LoadDocument(text, problems);
    if (problems.empty()) {
      MapReader root(document, "", problems);
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
