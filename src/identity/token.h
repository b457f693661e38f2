// JWT-SVIDs and WIT-SVIDs: writing claims, and believing them (JWT-SVID.md; WIT-SVID.md of 2026-07-01, incubating).
// Stateless functions and evidence types; thread-safe.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/spiffe_id.h"
#include "crypto/keys.h"
#include "identity/bundle.h"
#include "identity/types.h"
#include "wire/json.h"

namespace hexr::identity {

// Clocks of issuer and verifier differ by at most this.
inline constexpr std::chrono::seconds kTokenLeeway{30};

struct JwtSvidClaims {
  SpiffeId subject;
  std::vector<std::string> audience;  // at least one
  WallTime issued_at;
  WallTime expires_at;
  std::string token_id;  // jti
  std::string issuer;    // empty: none
  Assurance assurance = Assurance::kMatched;
  std::optional<OnBehalfOf> on_behalf_of;
};

struct WitSvidClaims {
  SpiffeId subject;
  crypto::PublicKey holder;  // cnf: who presents the token proves to hold its private half
  WallTime issued_at;
  WallTime expires_at;
  std::string token_id;
  Assurance assurance = Assurance::kMatched;
};

// Compact serializations.
Result<std::string> SignJwtSvid(const JwtSvidClaims& claims, std::string_view kid, const crypto::PrivateKey& key);
Result<std::string> SignWitSvid(const WitSvidClaims& claims, std::string_view kid, const crypto::PrivateKey& key);

// The bundle of a trust domain, or null. Valid during the call that it is given to.
using FindBundle = std::function<const TrustBundle*(const TrustDomain&)>;

// A JWT-SVID whose signature, header and claims have been checked for one audience. Only VerifyJwtSvid makes one.
class VerifiedJwtSvid {
 public:
  const SpiffeId& id() const { return id_; }
  WallTime expires_at() const { return expires_at_; }
  const wire::Json& claims() const { return claims_; }

 private:
  friend Result<VerifiedJwtSvid> VerifyJwtSvid(std::string_view, std::string_view, const FindBundle&, WallTime);
  VerifiedJwtSvid(SpiffeId id, WallTime expires_at, wire::Json claims)
      : id_(std::move(id)), expires_at_(expires_at), claims_(std::move(claims)) {}
  SpiffeId id_;
  WallTime expires_at_;
  wire::Json claims_;
};

// UNAUTHENTICATED with the rule that the token breaks; the message holds nothing of the token but its key ID.
// `audience` has to be among the token's, and may not be empty.
Result<VerifiedJwtSvid> VerifyJwtSvid(std::string_view token, std::string_view audience, const FindBundle& bundles,
                                      WallTime now);

// A WIT-SVID whose signature, header and claims have been checked. It proves nothing about who presents it: that takes
// a proof of possession of holder().
class VerifiedWitSvid {
 public:
  const SpiffeId& id() const { return id_; }
  const crypto::PublicKey& holder() const { return holder_; }
  WallTime expires_at() const { return expires_at_; }

 private:
  friend Result<VerifiedWitSvid> VerifyWitSvid(std::string_view, const FindBundle&, WallTime);
  VerifiedWitSvid(SpiffeId id, crypto::PublicKey holder, WallTime expires_at)
      : id_(std::move(id)), holder_(std::move(holder)), expires_at_(expires_at) {}
  SpiffeId id_;
  crypto::PublicKey holder_;
  WallTime expires_at_;
};
Result<VerifiedWitSvid> VerifyWitSvid(std::string_view token, const FindBundle& bundles, WallTime now);

}  // namespace hexr::identity
