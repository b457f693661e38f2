// The SVIDs that are out: one key and one certificate for each identity of each process, never shared between two.
//
// Renewed at half their life, 10 % sooner or later so that a node's SVIDs do not all fall due at once; replaced at once
// when the clock was stepped or the authority behind them is void; revoked when the process ends. Belongs to one loop.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/limits/identity.h"
#include "base/random.h"
#include "base/result.h"
#include "crypto/secret.h"
#include "identity/authority.h"
#include "identity/types.h"

namespace hexr::identity {

// When something issued has to be replaced. On both clocks: the wall clock may be set back, the other one stands still
// while the machine sleeps.
struct Renewal {
  WallTime not_after;
  WallTime at;
  MonoTime at_mono;
  std::string authority_id;
  bool forced = false;
};

struct HeldX509 {
  Bytes chain_der;     // leaf first
  crypto::Secret key;  // PKCS#8 DER
  Bytes serial;
  Renewal renewal;
};

struct HeldWit {
  std::string token;
  crypto::Secret key;  // private JWK
  Renewal renewal;
};

struct GatewaySvid {
  std::vector<Bytes> chain_der;
  WallTime not_after;
};

// Asked before something that was signed leaves: an error keeps it back. `kind` is "x509", "jwt" or "wit"; `serial` the
// certificate's, empty for tokens.
using OnIssuing =
    std::function<Status(const Identity& identity, std::string_view kind, ByteView serial, WallTime not_after)>;

// A certificate that is out.
struct OutCertificate {
  std::string process;
  SpiffeId id;
  Bytes serial;
  WallTime not_after;
  std::string authority_id;
  bool revoked = false;
};

// Where certificates that are out are remembered beyond the life of this process: what a predecessor issued has to be
// revoked when its holder ends, too.
class OutStore {
 public:
  virtual ~OutStore() = default;
  // Before it leaves: an error keeps it back.
  virtual Status Add(const OutCertificate& certificate) = 0;
  virtual Status Revoked(ByteView serial) = 0;
  // What a predecessor left and has not ended.
  virtual Result<std::vector<OutCertificate>> Load() = 0;
};

class SvidKeeper {
 public:
  SvidKeeper(Authority& authority, const Clock& clock, Random& random, OnIssuing on_issuing = {},
             OutStore* out = nullptr)
      : authority_(authority), clock_(clock), random_(random), on_issuing_(std::move(on_issuing)), out_(out) {}

  // Takes up what a predecessor issued: each is revoked with its process, as if this object had issued it. The
  // processes.
  Result<std::vector<std::string>> TakeUp();

  // `process` names the holder: an instance's ID, or a matched process. All results are valid until the next call for
  // the same process. Errors are those of Authority.
  Result<const HeldX509*> X509(const std::string& process, const Identity& identity, std::chrono::seconds ttl);
  Result<const HeldWit*> Wit(const std::string& process, const Identity& identity, std::chrono::seconds ttl);
  // One token for each set of audiences, minted anew at half its life; at most limits::kMaxCachedTokens of a process
  // are kept.
  Result<std::string> Jwt(const std::string& process, const Identity& identity,
                          const std::vector<std::string>& audience, std::chrono::seconds ttl);
  // A second certificate of the same ID for a key that another process of ours holds.
  Result<GatewaySvid> ForKey(const std::string& process, const Identity& identity, ByteView spki_der);

  // Whether the X.509 or WIT SVID of this identity is due. False when none is out.
  bool X509Due(const std::string& process, const SpiffeId& id) const;
  bool WitDue(const std::string& process, const SpiffeId& id) const;
  // The processes that have an X.509 or WIT SVID that has become due by the monotonic clock, each again a second later
  // while it stays due. Those that are not `wanted` are left out for good: what they ask for next is made new.
  std::vector<std::string> TakeDue(const std::function<bool(const std::string& process)>& wanted);

  // Forgets the process, its keys with it, and revokes every certificate it got.
  void Drop(const std::string& process);
  // The same for one identity of it.
  void Drop(const std::string& process, const SpiffeId& id);
  // Everything that this authority signed is due now.
  void VoidAuthority(std::string_view authority_id);

  size_t processes() const { return held_.size(); }
  uint64_t issued() const { return issued_; }

 private:
  struct Revocable {
    Bytes serial;
    WallTime not_after;
    std::string authority_id;
  };
  struct CachedToken {
    std::string token;
    Renewal renewal;
  };
  struct PerIdentity {
    std::optional<HeldX509> x509;
    std::optional<HeldWit> wit;
    std::map<std::vector<std::string>, CachedToken> tokens;
    std::vector<Revocable> revocable;  // every certificate that has not ended, also those that were replaced
  };

  Renewal RenewalFor(WallTime begin, WallTime end, std::string authority_id);
  bool Due(const Renewal& renewal, std::chrono::seconds longest) const;
  bool AnyDue(const std::string& process) const;
  Status Remember(const std::string& process, const SpiffeId& id, Bytes serial, const IssuedX509& issued);
  void Revoke(const Revocable& r);
  void RevokeAll(const PerIdentity& held);
  Status Issuing(const Identity& identity, std::string_view kind, ByteView serial, WallTime not_after) const {
    return on_issuing_ ? on_issuing_(identity, kind, serial, not_after) : Ok();
  }

  Authority& authority_;
  const Clock& clock_;
  Random& random_;
  OnIssuing on_issuing_;
  OutStore* const out_;
  std::map<std::string, std::map<SpiffeId, PerIdentity>, std::less<>> held_;
  // When to look whether something of a process is due. An entry says only that: what it was for may be replaced.
  std::set<std::pair<MonoTime, std::string>> look_at_;
  uint64_t issued_ = 0;
};

}  // namespace hexr::identity
