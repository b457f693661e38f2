#include "identity/bundle_set.h"

#include "base/bytes.h"
#include "base/limits/identity.h"

namespace hexr::identity {

Status BundleSet::Publish(const TrustBundle& bundle) {
  ASSIGN_OR_RETURN(crypto::X509Bundle x509, crypto::X509Bundle::Create(bundle.trust_domain, bundle.x509_authorities));
  x509_.Set(std::move(x509));
  ++version_;
  return Ok();
}

Status BundleSet::SetOwn(const TrustBundle& bundle) {
  if (bundle.trust_domain != own_.trust_domain) return InvalidArgument("the bundle is of another trust domain");
  const bool same = version_ > 0 && bundle.SameKeys(own_);
  if (!same) RETURN_IF_ERROR(Publish(bundle));
  own_ = bundle;
  if (!same) on_change_();
  return Ok();
}

Status BundleSet::CheckFederated(const TrustBundle& bundle, Older older) const {
  const TrustDomain& td = bundle.trust_domain;
  if (td == own_.trust_domain)
    return InvalidArgument("a bundle from outside cannot replace that of our own trust domain");
  const auto it = federated_.find(td);
  if (it == federated_.end()) {
    if (federated_.size() >= limits::kMaxFederatedDomains) return ResourceExhausted("too many federated trust domains");
    return Ok();
  }
  if (older == Older::kRefuse && it->second.sequence.has_value() &&
      (!bundle.sequence.has_value() || *bundle.sequence < *it->second.sequence)) {
    return FailedPrecondition("the bundle of " + td.name() + " is older than the one we have");
  }
  return Ok();
}

Status BundleSet::SetFederated(TrustBundle bundle, Older older) {
  RETURN_IF_ERROR(CheckFederated(bundle, older));
  const TrustDomain td = bundle.trust_domain;
  const auto it = federated_.find(td);
  if (it != federated_.end() && it->second.SameKeys(bundle)) {
    it->second = std::move(bundle);
    return Ok();
  }
  RETURN_IF_ERROR(Publish(bundle));
  federated_.insert_or_assign(td, std::move(bundle));
  on_change_();
  return Ok();
}

Status BundleSet::RemoveFederated(const TrustDomain& td) {
  if (federated_.erase(td) == 0) return NotFound("not federated with " + td.name());
  x509_.Remove(td);
  ++version_;
  on_change_();
  return Ok();
}

const TrustBundle* BundleSet::Find(const TrustDomain& td) const {
  if (td == own_.trust_domain) return &own_;
  const auto it = federated_.find(td);
  return it == federated_.end() ? nullptr : &it->second;
}

std::map<TrustDomain, TrustBundle> BundleSet::All() const {
  std::map<TrustDomain, TrustBundle> all = federated_;
  all.emplace(own_.trust_domain, own_);
  return all;
}

Result<VerifiedPeer> PeerVerifier::Verify(const std::vector<crypto::Certificate>& chain) const {
  ASSIGN_OR_RETURN(const crypto::VerifiedSvid svid, crypto::VerifySvid(chain, bundles_, clock_.Wall()));
  if (is_revoked_(svid.id(), svid.leaf().serial())) return Unauthenticated("the peer's SVID is revoked");
  return VerifiedPeer(svid.id(), svid.not_after(), HexEncode(svid.leaf().serial()));
}

}  // namespace hexr::identity
