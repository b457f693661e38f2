// A certificate authority of a trust domain: issues X509-SVIDs, subordinate authorities and revocation lists, and lets
// nothing out that its own verifier would refuse. Immutable after creation, thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "base/spiffe_id.h"
#include "crypto/keys.h"
#include "crypto/x509.h"

namespace hexr::crypto {

// Clocks of peers differ: a certificate begins this long before it is made.
inline constexpr std::chrono::seconds kNotBeforeCushion{10};

struct SvidRequest {
  SpiffeId id;                              // of the authority's trust domain, with a path
  PublicKey key;                            // its owner has shown that it holds the private half
  std::chrono::seconds ttl;                 // cut to the authority's own end
  std::vector<std::string> dns_names = {};  // letters, digits, '-' and '.': no wildcards
};

struct RevokedCertificate {
  Bytes serial;
  WallTime revoked_at;
};

class CertificateAuthority {
 public:
  // Self-signed.
  static Result<CertificateAuthority> CreateRoot(const TrustDomain& td, PrivateKey key, WallTime now,
                                                 std::chrono::seconds ttl, Random& random);
  // `chain`: this authority's certificate first, then those above it that peers need to reach an anchor.
  // FAILED_PRECONDITION: the key is another one, or the certificate is no authority's.
  static Result<CertificateAuthority> Load(const TrustDomain& td, PrivateKey key, std::vector<Certificate> chain);

  const TrustDomain& trust_domain() const { return td_; }
  const Certificate& certificate() const { return chain_.front(); }
  const PrivateKey& key() const { return key_; }
  // What a leaf presents behind itself: empty when the certificate is self-signed and so in everyone's bundle.
  std::vector<Certificate> intermediates() const;

  // INVALID_ARGUMENT: a foreign or path-less ID, a ttl of nothing, a name that is no DNS name.
  // FAILED_PRECONDITION: the authority itself is not valid at `now`.
  Result<Certificate> IssueSvid(const SvidRequest& request, WallTime now, Random& random) const;
  // An authority below this one; `path_length` 0 signs leaves alone.
  Result<Certificate> IssueAuthority(const PublicKey& key, WallTime now, std::chrono::seconds ttl,
                                     std::optional<uint32_t> path_length, Random& random) const;
  // RFC 5280 5. `number` grows with each list.
  Result<Bytes> IssueCrl(std::span<const RevokedCertificate> revoked, WallTime this_update, WallTime next_update,
                         uint64_t number) const;

 private:
  CertificateAuthority(TrustDomain td, PrivateKey key, std::vector<Certificate> chain);

  TrustDomain td_;
  PrivateKey key_;
  std::vector<Certificate> chain_;
  // Encodings that are the same in every leaf.
  Bytes authority_key_id_;
  Bytes leaf_prefix_ec_, leaf_prefix_rsa_;  // basicConstraints, keyUsage, extendedKeyUsage, authorityKeyIdentifier
};

}  // namespace hexr::crypto
