#include "identity/svid_keeper.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/limits/identity.h"
#include "base/log.h"
#include "identity/private_jwk.h"

namespace hexr::identity {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;
constexpr seconds kClockSlack{60};

}  // namespace

Renewal SvidKeeper::RenewalFor(WallTime begin, WallTime end, std::string authority_id) {
  // Half the life, give or take a tenth of that half.
  const nanoseconds half = (end - begin) / 2;
  const nanoseconds jittered = half * static_cast<int64_t>(900 + random_.Below(201)) / 1000;
  const WallTime at = begin + jittered;
  const nanoseconds wait = std::max<nanoseconds>(at - clock_.Wall(), nanoseconds(0));
  return {end, at, clock_.Mono() + wait, std::move(authority_id), false};
}

bool SvidKeeper::Due(const Renewal& renewal, seconds longest) const {
  const WallTime now = clock_.Wall();
  // The last case: the clock was set back, and what was issued before would now live longer than anything may.
  return renewal.forced || now >= renewal.at || clock_.Mono() >= renewal.at_mono ||
         renewal.not_after > now + longest + kClockSlack;
}

// What an authority of an earlier release has in its state alone.
Status SvidKeeper::MoveRevocations(const std::vector<OutCertificate>& known) {
  std::set<Bytes> there;
  for (const OutCertificate& c : known) there.insert(c.serial);
  for (Authority::Revoked& r : authority_.Revocations()) {
    if (!there.contains(r.serial))
      RETURN_IF_ERROR(out_->Add({"revoked", std::move(r.holder), r.serial, r.not_after, std::move(r.authority_id)}));
    RETURN_IF_ERROR(out_->Revoked(r.serial, r.revoked_at));
  }
  authority_.RevocationsAreKeptElsewhere();
  return Ok();
}

Result<std::vector<std::string>> SvidKeeper::TakeUp() {
  std::vector<std::string> processes;
  if (out_ == nullptr) return processes;
  ASSIGN_OR_RETURN(std::vector<OutCertificate> certificates, out_->Load());
  RETURN_IF_ERROR(MoveRevocations(certificates));
  for (OutCertificate& c : certificates) {
    if (c.instance) accounts_[*c.instance].ends.push_back(c.not_after);
    if (c.revoked) {
      authority_.RevokeSerial(c.id, c.serial, c.not_after, c.authority_id, c.revoked_at);
      continue;
    }
    auto& held = held_[c.process].try_emplace(c.id).first->second;
    held.revocable.push_back({std::move(c.serial), c.not_after, std::move(c.authority_id)});
    if (processes.empty() || processes.back() != c.process) processes.push_back(std::move(c.process));
  }
  return processes;
}

Status SvidKeeper::Admit(const std::string& process, const Identity& identity, Ask ask) {
  const WallTime now = clock_.Wall();
  PerIdentity& held = held_[process].try_emplace(identity.id).first->second;
  std::erase_if(held.revocable, [now](const Revocable& r) { return r.not_after <= now; });
  Account* const account = identity.instance ? &accounts_[*identity.instance] : nullptr;
  if (account != nullptr) std::erase_if(account->ends, [now](WallTime end) { return end <= now; });
  // At half a life each place takes one more, and no agent brings that about: it never runs out of what it has.
  if (ask == Ask::kRenewal) return Ok();
  if (held.revocable.size() >= limits::kMaxLiveCertificates) {
    return ResourceExhausted("this process has had " + std::to_string(limits::kMaxLiveCertificates) +
                             " certificates that are still valid: use the last one, or ask again when one has ended");
  }
  if (account == nullptr) return Ok();
  size_t current = 0;
  if (const auto places = account->places.find(identity.id); places != account->places.end()) {
    for (const auto& [name, keys] : places->second) current += static_cast<size_t>(keys);
  }
  if (ask == Ask::kMore && current >= limits::kMaxLiveCertificates) {
    return ResourceExhausted("the processes of this instance hold " + std::to_string(limits::kMaxLiveCertificates) +
                             " certificates: end one of them, or let them share a connection to one that has its own");
  }
  if (account->ends.size() >= limits::kMaxCertificatesPerInstance) {
    return ResourceExhausted("this instance has had " + std::to_string(limits::kMaxCertificatesPerInstance) +
                             " certificates that have not ended yet: ask again in some minutes");
  }
  return Ok();
}

