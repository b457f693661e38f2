#include "identity/bundle.h"

#include <algorithm>
#include <utility>

#include "base/limits/identity.h"
#include "base/limits/keys.h"
#include "wire/json.h"

namespace hexr::identity {
namespace {

using crypto::Jwk;
using crypto::JwkSet;

constexpr std::string_view kX509Use = "x509-svid";
constexpr std::string_view kJwtUse = "jwt-svid";
constexpr std::string_view kWitUse = "wit-svid";

bool HasKeyId(const KeySet& keys, const std::string& kid) {
  return std::any_of(keys.begin(), keys.end(), [&kid](const Jwk& k) { return k.key_id == kid; });
}

Status AddX509(const Jwk& jwk, TrustBundle& bundle) {
  if (jwk.x5c.empty()) return Ok();
  const crypto::Certificate& certificate = jwk.x5c.front();
  if (!certificate.is_ca()) return InvalidArgument("bundle: an x509-svid key is no authority's certificate");
  auto& known = bundle.x509_authorities;
  if (std::find(known.begin(), known.end(), certificate) == known.end()) known.push_back(certificate);
  return Ok();
}

Status AddKey(Jwk jwk, TrustBundle& bundle, KeySet& keys) {
  if (jwk.key_id.empty()) return InvalidArgument("bundle: a token key has no \"kid\"");
  if (jwk.key_id.size() > limits::kMaxKeyIdBytes) return InvalidArgument("bundle: a \"kid\" is too long");
  if (HasKeyId(bundle.jwt_keys, jwk.key_id) || HasKeyId(bundle.wit_keys, jwk.key_id)) {
    return InvalidArgument("bundle: a \"kid\" is there twice");
  }
  keys.push_back(std::move(jwk));
  return Ok();
}

JwkSet SetOf(const KeySet& keys, std::string_view use, bool with_algorithm) {
  JwkSet set;
  for (const Jwk& key : keys) {
    Jwk& copy = set.keys.emplace_back(key);
    copy.use = use;
    copy.algorithm.reset();
    if (with_algorithm) copy.algorithm = crypto::DefaultAlgorithm(key.key.type());
  }
  return set;
}

bool SameKeySet(const KeySet& a, const KeySet& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Jwk& x, const Jwk& y) { return x.key_id == y.key_id && x.key == y.key; });
}

}  // namespace

Result<TrustBundle> TrustBundle::Parse(const TrustDomain& td, std::string_view json) {
  ASSIGN_OR_RETURN(JwkSet set, crypto::ParseJwkSet(json));
  // Whoever has read the document before us can sign for this trust domain: nothing in it is worth believing.
  if (set.private_keys > 0) {
    return InvalidArgument(
        "bundle of " + td.name() +
        ": holds a private key (\"d\" or its like): replace that key, then publish public ones only");
  }
  TrustBundle bundle(td);
  for (Jwk& jwk : set.keys) {
    if (jwk.use == kX509Use)
      RETURN_IF_ERROR(AddX509(jwk, bundle));
    else if (jwk.use == kJwtUse)
      RETURN_IF_ERROR(AddKey(std::move(jwk), bundle, bundle.jwt_keys));
    else if (jwk.use == kWitUse)
      RETURN_IF_ERROR(AddKey(std::move(jwk), bundle, bundle.wit_keys));
  }
  bundle.sequence = set.sequence;
  if (set.refresh_hint_seconds.has_value()) {
    // A hint of nothing would mean asking without a pause, one of years never asking again.
    constexpr auto kLongest = static_cast<uint64_t>(std::chrono::seconds(std::chrono::hours(24)).count());
    bundle.refresh_hint = std::chrono::seconds(std::clamp<uint64_t>(*set.refresh_hint_seconds, 1, kLongest));
  }
  return bundle;
}

std::string TrustBundle::ToJson() const {
  JwkSet set;
  for (const crypto::Certificate& certificate : x509_authorities) {
    const auto key = certificate.public_key();
    if (!key.ok()) continue;  // nothing of ours verifies by such a key, so nothing was lost
    set.keys.push_back(Jwk{*key, "", std::string(kX509Use), {}, {certificate}});
  }
  for (JwkSet more : {SetOf(jwt_keys, kJwtUse, false), SetOf(wit_keys, kWitUse, false)}) {
    std::move(more.keys.begin(), more.keys.end(), std::back_inserter(set.keys));
  }
  set.sequence = sequence;
  set.refresh_hint_seconds = static_cast<uint64_t>(refresh_hint.count());
  return crypto::EncodeJwkSet(set);
}

std::string TrustBundle::JwtJwks() const { return crypto::EncodeJwkSet(SetOf(jwt_keys, "", false)); }
std::string TrustBundle::WitJwks() const { return crypto::EncodeJwkSet(SetOf(wit_keys, "", false)); }
std::string TrustBundle::OidcJwks() const { return crypto::EncodeJwkSet(SetOf(jwt_keys, "sig", true)); }
Bytes TrustBundle::X509Der() const { return crypto::EncodeChain(x509_authorities); }
std::string TrustBundle::X509Pem() const { return crypto::EncodePemChain(x509_authorities); }

bool TrustBundle::SameKeys(const TrustBundle& other) const {
  return trust_domain == other.trust_domain && x509_authorities == other.x509_authorities &&
         SameKeySet(jwt_keys, other.jwt_keys) && SameKeySet(wit_keys, other.wit_keys);
}

Result<std::map<TrustDomain, TrustBundle>> ParseBundleMap(std::string_view json) {
  ASSIGN_OR_RETURN(const wire::Json document,
                   wire::ParseJson(json, {.max_bytes = limits::kMaxBundleMapBytes, .max_depth = 16}));
  const wire::Json* domains = document.Find("trust_domains");
  if (domains == nullptr || !domains->is_object())
    return InvalidArgument("bundle map: \"trust_domains\" is missing or no object");
  if (domains->as_object()->size() > limits::kMaxFederatedDomains)
    return ResourceExhausted("bundle map: too many trust domains");
  std::map<TrustDomain, TrustBundle> out;
  for (const wire::JsonMember& member : *domains->as_object()) {
    ASSIGN_OR_RETURN(const TrustDomain td, TrustDomain::Parse(member.key));
    ASSIGN_OR_RETURN(TrustBundle bundle, TrustBundle::Parse(td, wire::ToJson(member.value)));
    bundle.refresh_hint = kDefaultRefreshHint;  // those of single bundles do not count in a map
    out.emplace(td, std::move(bundle));
  }
  return out;
}

std::string BundleMapToJson(const std::map<TrustDomain, TrustBundle>& bundles) {
  std::string out = R"({"trust_domains":{)";
  for (const auto& [td, bundle] : bundles) {
    if (out.back() != '{') out += ',';
    out += '"' + td.name() + "\":" + bundle.ToJson();  // a trust domain's name holds nothing that JSON escapes
  }
  return out + "}}";
}

}  // namespace hexr::identity
