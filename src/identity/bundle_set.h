// The trust bundles that this node knows: its own, and those of the trust domains it federates with. Each stays on its
// own: what is signed under one name is never believed under another. Belongs to one loop.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/limits/identity.h"
#include "base/result.h"
#include "crypto/svid.h"
#include "identity/bundle.h"
#include "identity/types.h"

namespace hexr::identity {

class BundleSet {
 public:
  using OnChange = std::function<void()>;
  BundleSet(TrustDomain own, OnChange on_change) : own_(std::move(own)), on_change_(std::move(on_change)) {}

  // Of the authority (Authority::bundle).
  Status SetOwn(const TrustBundle& bundle);
  enum class Older : uint8_t { kRefuse, kAllow };
  // INVALID_ARGUMENT: our own trust domain. FAILED_PRECONDITION: a sequence lower than the one we have, which would
  // bring back keys that were withdrawn since; an administrator may insist. RESOURCE_EXHAUSTED over
  // limits::kMaxFederatedDomains. Equal keys are no change.
  Status SetFederated(TrustBundle bundle, Older older = Older::kRefuse);
  // Whether SetFederated would take it, by the same rules.
  Status CheckFederated(const TrustBundle& bundle, Older older) const;
  // NOT_FOUND when there is none.
  Status RemoveFederated(const TrustDomain& td);

  const TrustBundle& own() const { return own_; }
  const std::map<TrustDomain, TrustBundle>& federated() const { return federated_; }
  const TrustBundle* Find(const TrustDomain& td) const;
  const crypto::X509BundleSet& x509() const { return x509_; }
  // Own and federated, for documents.
  std::map<TrustDomain, TrustBundle> All() const;
  // Counts changes: whoever holds something made from the set compares it.
  uint64_t version() const { return version_; }

 private:
  Status Publish(const TrustBundle& bundle);

  TrustBundle own_;
  std::map<TrustDomain, TrustBundle> federated_;
  crypto::X509BundleSet x509_;
  uint64_t version_ = 0;
  OnChange on_change_;
};

// Turns the certificates of a TLS peer into evidence. Thread-compatible; the references outlive it.
class PeerVerifier {
 public:
  using IsRevoked = std::function<bool(const SpiffeId& id, ByteView serial)>;
  PeerVerifier(const crypto::X509BundleSet& bundles, const Clock& clock, IsRevoked is_revoked)
      : bundles_(bundles), clock_(clock), is_revoked_(std::move(is_revoked)) {}

  // `chain`: leaf first. UNAUTHENTICATED with what is wrong.
  Result<VerifiedPeer> Verify(const std::vector<crypto::Certificate>& chain) const;

 private:
  const crypto::X509BundleSet& bundles_;
  const Clock& clock_;
  IsRevoked is_revoked_;
};

}  // namespace hexr::identity