Status SvidKeeper::Remember(const std::string& process, const Identity& identity, Bytes serial,
                            const IssuedX509& issued, Ask ask) {
  if (out_ != nullptr) {
    RETURN_IF_ERROR(
        out_->Add({process, identity.id, serial, issued.not_after(), issued.authority_id, identity.instance}));
  }
  PerIdentity& held = held_[process].try_emplace(identity.id).first->second;
  held.revocable.push_back({std::move(serial), issued.not_after(), issued.authority_id});
  held.instance = identity.instance;
  if (identity.instance) {
    Account& account = accounts_[*identity.instance];
    account.ends.push_back(issued.not_after());
    if (ask == Ask::kMore) ++account.places[identity.id][process];
  }
  ++issued_;
  return Ok();
}

void SvidKeeper::Revoke(const SpiffeId& id, const Revocable& r) {
  authority_.RevokeSerial(id, r.serial, r.not_after, r.authority_id);
  if (out_ == nullptr) return;
  if (const Status s = out_->Revoked(r.serial, clock_.Wall()); !s.ok())
    Log(LogLevel::kError, "svid.revocation", {{"error", s.error()}});
}

Result<const HeldX509*> SvidKeeper::X509(const std::string& process, const Identity& identity, seconds ttl) {
  PerIdentity& held = held_[process].try_emplace(identity.id).first->second;
  if (held.x509.has_value() && !Due(held.x509->renewal, authority_.options().svid_ttl)) {
    RETURN_IF_ERROR(CheckRecorded(process));
    return &*held.x509;
  }
  const Ask ask = held.x509.has_value() ? Ask::kRenewal : Ask::kMore;
  RETURN_IF_ERROR(Admit(process, identity, ask));
  const crypto::PrivateKey key = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
  ASSIGN_OR_RETURN(const IssuedX509 issued, authority_.IssueX509(identity.id, key.public_key(), ttl));
  const ByteView serial = issued.chain.front().serial();
  Bytes serial_copy(serial.begin(), serial.end());
  RETURN_IF_ERROR(Issuing(process, identity, "x509", serial, issued.not_after()));
  RETURN_IF_ERROR(Remember(process, identity, serial_copy, issued, ask));
  held.x509 = HeldX509{crypto::EncodeChain(issued.chain), key.ToPkcs8(), std::move(serial_copy),
                       RenewalFor(issued.not_before(), issued.not_after(), issued.authority_id)};
  look_at_.emplace(held.x509->renewal.at_mono, process);
  RETURN_IF_ERROR(CheckRecorded(process));
  return &*held.x509;
}

Result<const HeldWit*> SvidKeeper::Wit(const std::string& process, const Identity& identity, seconds ttl) {
  PerIdentity& held = held_[process].try_emplace(identity.id).first->second;
  if (held.wit.has_value() && !Due(held.wit->renewal, authority_.options().svid_ttl)) {
    RETURN_IF_ERROR(CheckRecorded(process));
    return &*held.wit;
  }
  const crypto::PrivateKey key = crypto::PrivateKey::Generate(crypto::KeyType::kP256);
  ASSIGN_OR_RETURN(Authority::IssuedToken issued, authority_.IssueWit(identity, key.public_key(), ttl));
  ASSIGN_OR_RETURN(crypto::Secret jwk, PrivateJwk(key));
  RETURN_IF_ERROR(Issuing(process, identity, "wit", {}, issued.expires_at));
  held.wit = HeldWit{std::move(issued.token), std::move(jwk),
                     RenewalFor(issued.issued_at, issued.expires_at, issued.authority_id)};
  look_at_.emplace(held.wit->renewal.at_mono, process);
  RETURN_IF_ERROR(CheckRecorded(process));
  return &*held.wit;
}

