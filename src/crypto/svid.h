// X509-SVIDs: the rules of X509-SVID.md, and the evidence that a chain keeps them. Immutable values, thread-safe.
//
// A chain is believed against the bundle of its leaf's own trust domain and no other, so that a foreign authority can
// never speak for a name of ours. The path is validated by OpenSSL (RFC 5280) over the same bytes that our own strict
// reader took the names from: a chain has to please both.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "base/limits/keys.h"
#include "base/result.h"
#include "base/spiffe_id.h"
#include "crypto/digest.h"
#include "crypto/x509.h"

struct x509_store_st;
struct x509_store_ctx_st;

namespace hexr::crypto {

// The authorities of one trust domain. None at all is allowed, and believes nothing (bundle specification 4.1.3).
class X509Bundle {
 public:
  // INVALID_ARGUMENT: a certificate that is no CA, that OpenSSL cannot read, or more than
  // limits::kMaxBundleAuthorities.
  static Result<X509Bundle> Create(TrustDomain trust_domain, std::vector<Certificate> authorities);

  const TrustDomain& trust_domain() const { return trust_domain_; }
  const std::vector<Certificate>& authorities() const { return authorities_; }
  x509_store_st* store() const { return store_.get(); }  // for this room and wire

 private:
  X509Bundle(TrustDomain td, std::vector<Certificate> authorities, std::shared_ptr<x509_store_st> store)
      : trust_domain_(std::move(td)), authorities_(std::move(authorities)), store_(std::move(store)) {}

  TrustDomain trust_domain_;
  std::vector<Certificate> authorities_;
  std::shared_ptr<x509_store_st> store_;
};

// Bundles by trust domain: our own and the federated ones, never merged.
class X509BundleSet {
 public:
  void Set(X509Bundle bundle) { bundles_.insert_or_assign(bundle.trust_domain(), std::move(bundle)); }
  void Remove(const TrustDomain& td) { bundles_.erase(td); }
  const X509Bundle* Find(const TrustDomain& td) const;
  const std::map<TrustDomain, X509Bundle>& all() const { return bundles_; }

 private:
  std::map<TrustDomain, X509Bundle> bundles_;
};

// Evidence: its holder has proved nothing yet, but this ID was given to the key of this leaf by an authority of its own
// trust domain, and is valid now. Only VerifySvid makes one.
class VerifiedSvid {
 public:
  const SpiffeId& id() const { return id_; }
  const Certificate& leaf() const { return leaf_; }
  // The earliest end on the path: nothing that rests on this evidence may live longer.
  WallTime not_after() const { return not_after_; }

 private:
  friend Result<VerifiedSvid> VerifySvid(const std::vector<Certificate>&, const X509BundleSet&, WallTime);
  VerifiedSvid(SpiffeId id, Certificate leaf, WallTime not_after)
      : id_(std::move(id)), leaf_(std::move(leaf)), not_after_(not_after) {}

  SpiffeId id_;
  Certificate leaf_;
  WallTime not_after_;
};

// What a leaf has to look like, whoever signed it (X509-SVID.md 4 and 5.2): not a CA, key usage digitalSignature
// without keyCertSign and cRLSign, extended key usage absent or both server and client, one URI, a SPIFFE ID with a
// path. UNAUTHENTICATED with the rule that it breaks.
Result<SpiffeId> CheckSvidLeaf(const Certificate& leaf);

// `chain` is leaf first, intermediates after it, at most limits::kMaxChainCertificates. UNAUTHENTICATED: everything
// that is wrong with it, including a trust domain without bundle.
Result<VerifiedSvid> VerifySvid(const std::vector<Certificate>& chain, const X509BundleSet& bundles, WallTime now);

}  // namespace hexr::crypto
