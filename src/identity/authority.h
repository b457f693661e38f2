// The authority of this node's trust domain: the keys that sign SVIDs, their rotation, what they have revoked.
//
// Every key is saved before it is used, so that a restart loses none that somebody relies on; everything signed has
// passed the verifier before it leaves. Belongs to one loop: the owner calls Tick about once a second.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "crypto/secret.h"
#include "identity/bundle.h"
#include "identity/signing_slots.h"
#include "identity/token.h"
#include "identity/types.h"

namespace hexr::identity {

// Where the authority's keys live between runs. The implementation seals what it writes.
class AuthorityStore {
 public:
  virtual ~AuthorityStore() = default;
  // Nothing: there has been no Save yet.
  virtual Result<std::optional<crypto::Secret>> Load() = 0;
  // All or nothing, and on disk when it returns.
  virtual Status Save(const crypto::Secret& state) = 0;
};

struct AuthorityOptions {
  TrustDomain trust_domain;
  std::chrono::seconds key_life{std::chrono::hours(24)};
  std::chrono::seconds svid_ttl{std::chrono::minutes(15)};  // X.509 and WIT
  std::chrono::seconds jwt_ttl{std::chrono::minutes(5)};
  crypto::KeyType jwt_key = crypto::KeyType::kP256;  // kRsa for verifiers that know RS256 alone
  std::string jwt_issuer;                            // the OIDC issuer URL, where one is served
};

struct IssuedX509 {
  std::vector<crypto::Certificate> chain;  // leaf first
  std::string authority_id;
  WallTime not_before() const { return chain.front().not_before(); }
  WallTime not_after() const { return chain.front().not_after(); }
};

class Authority {
 public:
  // Lists are good for a day: made anew long before.
  static constexpr std::chrono::hours kCrlRenewal{12};

  // What changed, for those who hold something that was signed or distributed.
  struct Change {
    bool bundle = false;         // bundle() has other keys
    bool revocations = false;    // Crls() has other entries
    std::string void_authority;  // everything this one signed is to be replaced now
  };
  using OnChange = std::function<void(const Change&)>;

  // Loads the state, or begins a new one. DATA_LOSS when the stored state cannot be read: it is never overwritten.
  static Result<std::unique_ptr<Authority>> Open(AuthorityOptions options, const Clock& clock, Random& random,
                                                 AuthorityStore& store, OnChange on_change);

  // The errors of issuing: UNAVAILABLE while there is no usable key (it could not be saved), INVALID_ARGUMENT for an ID
  // that is not ours. `ttl` is cut to the options' and to the key's end.
  Result<IssuedX509> IssueX509(const SpiffeId& id, const crypto::PublicKey& key, std::chrono::seconds ttl);
  struct IssuedToken {
    std::string token;
    WallTime issued_at;
    WallTime expires_at;
    std::string authority_id;
  };
  Result<IssuedToken> IssueJwt(const Identity& identity, const std::vector<std::string>& audience,
                               std::chrono::seconds ttl);
  Result<IssuedToken> IssueWit(const Identity& identity, const crypto::PublicKey& holder, std::chrono::seconds ttl);

  // The keys that others need to verify what is signed here.
  const TrustBundle& bundle() const { return bundle_; }
  // DER, one for each X.509 authority that has live revocations; empty when nothing is revoked.
  Result<std::vector<Bytes>> Crls();
  // From now until its end the certificate is on the list. Unknown authorities and ended certificates are ignored. A
  // full list (limits::kMaxRevocations) drops what ends first of whoever has most on it: nobody pushes others out.
  // `revoked_at`: where that was earlier than now.
  void RevokeSerial(const SpiffeId& holder, ByteView serial, WallTime not_after, std::string_view authority_id,
                    std::optional<WallTime> revoked_at = {});
  bool IsRevoked(ByteView serial) const;
  struct Revoked {
    Bytes serial;
    SpiffeId holder;
    WallTime revoked_at;
    WallTime not_after;
    std::string authority_id;
  };
  std::vector<Revoked> Revocations() const;
  // From now on whoever owns this keeps them, and says them again after a restart: they leave the saved state, which
  // has to stay small enough to be saved when a key is due.
  void RevocationsAreKeptElsewhere() { revocations_elsewhere_ = true; }

  // Whatever the clock asks for. An error means that keys could not be saved; it is tried again at the next call.
  Status Tick();

  // By hand, for a key that is compromised: Prepare, Activate, Taint the old one, Revoke it.
  Status Prepare(SigningUse use);
  Status Activate(SigningUse use);
  Status Taint(SigningUse use, std::string_view id);
  Status Revoke(SigningUse use, std::string_view id);
  const std::vector<SigningSlot>& Slots(SigningUse use) const { return SlotsOf(use).all(); }

  const AuthorityOptions& options() const { return options_; }

 private:
  struct Revocation {
    std::string authority_id;
    WallTime revoked_at;
    WallTime not_after;
    std::string holder;
  };

  Authority(AuthorityOptions options, const Clock& clock, Random& random, AuthorityStore& store, OnChange on_change);
  Status Restore(const crypto::Secret& state);
  crypto::Secret Serialize(const std::vector<SigningSlots>& slots, uint64_t sequence) const;
  // Saves the slots, then makes them ours and tells of it. Nothing changes when they cannot be saved.
  Status Commit(std::vector<SigningSlots> slots, const Change& change);
  Result<SigningSlot> MakeSlot(SigningUse use, WallTime now);
  Result<const SigningSlot*> SlotForSigning(SigningUse use);
  const SigningSlots& SlotsOf(SigningUse use) const { return slots_[static_cast<size_t>(use)]; }
  bool AddRevoked(Bytes serial, Revocation revocation);
  void Recount(const std::string& holder, size_t before, size_t now);
  void ForgetRevoked(const Bytes& serial);
  void RebuildBundle();

  AuthorityOptions options_;
  const Clock& clock_;
  Random& random_;
  AuthorityStore& store_;
  OnChange on_change_;
  std::vector<SigningSlots> slots_;  // by SigningUse
  uint64_t sequence_ = 0;
  uint64_t crl_number_ = 0;
  std::map<Bytes, Revocation> revoked_;                                     // by serial
  std::set<std::pair<WallTime, Bytes>> revoked_until_;                      // the same by their certificates' ends
  std::map<std::string, std::set<std::pair<WallTime, Bytes>>> revoked_of_;  // …and by holder
  std::set<std::pair<size_t, std::string>> holders_by_count_;               // …how many each of those has
  bool revoked_unsaved_ = false;
  bool revocations_elsewhere_ = false;
  TrustBundle bundle_;
  std::vector<Bytes> crls_;
  bool crls_stale_ = true;
  WallTime crls_made_at_{};
};

}  // namespace hexr::identity