Result<std::string> SvidKeeper::Jwt(const std::string& process, const Identity& identity,
                                    const std::vector<std::string>& audience, seconds ttl) {
  std::vector<std::string> key = audience;
  std::sort(key.begin(), key.end());
  key.erase(std::unique(key.begin(), key.end()), key.end());
  PerIdentity& held = held_[process].try_emplace(identity.id).first->second;
  const auto it = held.tokens.find(key);
  if (it != held.tokens.end() && !Due(it->second.renewal, authority_.options().jwt_ttl)) {
    RETURN_IF_ERROR(CheckRecorded(process));
    return it->second.token;
  }
  ASSIGN_OR_RETURN(Authority::IssuedToken issued, authority_.IssueJwt(identity, key, ttl));
  RETURN_IF_ERROR(Issuing(process, identity, "jwt", {}, issued.expires_at));
  if (it == held.tokens.end() && held.tokens.size() >= limits::kMaxCachedTokens) {
    held.tokens.erase(std::min_element(held.tokens.begin(), held.tokens.end(), [](const auto& a, const auto& b) {
      return a.second.renewal.not_after < b.second.renewal.not_after;
    }));
  }
  held.tokens.insert_or_assign(
      std::move(key), CachedToken{issued.token, RenewalFor(issued.issued_at, issued.expires_at, issued.authority_id)});
  RETURN_IF_ERROR(CheckRecorded(process));
  return issued.token;
}

void SvidKeeper::ForKey(const std::string& process, const Identity& identity, ByteView spki_der,
                        UniqueFunction<void(Result<GatewaySvid>)> done) {
  auto svid = MakeForKey(process, identity, spki_der);
  const auto it = unrecorded_.find(process);
  if (!svid.ok() || it == unrecorded_.end()) return done(std::move(svid));
  it->second.waiting.push_back([svid = std::move(svid), done = std::move(done)](const Status& recorded) mutable {
    done(recorded.ok() ? std::move(svid) : Result<GatewaySvid>(recorded.error()));
  });
}

Status SvidKeeper::Issuing(const std::string& process, const Identity& identity, std::string_view kind, ByteView serial,
                           WallTime not_after) {
  if (!on_issuing_) return Ok();
  struct Call {
    bool asking = true;
    std::optional<Status> now;
  };
  const auto call = std::make_shared<Call>();
  on_issuing_(identity, kind, serial, not_after,
              [weak = std::weak_ptr<SvidKeeper*>(self_), process, call](const Status& s) {
                if (call->asking) {
                  call->now = s;
                } else if (const auto self = weak.lock()) {
                  (*self)->Recorded(process, s);
                }
              });
  call->asking = false;
  if (call->now) return *call->now;
  ++unrecorded_[process].count;
  return Ok();
}

void SvidKeeper::Recorded(const std::string& process, const Status& status) {
  const auto it = unrecorded_.find(process);
  if (it == unrecorded_.end()) return;
  if (!status.ok()) it->second.status = status;
  if (--it->second.count > 0) return;
  auto node = unrecorded_.extract(it);
  Unrecorded& over = node.mapped();
  // It never left, and never will.
  if (!over.status.ok()) Drop(process);
  for (auto& waiting : over.waiting) waiting(over.status);
  if (on_recorded_) on_recorded_(process);
}

Result<GatewaySvid> SvidKeeper::MakeForKey(const std::string& process, const Identity& identity, ByteView spki_der) {
  ASSIGN_OR_RETURN(const crypto::PublicKey key, crypto::PublicKey::FromSpki(spki_der));
  PerIdentity& held = held_[process].try_emplace(identity.id).first->second;
  // A key that comes before its time has the place of the one before: a gateway that started again has lost that one.
  Ask ask = Ask::kMore;
  if (held.for_key) ask = Due(*held.for_key, authority_.options().svid_ttl) ? Ask::kRenewal : Ask::kAnother;
  RETURN_IF_ERROR(Admit(process, identity, ask));
  ASSIGN_OR_RETURN(const IssuedX509 issued, authority_.IssueX509(identity.id, key, authority_.options().svid_ttl));
  const ByteView serial = issued.chain.front().serial();
  RETURN_IF_ERROR(Issuing(process, identity, "x509", serial, issued.not_after()));
  RETURN_IF_ERROR(Remember(process, identity, Bytes(serial.begin(), serial.end()), issued, ask));
  held.for_key = RenewalFor(issued.not_before(), issued.not_after(), issued.authority_id);
  GatewaySvid svid{{}, issued.not_after()};
  for (const crypto::Certificate& c : issued.chain) svid.chain_der.push_back(c.der());
  return svid;
}

