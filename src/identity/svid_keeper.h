// The SVIDs that are out: one key and one certificate for each identity of each process, never shared between two.
//
// Renewed at half their life, 10 % sooner or later so that a node's SVIDs do not all fall due at once; replaced at once
// when the clock was stepped or the authority behind them is void; revoked when the process ends. Belongs to one loop.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/limits/identity.h"
#include "base/random.h"
#include "base/result.h"
#include "base/unique_function.h"
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
// certificate's, empty for tokens. `done` runs once, on the loop: inside the call, or when the disk has it.
using OnIssuing = std::function<void(const Identity& identity, std::string_view kind, ByteView serial,
                                     WallTime not_after, UniqueFunction<void(Status)> done)>;

// A certificate that is out.
struct OutCertificate {
  std::string process;
  SpiffeId id;
  Bytes serial;
  WallTime not_after;
  std::string authority_id;
  std::optional<InstanceId> instance = {};  // that the process is, or is a part of
  bool revoked = false;
  std::optional<WallTime> revoked_at = {};
};

// Where certificates that are out are remembered beyond the life of this process: what a predecessor issued has to be
// revoked when its holder ends, too.
class OutStore {
 public:
  virtual ~OutStore() = default;
  // Before it leaves: an error keeps it back.
  virtual Status Add(const OutCertificate& certificate) = 0;
  virtual Status Revoked(ByteView serial, WallTime at) = 0;
  // What a predecessor left and has not ended.
  virtual Result<std::vector<OutCertificate>> Load() = 0;
};

class SvidKeeper {
 public:
  // Hears of each process for which Waiting was true and is so no longer.
  using OnRecorded = std::function<void(const std::string& process)>;

  SvidKeeper(Authority& authority, const Clock& clock, Random& random, OnIssuing on_issuing = {},
             OutStore* out = nullptr, OnRecorded on_recorded = {})
      : authority_(authority),
        clock_(clock),
        random_(random),
        on_issuing_(std::move(on_issuing)),
        on_recorded_(std::move(on_recorded)),
        out_(out),
        self_(std::make_shared<SvidKeeper*>(this)) {}

  // Takes up what a predecessor issued: each is revoked with its process, as if this object had issued it. The
  // processes. What is revoked is with the OutStore from then on, and leaves the authority's state.
  Result<std::vector<std::string>> TakeUp();

  // `process` names the holder: an instance's ID, or a matched process. All results are valid until the next call for
  // the same process. Errors are those of Authority, and RESOURCE_EXHAUSTED for a certificate beyond
  // limits::kMaxLiveCertificates or limits::kMaxCertificatesPerInstance, unless it takes the place of one that is due.
  // UNAVAILABLE while Waiting: asked again afterwards, the answer is there, or it could not be recorded and is void.
  Result<const HeldX509*> X509(const std::string& process, const Identity& identity, std::chrono::seconds ttl);
  Result<const HeldWit*> Wit(const std::string& process, const Identity& identity, std::chrono::seconds ttl);
  // One token for each set of audiences, minted anew at half its life; at most limits::kMaxCachedTokens of a process
  // are kept.
  Result<std::string> Jwt(const std::string& process, const Identity& identity,
                          const std::vector<std::string>& audience, std::chrono::seconds ttl);
  // A second certificate of the same ID for a key that another process of ours holds.
  // `done` runs once, inside the call or when it is on record.
  void ForKey(const std::string& process, const Identity& identity, ByteView spki_der,
              UniqueFunction<void(Result<GatewaySvid>)> done);
  // Whether something that was signed for this process is on its way to the disk.
  bool Waiting(std::string_view process) const { return unrecorded_.contains(process); }

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
  // The instance has ended: it gets nothing more, and what it had is counted no longer.
  void Forget(const InstanceId& instance) { accounts_.erase(instance); }
  // The same for all that a predecessor knew and nobody has heard of since.
  void ForgetAllBut(const std::function<bool(const InstanceId&)>& lives) {
    std::erase_if(accounts_, [&lives](const auto& a) { return !lives(a.first); });
  }
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
    std::optional<Renewal> for_key;  // of the last certificate for a key of the gateway's
    std::optional<HeldWit> wit;
    std::map<std::vector<std::string>, CachedToken> tokens;
    std::vector<Revocable> revocable;  // every certificate that has not ended, also those that were replaced
    std::optional<InstanceId> instance;
  };
  // What one instance has, over all its processes, so that no loop of children, execs or sub-identities fills the
  // revocation list.
  struct Account {
    std::vector<WallTime> ends;                             // of certificates that have not ended, revoked ones too
    std::map<SpiffeId, std::map<std::string, int>> places;  // where each identity has a current one: process, keys
  };

  Renewal RenewalFor(WallTime begin, WallTime end, std::string authority_id);
  bool Due(const Renewal& renewal, std::chrono::seconds longest) const;
  bool AnyDue(const std::string& process) const;
  // What a certificate is asked for: a key that had none, one that comes in the place of another, one that is due.
  enum class Ask : uint8_t { kMore, kAnother, kRenewal };
  // Whether there is room for it, before it is made.
  Status Admit(const std::string& process, const Identity& identity, Ask ask);
  Status Remember(const std::string& process, const Identity& identity, Bytes serial, const IssuedX509& issued,
                  Ask ask);
  Status MoveRevocations(const std::vector<OutCertificate>& known);
  void Revoke(const SpiffeId& id, const Revocable& r);
  void RevokeAll(const std::string& process, const SpiffeId& id, const PerIdentity& held);
  struct Unrecorded {
    size_t count = 0;
    Status status;
    std::vector<UniqueFunction<void(Status)>> waiting;
  };
  Status Issuing(const std::string& process, const Identity& identity, std::string_view kind, ByteView serial,
                 WallTime not_after);
  void Recorded(const std::string& process, const Status& status);
  Result<GatewaySvid> MakeForKey(const std::string& process, const Identity& identity, ByteView spki_der);
  // Nothing of a process leaves while something of it is not on record.
  Status CheckRecorded(const std::string& process) const {
    return Waiting(process) ? Status(Unavailable("this is being recorded: ask again")) : Ok();
  }

  Authority& authority_;
  const Clock& clock_;
  Random& random_;
  OnIssuing on_issuing_;
  OnRecorded on_recorded_;
  OutStore* const out_;
  std::map<std::string, std::map<SpiffeId, PerIdentity>, std::less<>> held_;
  // When to look whether something of a process is due. An entry says only that: what it was for may be replaced.
  std::set<std::pair<MonoTime, std::string>> look_at_;
  std::map<InstanceId, Account> accounts_;
  std::map<std::string, Unrecorded, std::less<>> unrecorded_;
  std::shared_ptr<SvidKeeper*> self_;  // what waits for a disk holds it weakly
  uint64_t issued_ = 0;
};

}  // namespace hexr::identity
