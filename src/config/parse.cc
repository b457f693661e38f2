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
    if (target.ok())
      r.spawn.push_back(std::move(target).value());
    else
      m.Fail("spawn", target.error().message());
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
  if (m.Has("selectors") && e.selectors.empty())
    m.Fail("selectors", "at least one is needed: an entry without would match everyone");
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
  m.Map("egress", [&](MapReader& e) {
    e.Choice<EgressDefault>("default", c.egress.fallback, {{"deny", EgressDefault::kDeny}});
    e.Strings("allow", c.egress.allow);
    e.Ports("ports", c.egress.ports);
    e.StringMap("resolve", c.egress.resolve);
    e.Strings("allow_private", c.egress.allow_private);
  });
  m.Map("ledger", [&](MapReader& l) {
    l.Choice<SyncMode>("sync", c.ledger.sync, {{"written", SyncMode::kWritten}, {"durable", SyncMode::kDurable}});
    l.Duration("checkpoint_interval", c.ledger.checkpoint_interval, milliseconds(10), minutes(10));
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
