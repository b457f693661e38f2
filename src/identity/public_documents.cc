#include "identity/public_documents.h"

#include "wire/json.h"

namespace hexr::identity {
namespace {

constexpr std::string_view kJson = "application/json";

}  // namespace

SpiffeId BundleEndpointId(const TrustDomain& td) {
  return SpiffeId::ForService(td, *IdSegment::Parse("hexr-bundle-endpoint"));
}

PublicDocument PublicDocuments::Answer(std::string_view method, std::string_view path) const {
  if (method != "GET" && method != "HEAD") return {405, "text/plain; charset=utf-8", "only GET\n"};
  const TrustBundle& own = bundles_.own();
  if (path == "/") return {200, std::string(kJson), own.ToJson(), own.refresh_hint};
  if (oidc_issuer_.empty()) return {404, "text/plain; charset=utf-8", "not found\n"};
  if (path == "/keys") return {200, std::string(kJson), own.OidcJwks(), own.refresh_hint};
  if (path == "/.well-known/openid-configuration") {
    const wire::JsonObject document{{"issuer", oidc_issuer_},
                                    {"jwks_uri", oidc_issuer_ + (oidc_issuer_.ends_with('/') ? "keys" : "/keys")},
                                    {"authorization_endpoint", ""},  // a MUST of the standard; nobody signs in here
                                    {"response_types_supported", wire::JsonArray{"id_token"}},
                                    {"subject_types_supported", wire::JsonArray{"public"}},
                                    {"id_token_signing_alg_values_supported", wire::JsonArray{"RS256", "ES256"}}};
    return {200, std::string(kJson), wire::ToJson(document), own.refresh_hint};
  }
  return {404, "text/plain; charset=utf-8", "not found\n"};
}

}  // namespace hexr::identity
