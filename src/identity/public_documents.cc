#include "identity/public_documents.h"

#include <set>
#include <string_view>

#include "base/https_url.h"
#include "crypto/keys.h"
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
  const TrustBundle& own = bundles.own();
  std::set<std::string_view> algorithms;
  for (const auto& key : own.jwt_keys)
    algorithms.insert(crypto::AlgorithmName(crypto::DefaultAlgorithm(key.key.type())));
  wire::JsonArray supported;
  for (const std::string_view name : algorithms) supported.push_back(name);
  const wire::JsonObject document{{"issuer", issuer},
                                  {"jwks_uri", issuer + slash + "keys"},
                                  {"authorization_endpoint", ""},  // a MUST of the standard; nobody signs in here
                                  {"response_types_supported", wire::JsonArray{"id_token"}},
                                  {"subject_types_supported", wire::JsonArray{"public"}},
                                  {"id_token_signing_alg_values_supported", std::move(supported)}};
  return {{below + ".well-known/openid-configuration", kJson, wire::ToJson(document), own.refresh_hint},
          {below + "keys", kJson, own.OidcJwks(), own.refresh_hint}};
}

}  // namespace hexr::identity
