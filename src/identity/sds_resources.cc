#include "identity/sds_resources.h"

#include "base/bytes.h"
#include "crypto/authority.h"
#include "crypto/pem.h"
#include "identity/service_call.h"

namespace hexr::identity {
namespace {

namespace tls = ::envoy::extensions::transport_sockets::tls::v3;
constexpr std::string_view kSpiffeValidator = "envoy.tls.cert_validator.spiffe";

std::string Fingerprint(std::string_view content) { return HexEncode(crypto::Sha256(content)).substr(0, 16); }

}  // namespace

void WipeSecret(tls::Secret& secret) {
  if (secret.has_tls_certificate())
    WipeText(*secret.mutable_tls_certificate()->mutable_private_key()->mutable_inline_bytes());
}

SdsResources::Validation SdsResources::ValidationOf(const envoy::config::core::v3::Node& node) {
  const auto it = node.metadata().fields().find("disable_spiffe_cert_validation");
  if (it == node.metadata().fields().end()) return Validation::kSpiffe;
  return it->second.bool_value() || it->second.string_value() == "true" ? Validation::kPlain : Validation::kSpiffe;
}

Result<SdsResources::Meaning> SdsResources::MeaningOf(const Caller& caller, const std::string& name,
                                                      Validation validation) const {
  const BundleSet& bundles = core_.bundles();
  if (name == "default") return Meaning{&caller.grants.front(), {}};
  if (name == "ROOTCA") return Meaning{nullptr, {&bundles.own()}};
  if (name == "ALL") {
    if (validation == Validation::kPlain)
      return FailedPrecondition("ALL needs Envoy's SPIFFE validator, which this node has disabled");
    Meaning all{nullptr, {&bundles.own()}};
    for (const auto& [td, bundle] : bundles.federated()) all.bundles.push_back(&bundle);
    return all;
  }
  const auto id = SpiffeId::Parse(name);
  if (!id.ok()) return NotFound("no secret of that name; there are default, ROOTCA, ALL, SPIFFE IDs and trust domains");
  if (id->has_path()) {
    for (const Grant& grant : caller.grants) {
      if (grant.identity.id == *id) return Meaning{&grant, {}};
    }
    return PermissionDenied("this process has not that identity");
  }
  const TrustBundle* bundle = bundles.Find(id->trust_domain());
  if (bundle == nullptr) return NotFound("not federated with " + id->trust_domain().name());
  return Meaning{nullptr, {bundle}};
}

Result<SdsResource> SdsResources::Make(const Caller& caller, const std::string& name, Validation validation) {
  ASSIGN_OR_RETURN(const Meaning meaning, MeaningOf(caller, name, validation));
  return meaning.svid != nullptr ? Svid(caller, *meaning.svid, name) : Bundles(name, meaning.bundles, validation);
}

Result<std::string> SdsResources::Version(const Caller& caller, const std::string& name, Validation validation) {
  ASSIGN_OR_RETURN(const Meaning meaning, MeaningOf(caller, name, validation));
  if (meaning.svid != nullptr) {
    ASSIGN_OR_RETURN(const HeldX509* held, Held(caller, *meaning.svid));
    return HexEncode(held->serial);
  }
  if (versions_of_ != core_.bundles().version()) bundle_versions_.clear();
  versions_of_ = core_.bundles().version();
  std::string& version = bundle_versions_[{name, validation}];
  if (version.empty()) {
    ASSIGN_OR_RETURN(const SdsResource made, Bundles(name, meaning.bundles, validation));
    version = made.version;
  }
  return version;
}

Result<const HeldX509*> SdsResources::Held(const Caller& caller, const Grant& grant) {
  return core_.svids().X509(caller.process, grant.identity, grant.x509_ttl);
}

Result<SdsResource> SdsResources::Svid(const Caller& caller, const Grant& grant, const std::string& name) {
  ASSIGN_OR_RETURN(const HeldX509* held, Held(caller, grant));
  ASSIGN_OR_RETURN(const auto chain, crypto::Certificate::ParseChain(held->chain_der));
  SdsResource out;
  out.secret.set_name(name);
  tls::TlsCertificate& certificate = *out.secret.mutable_tls_certificate();
  certificate.mutable_certificate_chain()->set_inline_bytes(crypto::EncodePemChain(chain));
  const crypto::Secret key = crypto::PemEncodeSecret("PRIVATE KEY", held->key);
  certificate.mutable_private_key()->set_inline_bytes(
      std::string(key.RevealText(crypto::RevealToken::For("X509-SVID key to the caller's Envoy"))));
  out.version = HexEncode(held->serial);
  return out;
}

Result<std::string> SdsResources::PemOf(const TrustBundle& bundle) {
  if (!bundle.x509_authorities.empty()) return bundle.X509Pem();
  std::string& pem = nobody_[bundle.trust_domain];
  if (pem.empty()) {
    // The key is gone when this block ends.
    ASSIGN_OR_RETURN(const auto nobody, crypto::CertificateAuthority::CreateRoot(
                                            bundle.trust_domain, crypto::PrivateKey::Generate(crypto::KeyType::kP256),
                                            core_.clock().Wall(), std::chrono::hours(24), core_.random()));
    pem = nobody.certificate().ToPem();
  }
  return pem;
}

Result<SdsResource> SdsResources::Bundles(const std::string& name, const std::vector<const TrustBundle*>& bundles,
                                          Validation validation) {
  SdsResource out;
  out.secret.set_name(name);
  tls::CertificateValidationContext& context = *out.secret.mutable_validation_context();
  std::string content;
  if (validation == Validation::kPlain) {
    ASSIGN_OR_RETURN(content, PemOf(*bundles.front()));
    context.mutable_trusted_ca()->set_inline_bytes(content);
  } else {
    tls::SPIFFECertValidatorConfig config;
    for (const TrustBundle* bundle : bundles) {
      ASSIGN_OR_RETURN(const std::string pem, PemOf(*bundle));
      auto& domain = *config.add_trust_domains();
      domain.set_name(bundle->trust_domain.name());
      domain.mutable_trust_bundle()->set_inline_bytes(pem);
    }
    content = config.SerializeAsString();
    auto& validator = *context.mutable_custom_validator_config();
    validator.set_name(std::string(kSpiffeValidator));
    validator.mutable_typed_config()->PackFrom(config);
  }
  out.version = Fingerprint(content);
  return out;
}

Result<SdsResource> SdsResources::Tombstone(const std::string& name, Validation validation) {
  const auto id = SpiffeId::Parse(name);
  if (!id.ok() || id->has_path()) return NotFound("not the name of a bundle");
  const TrustBundle empty(id->trust_domain());
  return Bundles(name, {&empty}, validation);
}

}  // namespace hexr::identity
