// What other rooms may see of layer 1: whose process it is, what its image is, for whom it acts, who a TLS peer is.
// Values; thread-compatible.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/spiffe_id.h"
#include "crypto/digest.h"

namespace hexr::identity {

// The user an instance was started for. Only UserTokenVerifier makes one that counts: from a token whose signature,
// issuer, audience and lifetime it has checked.
struct OnBehalfOf {
  std::string subject;
  std::string issuer;
  std::string claims_json;  // the token's claims, compact JSON
  auto operator<=>(const OnBehalfOf&) const = default;
};

// What a process runs, as the kernel shows it.
struct ImageFacts {
  std::string exe;  // path, as seen in the node's mount namespace
  std::optional<crypto::Sha256Digest> exe_sha256;
  std::string script;  // that exe was told to run (docs/launch.md), or empty
  std::optional<crypto::Sha256Digest> script_sha256;
  bool operator==(const ImageFacts&) const = default;
};

// One identity that a process may use. An instance has one; a matched process may have several.
struct Identity {
  SpiffeId id;
  Assurance assurance = Assurance::kMatched;
  std::optional<InstanceId> instance;  // absent: not launched by hexr
  std::vector<SpiffeId> lineage;       // ancestors, root first
  std::optional<OnBehalfOf> on_behalf_of;
  std::string hint;  // SPIFFE_Workload_API.md 5.2: which of several to use
};

// The other end of a mutually authenticated TLS connection. PeerVerifier alone makes one, so that holding it is the
// proof: the chain was checked against the bundle of the ID's own trust domain, and the certificate is not revoked.
class VerifiedPeer {
 public:
  const SpiffeId& id() const { return id_; }
  WallTime not_after() const { return not_after_; }
  const std::string& serial_hex() const { return serial_hex_; }

 private:
  friend class PeerVerifier;
  VerifiedPeer(SpiffeId id, WallTime not_after, std::string serial_hex)
      : id_(std::move(id)), not_after_(not_after), serial_hex_(std::move(serial_hex)) {}
  SpiffeId id_;
  WallTime not_after_;
  std::string serial_hex_;
};

}  // namespace hexr::identity
