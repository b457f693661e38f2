// What this trust domain publishes over HTTPS: its bundle, for federation, and OpenID Connect discovery, for those who
// verify our tokens that way. No client is authenticated, as SPIFFE_Federation.md 5.1 has it: all of it is public.
// Stateless over a BundleSet; belongs to its loop.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "identity/bundle_set.h"

namespace hexr::identity {

struct PublicDocument {
  std::string path;
  std::string content_type;
  std::string body;
  std::chrono::seconds max_age{0};  // for Cache-Control
};

// The SPIFFE bundle at "/".
PublicDocument BundleDocument(const BundleSet& bundles);
// "…/.well-known/openid-configuration" and "…/keys" below the path of `issuer`, the https URL under which they are
// reached (OpenID Connect Discovery 1.0, section 4).
std::vector<PublicDocument> DiscoveryDocuments(const BundleSet& bundles, const std::string& issuer);

// Whose SVID the endpoint shows in the https_spiffe profile.
SpiffeId BundleEndpointId(const TrustDomain& td);

}  // namespace hexr::identity
