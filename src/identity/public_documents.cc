#include "identity/public_documents.h"

#include "base/https_url.h"
#include "wire/json.h"

namespace hexr::identity {
namespace {

constexpr char kJson[] = "application/json";
constexpr size_t kSchemeBytes = std::string_view("https://").size();

}  // namespace

SpiffeId BundleEndpointId(const TrustDomain& td) {
  return SpiffeId::ForService(td, *IdSegment::Parse("hexr-bundle-endpoint"));
}

PublicDocument BundleDocument(const BundleSet& bundles) {
  return {"/", kJson, bundles.own().ToJson(), bundles.own().refresh_hint};
}

std::vector<PublicDocument> DiscoveryDocuments(const BundleSet& bundles, const std::string& issuer) {
  const std::string slash = issuer.ends_with('/') ? "" : "/";
  // A token's "iss" and the document's "issuer" are the same string; the paths are those below it.
  const std::string below = issuer.substr(kSchemeBytes + UrlAuthority(issuer).size()) + slash;
  const wire::JsonObject document{{"issuer", issuer},
                                  {"jwks_uri", issuer + slash + "keys"},
                                  {"authorization_endpoint", ""},  // a MUST of the standard; nobody signs in here
                                  {"response_types_supported", wire::JsonArray{"id_token"}},
                                  {"subject_types_supported", wire::JsonArray{"public"}},
                                  {"id_token_signing_alg_values_supported", wire::JsonArray{"RS256", "ES256"}}};
  const TrustBundle& own = bundles.own();
  return {{below + ".well-known/openid-configuration", kJson, wire::ToJson(document), own.refresh_hint},
          {below + "keys", kJson, own.OidcJwks(), own.refresh_hint}};
}

}  // namespace hexr::identity
