// What the keeper has to do with the world beyond the node: bundles of other trust domains, tokens of users, what is
// published. All of it travels through the courier, and nothing that comes back is believed before it is checked here.
// Belongs to the keeper's loop.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "config/config.h"
#include "crypto/digest.h"
#include "identity/core.h"
#include "identity/federation.h"
#include "identity/user_token.h"
#include "keeper/courier_link.h"
#include "keeper/state.h"
#include "runtime/loop.h"

namespace hexr::keeper {

class Outside {
 public:
  // All references outlive it. What is wrong with one trust domain is that domain's state, and stops nothing else.
  static Result<std::unique_ptr<Outside>> Create(runtime::Loop& loop, const Clock& clock, const config::Config& config,
                                                 State& state, identity::Core& core, CourierLink& link);

  // The courier is there (again): it hears what to show.
  void OnCourier();
  // Some bundle has changed: ours is published, others' are kept for the next start.
  void OnBundles();
  // By an operator's hand, for good. NOT_FOUND to delete what is not there, FAILED_PRECONDITION where the configuration
  // keeps it; else as BundleSet.
  Status SetBundle(identity::TrustBundle bundle, identity::BundleSet::Older older);
  Status DeleteBundle(const TrustDomain& td);
  // Whether somebody other than an operator's hand keeps this trust domain's bundle up to date, and how that goes.
  std::vector<identity::FederationState> FederationStates() const;

  // PERMISSION_DENIED where no issuer is configured; else as UserTokenVerifier.
  void VerifyUser(std::string token, uint32_t user, identity::UserTokenVerifier::Done done);
  // For whom an instance acts, across restarts of the keeper: a token is shown once, and may have run out since.
  Status Remember(const InstanceId& instance, const identity::OnBehalfOf& user);
  Result<std::optional<identity::OnBehalfOf>> Recall(const InstanceId& instance);
  void Forget(const InstanceId& instance);

  // For the endpoint in the https_spiffe profile. FAILED_PRECONDITION where none is configured.
  void IssueEndpointSvid(ByteView spki_der, UniqueFunction<void(Result<identity::GatewaySvid>)> done);

 private:
  Outside(runtime::Loop& loop, const Clock& clock, const config::Config& config, State& state, identity::Core& core,
          CourierLink& link);
  Status Open();
  Status AddDomain(const config::FederatedDomain& domain);
  Status TakeUpSetBundles();
  bool Configured(const std::string& trust_domain) const;
  void KeepBundles();
  void Publish(bool again);
  // Adds the certificate's files, or logs why there is none.
  void AddCertificate(const config::WebCertificate& web, ::hexr::node::v1::Published& to);
  void Tick();
  void ForgetTheDead();

  runtime::Loop& loop_;
  const Clock& clock_;
  const config::Config& config_;
  State& state_;
  identity::Core& core_;
  CourierLink& link_;
  identity::Federation federation_;
  std::vector<identity::FederationState> unusable_;     // configured, and wrong
  std::unique_ptr<identity::UserTokenVerifier> users_;  // null: no issuer is configured
  std::map<TrustDomain, std::string> kept_bundles_;     // as they are in the store
  std::set<std::string> kept_users_;                    // instances
  std::optional<crypto::Sha256Digest> published_;       // of the last message, which holds keys
  MonoTime next_look_{};                                // at the files of web certificates
  MonoTime settled_at_{};                               // by then every instance that lives has registered again
  bool settled_ = false;
  runtime::Timer timer_;
};

}  // namespace hexr::keeper
