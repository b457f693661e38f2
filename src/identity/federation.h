// Keeps the bundles of other trust domains up to date (SPIFFE_Federation.md), by both profiles. Belongs to one loop.
//
// https_spiffe: the server shows an X509-SVID of a configured ID, checked by the latest bundle of that ID's trust
// domain, to begin with the one the operator gave. https_web: the server is checked by the Web PKI.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "identity/bundle_set.h"
#include "identity/fetcher.h"

namespace hexr::identity {

struct FederationPeer {
  TrustDomain trust_domain;
  std::string url;
  std::optional<SpiffeId> endpoint_id;   // set: https_spiffe
  std::optional<TrustBundle> bootstrap;  // of trust_domain; needed where the endpoint shows an SVID of its own domain
  std::string ca_file;                   // https_web
};

struct FederationState {
  TrustDomain trust_domain;
  std::optional<WallTime> last_success;
  std::string last_error;  // empty after a success
  std::chrono::seconds refresh_hint{};
  std::optional<WallTime> next;  // when it is asked next; absent while a question is out
};

class Federation {
 public:
  // All references outlive it.
  Federation(BundleSet& bundles, const Clock& clock, Fetcher& fetcher)
      : bundles_(bundles), clock_(clock), fetcher_(fetcher), self_(std::make_shared<Federation*>(this)) {}

  // INVALID_ARGUMENT: our own trust domain, a URL that is not https, or an https_spiffe endpoint whose server nothing
  // could verify. ALREADY_EXISTS: that trust domain is there.
  Status Add(FederationPeer peer);
  // Asks those that are due: after their refresh hint, or sooner the more often they failed. Call it about once a
  // second.
  void Tick();
  std::vector<FederationState> States() const;

 private:
  struct Peer {
    FederationPeer config;
    FederationState state;
    MonoTime due;
    int failures = 0;
    bool asking = false;
  };

  void Ask(Peer& peer);
  void Done(const TrustDomain& td, Result<FetchResponse> response);
  Status Take(const Peer& peer, const Result<FetchResponse>& response, std::chrono::seconds& refresh_hint);
  Status VerifyServer(const SpiffeId& expected, const std::vector<Bytes>& chain) const;

  BundleSet& bundles_;
  const Clock& clock_;
  Fetcher& fetcher_;
  std::map<TrustDomain, Peer> peers_;
  std::shared_ptr<Federation*> self_;  // what answers hold weakly
};

}  // namespace hexr::identity
