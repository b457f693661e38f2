// The node's configuration as a checked value: one YAML file in, every default filled, every name resolved.
// Values; immutable once parsed; thread-compatible. INTERFACES: `hexr.yaml`.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "base/spiffe_id.h"

namespace hexr::config {

using std::chrono::milliseconds;

enum class MachineKey : uint8_t { kAuto, kTpm, kSystemdCredential, kPassphrase, kFile };
enum class Children : uint8_t { kDeny, kInherit };
enum class SyncMode : uint8_t { kWritten, kDurable };
enum class EgressDefault : uint8_t { kDeny };

// A name, or "*" for any.
struct NamePattern {
  std::optional<IdSegment> name;  // nullopt: any
  bool Matches(const IdSegment& s) const { return !name || *name == s; }
  std::string ToString() const { return name ? name->value() : "*"; }
  bool operator==(const NamePattern&) const = default;
};

struct SpawnTarget {
  NamePattern agent;
  NamePattern role;
  bool operator==(const SpawnTarget&) const = default;
};

// Who may be started, as what. The first entry that matches a request in every part decides; none: refused.
struct Role {
  NamePattern tenant;  // default: the node's tenant
  NamePattern agent;
  NamePattern role;
  std::vector<std::string> exe;    // globs over the executable's base name, or over its whole path if they hold a '/'
  std::vector<std::string> users;  // local users who may start it; "*" = any
  Children children = Children::kDeny;  // whether forked children share the identity
  std::vector<SpawnTarget> spawn;       // what this role may start as sub-agents
  bool sub_identities = false;          // whether it may name parts of itself (assurance `asserted`)
  bool operator==(const Role&) const = default;
};

// A service that hexr did not launch, matched by what the kernel says of it (assurance `matched`).
struct Entry {
  std::string id;                      // path below the trust domain, "service/db"
  std::vector<std::string> selectors;  // "unix:uid:110": all have to hold
  std::optional<milliseconds> ttl;
  std::string hint;
  bool operator==(const Entry&) const = default;
};

struct Identity {
  milliseconds svid_ttl{std::chrono::minutes(15)};
  milliseconds jwt_ttl{std::chrono::minutes(5)};
  bool operator==(const Identity&) const = default;
};

struct Egress {
  EgressDefault fallback = EgressDefault::kDeny;
  std::vector<std::string> allow;              // "example.org:443", "*.example.org:443", "192.0.2.0/24:5432"
  std::vector<uint16_t> ports{80, 443};        // captured besides the proxy
  std::map<std::string, std::string> resolve;  // name → address:port to dial instead
  std::vector<std::string> allow_private;      // CIDRs outside the public Internet that may be dialled
  bool operator==(const Egress&) const = default;
};

struct Ledger {
  SyncMode sync = SyncMode::kWritten;
  milliseconds checkpoint_interval{1000};
  bool operator==(const Ledger&) const = default;
};

struct Logging {
  LogLevel level = LogLevel::kInfo;
  bool operator==(const Logging&) const = default;
};

struct Config {
  TrustDomain trust_domain;
  IdSegment tenant;
  MachineKey machine_key = MachineKey::kAuto;
  std::string passphrase_file;  // machine_key: passphrase
  Identity identity;
  std::vector<Role> roles;
  std::vector<Entry> entries;
  Egress egress;
  Ledger ledger;
  Logging log;
  bool operator==(const Config&) const = default;
};

// One thing wrong, where, and what to write instead. Lines and columns count from 1; 0: the file as a whole.
struct Problem {
  std::string file;
  int line = 0;
  int column = 0;
  std::string message;
  std::string ToString() const;  // "hexr.yaml:3:5: message"
};

struct ParseOutcome {
  std::optional<Config> config;   // absent when there are problems
  std::vector<Problem> problems;  // every one found, in file order
};

// Never fails otherwise: what cannot be parsed is a Problem. `file` is for messages only.
ParseOutcome Parse(const std::string& text, const std::string& file);
// The same as one Error (INVALID_ARGUMENT), a problem a line.
Result<Config> ParseOrError(const std::string& text, const std::string& file);

// The whole configuration with every default, as YAML that parses back to the same value.
std::string ToYaml(const Config& config);

// What `hexr up` writes where no file is there: `user` may start any agent; nothing may leave the node.
std::string StarterYaml(const std::string& user);

}  // namespace hexr::config
