// Trust bundles: the keys of one trust domain as a document, and several of them as a map
// (SPIFFE_Trust_Domain_and_Bundle.md 4 and 5; RFC 7517). Values; thread-compatible.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/spiffe_id.h"
#include "crypto/jwk.h"
#include "crypto/x509.h"

namespace hexr::identity {

// Until the document says otherwise (section 4.1.2).
inline constexpr std::chrono::seconds kDefaultRefreshHint{300};

// Keys that sign tokens. Each has a key ID.
using KeySet = std::vector<crypto::Jwk>;

struct TrustBundle {
  explicit TrustBundle(TrustDomain td) : trust_domain(std::move(td)) {}

  TrustDomain trust_domain;
  std::vector<crypto::Certificate> x509_authorities;
  KeySet jwt_keys;
  KeySet wit_keys;                   // key IDs are unique across both sets
  std::optional<uint64_t> sequence;  // grows with every change
  std::chrono::seconds refresh_hint = kDefaultRefreshHint;

  // INVALID_ARGUMENT: no "keys" (an empty list is valid, and revokes everything), a duplicate member or key ID, a
  // certificate that cannot be read. Keys that cannot be used are passed over: of an unknown kind or use, with private
  // material, "x509-svid" keys without a certificate. RESOURCE_EXHAUSTED over the limits.
  static Result<TrustBundle> Parse(const TrustDomain& td, std::string_view json);

  // The SPIFFE document, of all uses.
  std::string ToJson() const;
  // What the Workload API serves: a plain JWK Set with the keys of one use alone.
  std::string JwtJwks() const;
  std::string WitJwks() const;
  // The JWK Set that OpenID Connect discovery points to.
  std::string OidcJwks() const;
  // DER certificates, one after the other.
  Bytes X509Der() const;
  std::string X509Pem() const;
  // Equal keys, whatever the sequence and the refresh hint.
  bool SameKeys(const TrustBundle& other) const;
};

// {"trust_domains": {"example.org": {…}}}. A trust domain that is there twice is INVALID_ARGUMENT.
Result<std::map<TrustDomain, TrustBundle>> ParseBundleMap(std::string_view json);
std::string BundleMapToJson(const std::map<TrustDomain, TrustBundle>& bundles);

}  // namespace hexr::identity
