// The node's configuration as a checked value: one YAML file in, every default filled, every name resolved.
// Values; immutable once parsed; thread-compatible. docs/configuration.md.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/allow_rule.h"
#include "base/host.h"
#include "base/ip_address.h"
#include "base/log.h"
#include "base/result.h"
#include "base/selector.h"
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
  std::vector<std::string> exe;         // base/exe_pattern.h; never empty
  std::vector<std::string> users;       // local users who may start it; "*" = any; never empty
  Children children = Children::kDeny;  // whether forked children share the identity
  std::vector<SpawnTarget> spawn;       // what this role may start as sub-agents
  bool sub_identities = false;          // whether it may name parts of itself (assurance `asserted`)
  bool operator==(const Role&) const = default;
};

// A service that hexr did not launch, matched by what the kernel says of it (assurance `matched`).
struct Entry {
  std::string id;                   // path below the trust domain, "service/db"
  std::vector<Selector> selectors;  // all have to hold
  std::optional<milliseconds> ttl;
  std::string hint;
  bool operator==(const Entry&) const = default;
};

enum class JwtAlgorithm : uint8_t { kEs256, kRs256 };

struct Identity {
  milliseconds svid_ttl{std::chrono::minutes(15)};
  milliseconds jwt_ttl{std::chrono::minutes(5)};
  JwtAlgorithm jwt_algorithm = JwtAlgorithm::kEs256;  // RS256 for verifiers that know nothing else
  bool operator==(const Identity&) const = default;
};

// Where a name is dialled instead: "127.0.0.1:8443", "[::1]:443", "10.0.0.5".
struct DialPlace {
  IpAddress address;
  uint16_t port = 0;  // 0: the one that was asked for
  static Result<DialPlace> Parse(const std::string& text);
  std::string ToString() const;
  bool operator==(const DialPlace&) const = default;
};

// The policy in Rego that every call needs the consent of, besides `egress.allow`.
struct Policy {
  std::string bundle;  // a folder or a .tar.gz
  bool require_signature = true;
  std::string verification_key;  // PEM file; needed where signatures are required
  bool audit = false;            // mode: what it denies is allowed, and recorded as such
  bool operator==(const Policy&) const = default;
};

struct Egress {
  EgressDefault fallback = EgressDefault::kDeny;
  std::vector<AllowRule> allow;
  std::vector<uint16_t> ports{80, 443};  // captured besides the proxy; each once
  std::map<HostName, DialPlace> resolve;
  std::vector<IpRange> allow_private;  // outside the public Internet, and may be dialled all the same
  bool operator==(const Egress&) const = default;
};

// "127.0.0.1:9464", "[::1]:443".
struct ListenAddress {
  std::string address;  // a literal IPv4 or IPv6 address
  uint16_t port = 0;
  static Result<ListenAddress> Parse(const std::string& text);
  std::string ToString() const;
  bool operator==(const ListenAddress&) const = default;
};

// Whose tokens `hexr run --on-behalf-of` takes.
struct TokenIssuer {
  std::string issuer;    // https URL, exactly what "iss" says
  std::string audience;  // what "aud" has to hold
  std::string ca;        // PEM file of further roots for the issuer's server
  bool operator==(const TokenIssuer&) const = default;
};

// SPIFFE_Federation.md 5: how the server of a bundle proves itself.
enum class BundleProfile : uint8_t { kHttpsWeb, kHttpsSpiffe };

// A certificate for the web, renewed by somebody else: both files are looked at again while the node runs.
struct WebCertificate {
  std::string certificate;  // PEM file, leaf first
  std::string key;          // PEM file, PKCS#8
  bool operator==(const WebCertificate&) const = default;
};

// Where this node's own trust bundle is published.
struct BundleEndpoint {
  ListenAddress listen;
  BundleProfile profile = BundleProfile::kHttpsSpiffe;
  WebCertificate web;  // https_web alone
  bool operator==(const BundleEndpoint&) const = default;
};

// Another trust domain whose SVIDs are verified here.
struct FederatedDomain {
  TrustDomain trust_domain;
  std::string url;
  BundleProfile profile = BundleProfile::kHttpsSpiffe;
  SpiffeId endpoint_id;  // https_spiffe alone: who the server has to be
  std::string bundle;    // file with the first bundle; needed with https_spiffe
  std::string ca;        // https_web alone: PEM file of further roots
  bool operator==(const FederatedDomain&) const = default;
};

// OpenID Connect discovery: others verify this node's JWT-SVIDs by it.
struct OidcDiscovery {
  std::string issuer;                   // https URL, "iss" of every JWT-SVID
  std::optional<ListenAddress> listen;  // absent: served by the bundle endpoint
  WebCertificate web;
  bool operator==(const OidcDiscovery&) const = default;
};

struct Metrics {
  ListenAddress listen{"127.0.0.1", 9464};
  bool operator==(const Metrics&) const = default;
};

struct Witness {
  std::string url;  // the submission prefix of C2SP tlog-witness
  std::string key;  // its verifier key, "name+id+base64"
  bool operator==(const Witness&) const = default;
};

struct Ledger {
  SyncMode sync = SyncMode::kWritten;
  milliseconds checkpoint_interval{1000};
  std::optional<milliseconds> text_retention;  // texts behind records are erased after it; absent: by hand alone
  std::vector<Witness> witnesses;
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
  std::vector<TokenIssuer> users;
  std::vector<FederatedDomain> federates_with;
  std::optional<BundleEndpoint> bundle_endpoint;
  std::optional<OidcDiscovery> oidc;
  std::optional<Metrics> metrics;
  std::optional<Policy> policy;
  Egress egress;
  Ledger ledger;
  Logging log;
  bool operator==(const Config&) const = default;
};

// The sockets that the node listens on for others, in the order in which they are handed to the courier.
struct Listener {
  std::string name;  // "bundle", "oidc", "metrics"
  ListenAddress address;
};
std::vector<Listener> Listeners(const Config& config);
// Whether anything in the configuration has to come from or go to the network outside of what agents do.
bool NeedsCourier(const Config& config);

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
