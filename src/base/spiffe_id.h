// SPIFFE names as types: whoever holds a TrustDomain or a SpiffeId holds a valid one.
// Source: SPIFFE-ID.md sections 2 and 2.4. Values; thread-compatible.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hexr {

// Lower-case [a-z0-9._-], 1 to 255 bytes.
class TrustDomain {
 public:
  static Result<TrustDomain> Parse(std::string_view name);
  const std::string& name() const { return name_; }
  // "spiffe://example.org": the key that bundles are filed under.
  std::string Uri() const { return "spiffe://" + name_; }
  auto operator<=>(const TrustDomain&) const = default;

 private:
  explicit TrustDomain(std::string name) : name_(std::move(name)) {}
  std::string name_;
};

// A path segment of an ID, or a name that becomes one (tenant, agent, role): [a-zA-Z0-9._-], 1 to 128 bytes, not "." or
// "..".
class IdSegment {
 public:
  static Result<IdSegment> Parse(std::string_view text);
  // What Parse would say of it. Allocates nothing where that is Ok, as those below.
  static Status Check(std::string_view text);
  const std::string& value() const { return value_; }
  auto operator<=>(const IdSegment&) const = default;

 private:
  explicit IdSegment(std::string v) : value_(std::move(v)) {}
  std::string value_;
};

// spiffe://{trust domain}{path}. At most 2,048 bytes (limits/names.h). A path-less ID names the trust domain itself.
class SpiffeId {
 public:
  static Result<SpiffeId> Parse(std::string_view uri);
  // What Parse would say of it, and of one that ToString() would write in another way: its scheme has capitals.
  static Status CheckCanonical(std::string_view uri);
  // spiffe://{td}/agent/{tenant}/{agent}/{role}
  static SpiffeId ForAgent(const TrustDomain& td, const IdSegment& tenant, const IdSegment& agent,
                           const IdSegment& role);
  // spiffe://{td}/service/{name}
  static SpiffeId ForService(const TrustDomain& td, const IdSegment& name);
  static SpiffeId ForTrustDomain(const TrustDomain& td);

  const TrustDomain& trust_domain() const { return td_; }
  // "" or "/a/b".
  const std::string& path() const { return path_; }
  bool has_path() const { return !path_.empty(); }
  std::string ToString() const { return td_.Uri() + path_; }
  // This ID with "/suffix…" appended; the suffix is validated.
  Result<SpiffeId> Child(std::string_view suffix) const;
  // True when `prefix` is this ID or an ancestor of it by whole segments.
  bool IsUnder(const SpiffeId& prefix) const;
  auto operator<=>(const SpiffeId&) const = default;

 private:
  SpiffeId(TrustDomain td, std::string path) : td_(std::move(td)), path_(std::move(path)) {}
  TrustDomain td_;
  std::string path_;
};

// How much an identity is worth (docs/identity.md).
enum class Assurance : uint8_t {
  kAttested,  // launched by hexr: identity holds by construction
  kMatched,   // started elsewhere, matched by selectors
  kAsserted,  // a name that a process gave to a part of itself
};
std::string_view AssuranceName(Assurance a);

// One life of one agent process: 26 lower-case base32 characters (130 bits, time-ordered: 48 bits of
// milliseconds, then random). Never reused; what ps, kill, logs and the ledger name.
class InstanceId {
 public:
  static Result<InstanceId> Parse(std::string_view text);
  static Status Check(std::string_view text);
  // `unix_ms` orders, `random` (10 bytes or more are used) makes unique.
  static InstanceId Make(uint64_t unix_ms, std::string_view random10);
  const std::string& value() const { return value_; }
  auto operator<=>(const InstanceId&) const = default;

 private:
  explicit InstanceId(std::string v) : value_(std::move(v)) {}
  std::string value_;
};

}  // namespace hexr

template <>
struct std::hash<hexr::SpiffeId> {
  size_t operator()(const hexr::SpiffeId& id) const noexcept {
    return std::hash<std::string>()(id.path()) * 31 + std::hash<std::string>()(id.trust_domain().name());
  }
};
template <>
struct std::hash<hexr::InstanceId> {
  size_t operator()(const hexr::InstanceId& id) const noexcept { return std::hash<std::string>()(id.value()); }
};
template <>
struct std::hash<hexr::TrustDomain> {
  size_t operator()(const hexr::TrustDomain& td) const noexcept { return std::hash<std::string>()(td.name()); }
};
