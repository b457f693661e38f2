// The secrets that Envoy may ask for by name, made for one caller. Belongs to one loop.
//
//   default            the caller's first X509-SVID        spiffe://td/path   that X509-SVID of the caller's
//   ROOTCA             whom our trust domain trusts        spiffe://td        the same of that trust domain
//   ALL                every trust domain, each by its own bundle (Envoy's SPIFFE validator)
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "envoy/config/core/v3/base.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "identity/core.h"

namespace hexr::identity {

// Overwrites the private key inside.
void WipeSecret(envoy::extensions::transport_sockets::tls::v3::Secret& secret);

struct SdsResource {
  SdsResource() = default;
  SdsResource(SdsResource&&) = default;
  SdsResource& operator=(SdsResource&&) = default;
  ~SdsResource() { WipeSecret(secret); }

  envoy::extensions::transport_sockets::tls::v3::Secret secret;
  std::string version;  // differs when the secret does; says nothing of keys
};

class SdsResources {
 public:
  explicit SdsResources(Core& core) : core_(core) {}

  // How bundles are to be written, from the node's metadata: `disable_spiffe_cert_validation`, a boolean or its text.
  enum class Validation : uint8_t { kSpiffe, kPlain };
  static Validation ValidationOf(const envoy::config::core::v3::Node& node);

  // NOT_FOUND: a name that stands for nothing here. PERMISSION_DENIED: an SVID that the caller has not.
  // FAILED_PRECONDITION: ALL without the SPIFFE validator, which alone keeps trust domains apart.
  Result<SdsResource> Make(const Caller& caller, const std::string& name, Validation validation);
  // The version that Make would give, without a key being written out, and its errors: what streams look at every time.
  Result<std::string> Version(const Caller& caller, const std::string& name, Validation validation);
  // What replaces a bundle that was sent and is gone. State-of-the-world SDS cannot take a secret back, so the name
  // gets an authority whose key nobody has: it trusts no one.
  Result<SdsResource> Tombstone(const std::string& name, Validation validation);

 private:
  // What a name stands for: an identity of the caller's, or bundles.
  struct Meaning {
    const Grant* svid = nullptr;
    std::vector<const TrustBundle*> bundles;
  };
  Result<Meaning> MeaningOf(const Caller& caller, const std::string& name, Validation validation) const;
  Result<const HeldX509*> Held(const Caller& caller, const Grant& grant);
  Result<SdsResource> Svid(const Caller& caller, const Grant& grant, const std::string& name);
  Result<SdsResource> Bundles(const std::string& name, const std::vector<const TrustBundle*>& bundles,
                              Validation validation);
  Result<std::string> PemOf(const TrustBundle& bundle);

  Core& core_;
  std::map<TrustDomain, std::string> nobody_;  // PEM of the authorities of tombstones
  // Versions of bundles by name, all of one version of the set.
  std::map<std::pair<std::string, Validation>, std::string> bundle_versions_;
  uint64_t versions_of_ = 0;
};

}  // namespace hexr::identity