bool SvidKeeper::X509Due(const std::string& process, const SpiffeId& id) const {
  const auto p = held_.find(process);
  if (p == held_.end()) return false;
  const auto i = p->second.find(id);
  return i != p->second.end() && i->second.x509.has_value() &&
         Due(i->second.x509->renewal, authority_.options().svid_ttl);
}

bool SvidKeeper::WitDue(const std::string& process, const SpiffeId& id) const {
  const auto p = held_.find(process);
  if (p == held_.end()) return false;
  const auto i = p->second.find(id);
  return i != p->second.end() && i->second.wit.has_value() &&
         Due(i->second.wit->renewal, authority_.options().svid_ttl);
}

bool SvidKeeper::AnyDue(const std::string& process) const {
  const auto p = held_.find(process);
  if (p == held_.end()) return false;
  const seconds ttl = authority_.options().svid_ttl;
  return std::ranges::any_of(p->second, [&](const auto& of) {
    const PerIdentity& held = of.second;
    return (held.x509 && Due(held.x509->renewal, ttl)) || (held.wit && Due(held.wit->renewal, ttl));
  });
}

std::vector<std::string> SvidKeeper::TakeDue(const std::function<bool(const std::string&)>& wanted) {
  std::set<std::string> due;
  const MonoTime now = clock_.Mono();
  while (!look_at_.empty() && look_at_.begin()->first <= now) {
    std::string process = look_at_.extract(look_at_.begin()).value().second;
    if (wanted(process) && AnyDue(process)) due.insert(std::move(process));
  }
  // A key that cannot be saved now may be saved in a second.
  for (const std::string& process : due) look_at_.emplace(now + seconds(1), process);
  return {due.begin(), due.end()};
}

void SvidKeeper::RevokeAll(const std::string& process, const SpiffeId& id, const PerIdentity& held) {
  for (const Revocable& r : held.revocable) Revoke(id, r);
  const auto account = held.instance ? accounts_.find(*held.instance) : accounts_.end();
  if (account == accounts_.end()) return;
  const auto places = account->second.places.find(id);
  if (places == account->second.places.end()) return;
  places->second.erase(process);
  if (places->second.empty()) account->second.places.erase(places);
}

void SvidKeeper::Drop(const std::string& process) {
  const auto it = held_.find(process);
  if (it == held_.end()) return;
  // Out of the table first: revoking tells others, and they may ask about this process.
  const auto identities = std::move(it->second);
  held_.erase(it);
  for (const auto& [id, held] : identities) RevokeAll(process, id, held);
}

void SvidKeeper::Drop(const std::string& process, const SpiffeId& id) {
  const auto it = held_.find(process);
  if (it == held_.end()) return;
  auto node = it->second.extract(id);
  if (it->second.empty()) held_.erase(it);
  if (!node.empty()) RevokeAll(process, id, node.mapped());
}

void SvidKeeper::VoidAuthority(std::string_view authority_id) {
  for (auto& [process, identities] : held_) {
    for (auto& [id, held] : identities) {
      if (held.x509.has_value() && held.x509->renewal.authority_id == authority_id) held.x509->renewal.forced = true;
      if (held.for_key.has_value() && held.for_key->authority_id == authority_id) held.for_key->forced = true;
      if (held.wit.has_value() && held.wit->renewal.authority_id == authority_id) held.wit->renewal.forced = true;
      std::erase_if(held.tokens,
                    [authority_id](const auto& t) { return t.second.renewal.authority_id == authority_id; });
    }
  }
}

}  // namespace hexr::identity
