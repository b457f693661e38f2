// What this trust domain publishes over HTTPS: its bundle, for federation, and OpenID Connect discovery, for those who
// verify our tokens that way. Stateless over a BundleSet; belongs to its loop.
#pragma once

#include <string>
#include <string_view>

#include "identity/bundle_set.h"

namespace hexr::identity {

struct PublicDocument {
  int status = 404;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::chrono::seconds max_age{0};  // for Cache-Control; 0: no-store
};

class PublicDocuments {
 public:
  // `oidc_issuer`: the https URL under which the documents are reached; empty: no OpenID Connect.
  PublicDocuments(const BundleSet& bundles, std::string oidc_issuer)
      : bundles_(bundles), oidc_issuer_(std::move(oidc_issuer)) {}

  // GET and HEAD of "/" (the bundle), "/.well-known/openid-configuration" and "/keys". 405 for other methods, 404 for
  // other paths. No client is authenticated, as SPIFFE_Federation.md 5.1 has it: everything here is public.
  PublicDocument Answer(std::string_view method, std::string_view path) const;

 private:
  const BundleSet& bundles_;
  std::string oidc_issuer_;
};

// Whose SVID the endpoint shows in the https_spiffe profile.
SpiffeId BundleEndpointId(const TrustDomain& td);

}  // namespace hexr::identity
