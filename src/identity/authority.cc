#include "identity/authority.h"

#include <algorithm>
#include <array>

#include "base/limits/identity.h"
#include "base/log.h"
#include "hexr/identity/v1/authority_state.pb.h"
#include "identity/claims.h"

namespace hexr::identity {
namespace {

using crypto::RevealToken;
using crypto::Secret;
using std::chrono::seconds;
namespace pb = ::hexr::identity::v1;

constexpr seconds kCrlLife{std::chrono::hours(24)};

WallTime FromUnix(int64_t s) { return WallTime(seconds(s)); }

// Protobuf keeps bytes in strings of its own: whatever held a key is overwritten before it is freed.
class WipedState {
 public:
  ~WipedState() {
    for (pb::SigningSlot& slot : *message.mutable_slots()) Wipe(*slot.mutable_private_key_pkcs8());
  }
  static void Wipe(std::string& s) { crypto::WipeMemory({reinterpret_cast<uint8_t*>(s.data()), s.size()}); }
  pb::AuthorityState message;
};

Result<SigningSlot> SlotFromProto(const pb::SigningSlot& in, SigningUse use, const TrustDomain& td) {
  ASSIGN_OR_RETURN(crypto::PublicKey public_key, crypto::PublicKey::FromSpki(AsBytes(in.public_key_spki())));
  SigningSlot slot{in.id(),
                   SlotState::kOld,
                   FromUnix(in.issued_at_unix()),
                   FromUnix(in.not_after_unix()),
                   FromUnix(in.retired_at_unix()),
                   in.tainted(),
                   std::move(public_key),
                   {},
                   {},
                   {}};
  if (in.state() == "prepared") slot.state = SlotState::kPrepared;
  if (in.state() == "active") slot.state = SlotState::kActive;
  for (const std::string& der : in.certificate_chain()) {
    ASSIGN_OR_RETURN(crypto::Certificate certificate, crypto::Certificate::Parse(AsBytes(der)));
    slot.certificates.push_back(std::move(certificate));
  }
  if (in.private_key_pkcs8().empty()) {
    if (slot.state != SlotState::kOld) return DataLoss("a signing key is missing");
    return slot;
  }
  ASSIGN_OR_RETURN(slot.private_key, crypto::PrivateKey::FromPkcs8(Secret::Copy(AsBytes(in.private_key_pkcs8()))));
  if (!(slot.private_key->public_key() == slot.public_key))
    return DataLoss("a signing key is another than its public half");
  if (use == SigningUse::kX509) {
    ASSIGN_OR_RETURN(slot.ca, crypto::CertificateAuthority::Load(td, *slot.private_key, slot.certificates));
  }
  return slot;
}

void SlotToProto(const SigningSlot& slot, SigningUse use, pb::SigningSlot& out) {
  out.set_use(std::string(SigningUseName(use)));
  out.set_state(std::string(SlotStateName(slot.state)));
  out.set_id(slot.id);
  out.set_issued_at_unix(ToUnixSeconds(slot.issued_at));
  out.set_not_after_unix(ToUnixSeconds(slot.not_after));
  out.set_retired_at_unix(ToUnixSeconds(slot.retired_at));
  out.set_tainted(slot.tainted);
  if (slot.private_key.has_value()) {
    const Secret key = slot.private_key->ToPkcs8();
    out.set_private_key_pkcs8(
        std::string(key.RevealText(RevealToken::For("authority key on its way to the sealed store"))));
  }
  const Bytes& spki = slot.public_key.spki();
  out.set_public_key_spki(std::string(AsText(spki)));
  for (const crypto::Certificate& c : slot.certificates) out.add_certificate_chain(std::string(AsText(c.der())));
}

}  // namespace

Authority::Authority(AuthorityOptions options, const Clock& clock, Random& random, AuthorityStore& store,
                     OnChange on_change)
    : options_(std::move(options)),
      clock_(clock),
      random_(random),
      store_(store),
      on_change_(std::move(on_change)),
      bundle_(options_.trust_domain) {
  for (const SigningUse use : {SigningUse::kX509, SigningUse::kJwt, SigningUse::kWit})
    slots_.emplace_back(use, options_.key_life);
}

Result<std::unique_ptr<Authority>> Authority::Open(AuthorityOptions options, const Clock& clock, Random& random,
                                                   AuthorityStore& store, OnChange on_change) {
  if (options.svid_ttl <= seconds(0) || options.jwt_ttl <= seconds(0) || options.key_life < 6 * options.svid_ttl ||
      options.key_life < 6 * options.jwt_ttl) {
    return InvalidArgument("a signing key has to live six times as long as what it signs");
  }
  std::unique_ptr<Authority> authority(new Authority(std::move(options), clock, random, store, std::move(on_change)));
  ASSIGN_OR_RETURN(const auto state, store.Load());
  if (state.has_value()) RETURN_IF_ERROR(authority->Restore(*state));
  authority->RebuildBundle();
  RETURN_IF_ERROR(authority->Tick());
  return authority;
}

Status Authority::Restore(const Secret& state) {
  WipedState stored;
  const ByteView bytes = state.Reveal(RevealToken::For("authority state from the sealed store"));
  if (!stored.message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return DataLoss("the authority's state cannot be read");
  }
  sequence_ = stored.message.sequence();
  crl_number_ = stored.message.crl_number();
  for (const pb::SigningSlot& in : stored.message.slots()) {
    ASSIGN_OR_RETURN(const SigningUse use, ParseSigningUse(in.use()));
    auto slot = SlotFromProto(in, use, options_.trust_domain);
    if (!slot.ok()) return DataLoss("the authority's state: " + slot.error().message());
    slots_[static_cast<size_t>(use)].Restore(std::move(*slot));
  }
  for (const pb::RevokedSerial& r : stored.message.revoked()) {
    AddRevoked(ToBytes(r.serial()),
               Revocation{r.authority(), FromUnix(r.revoked_at_unix()), FromUnix(r.not_after_unix()), r.holder()});
  }
  return Ok();
}

Secret Authority::Serialize(const std::vector<SigningSlots>& slots, uint64_t sequence) const {
  WipedState state;
  state.message.set_sequence(sequence);
  state.message.set_crl_number(crl_number_);
  for (const SigningSlots& set : slots) {
    for (const SigningSlot& slot : set.all()) SlotToProto(slot, set.use(), *state.message.add_slots());
  }
  for (const auto& [serial, revocation] : revoked_) {
    if (revocations_elsewhere_) break;
    pb::RevokedSerial& r = *state.message.add_revoked();
    r.set_serial(std::string(AsText(serial)));
    r.set_authority(revocation.authority_id);
    r.set_revoked_at_unix(ToUnixSeconds(revocation.revoked_at));
    r.set_not_after_unix(ToUnixSeconds(revocation.not_after));
    r.set_holder(revocation.holder);
  }
  return Secret::Make(state.message.ByteSizeLong(), [&state](std::span<uint8_t> out) {
    state.message.SerializeToArray(out.data(), static_cast<int>(out.size()));
  });
}

Status Authority::Commit(std::vector<SigningSlots> slots, const Change& change) {
  // Grows even when the state was lost: a consumer that saw the old numbers has to see a change.
  const uint64_t sequence =
      change.bundle ? std::max(sequence_ + 1, static_cast<uint64_t>(std::max<int64_t>(0, ToUnixSeconds(clock_.Wall()))))
                    : sequence_;
  RETURN_IF_ERROR(store_.Save(Serialize(slots, sequence)));
  slots_ = std::move(slots);
  sequence_ = sequence;
  revoked_unsaved_ = false;
  crls_stale_ = true;
  RebuildBundle();
  on_change_(change);
  return Ok();
}

void Authority::RebuildBundle() {
  bundle_ = TrustBundle(options_.trust_domain);
  for (const SigningSlots& set : slots_) {
    for (const SigningSlot& slot : set.all()) {
      if (set.use() == SigningUse::kX509) bundle_.x509_authorities.push_back(slot.certificates.front());
      if (set.use() == SigningUse::kJwt) bundle_.jwt_keys.push_back({slot.public_key, slot.id, "jwt-svid"});
      if (set.use() == SigningUse::kWit) bundle_.wit_keys.push_back({slot.public_key, slot.id, "wit-svid"});
    }
  }
  bundle_.sequence = sequence_;
}

Result<SigningSlot> Authority::MakeSlot(SigningUse use, WallTime now) {
  const crypto::KeyType type = use == SigningUse::kJwt ? options_.jwt_key : crypto::KeyType::kP256;
  crypto::PrivateKey key = crypto::PrivateKey::Generate(type);
  // Operators type the IDs of keys, and a word with `-` in front is an option: such a key is not used.
  while (crypto::Thumbprint(key.public_key()).front() == '-') key = crypto::PrivateKey::Generate(type);
  SigningSlot slot{"", SlotState::kPrepared, now, now + options_.key_life, {}, false, key.public_key(), key, {}, {}};
  if (use == SigningUse::kX509) {
    ASSIGN_OR_RETURN(slot.ca, crypto::CertificateAuthority::CreateRoot(options_.trust_domain, std::move(key), now,
                                                                       options_.key_life, random_));
    slot.certificates = {slot.ca->certificate()};
    slot.not_after = slot.ca->certificate().not_after();
    slot.id = HexEncode(slot.ca->certificate().subject_key_id());
  } else {
    slot.id = crypto::Thumbprint(slot.public_key);
  }
  return slot;
}

Status Authority::Tick() {
  const WallTime now = clock_.Wall();
  std::vector<SigningSlots> slots = slots_;
  Change change;
  bool changed = revoked_unsaved_;
  while (!revoked_until_.empty() && revoked_until_.begin()->first <= now) {
    const Bytes ended = revoked_until_.begin()->second;
    ForgetRevoked(ended);
    crls_stale_ = true;
    changed |= !revocations_elsewhere_;
  }
  std::vector<std::string> voided;
  for (SigningSlots& set : slots) {
    SigningSlots::Due due = set.WhatIsDue(now);
    // Another algorithm is configured than when this key was made.
    if (set.use() == SigningUse::kJwt && set.active() != nullptr &&
        set.active()->public_key.type() != options_.jwt_key) {
      due = SigningSlots::Due::kReplace;
    }
    if (due == SigningSlots::Due::kPrepare || due == SigningSlots::Due::kReplace) {
      ASSIGN_OR_RETURN(SigningSlot slot, MakeSlot(set.use(), now));
      Log(LogLevel::kInfo, "authority.prepared", {{"use", SigningUseName(set.use())}, {"id", slot.id}});
      set.AddPrepared(std::move(slot));
      changed = change.bundle = true;
    }
    if (due == SigningSlots::Due::kActivate || due == SigningSlots::Due::kReplace) {
      if (due == SigningSlots::Due::kReplace && set.active() != nullptr) voided.push_back(set.active()->id);
      RETURN_IF_ERROR(set.Activate(now));
      Log(LogLevel::kInfo, "authority.activated", {{"use", SigningUseName(set.use())}, {"id", set.active()->id}});
      changed = true;
    }
    const size_t published = set.all().size();
    changed |= set.Prune(now, options_.svid_ttl);
    change.bundle |= set.all().size() != published;
  }
  if (!changed) return Ok();
  RETURN_IF_ERROR(Commit(std::move(slots), change));
  for (std::string& id : voided) on_change_({false, false, std::move(id)});
  return Ok();
}

Result<const SigningSlot*> Authority::SlotForSigning(SigningUse use) {
  // A step of the clock is noticed before anything is signed, not a tick later.
  if (SlotsOf(use).WhatIsDue(clock_.Wall()) == SigningSlots::Due::kReplace) RETURN_IF_ERROR(Tick());
  const SigningSlot* slot = SlotsOf(use).active();
  if (slot == nullptr || !slot->private_key.has_value()) return Unavailable("no signing key is active");
  return slot;
}

Result<IssuedX509> Authority::IssueX509(const SpiffeId& id, const crypto::PublicKey& key, seconds ttl) {
  ASSIGN_OR_RETURN(const SigningSlot* slot, SlotForSigning(SigningUse::kX509));
  const WallTime now = clock_.Wall();
  ASSIGN_OR_RETURN(crypto::Certificate leaf,
                   slot->ca->IssueSvid({id, key, std::clamp(ttl, seconds(1), options_.svid_ttl)}, now, random_));
  if (leaf.not_after() > now + options_.svid_ttl + seconds(1) || leaf.not_after() <= now) {
    return Internal("an SVID with a wrong life was made; it is withheld");
  }
  IssuedX509 issued{{std::move(leaf)}, slot->id};
  for (crypto::Certificate& c : slot->ca->intermediates()) issued.chain.push_back(std::move(c));
  return issued;
}

Result<Authority::IssuedToken> Authority::IssueJwt(const Identity& identity, const std::vector<std::string>& audience,
                                                   seconds ttl) {
  if (audience.empty() || audience.size() > limits::kMaxAudiences)
    return InvalidArgument("a JWT-SVID has 1 to 32 audiences");
  for (const std::string& a : audience) {
    if (a.empty() || a.size() > limits::kMaxAudienceBytes || !IsUtf8(a)) {
      return InvalidArgument("an audience is empty, too long or no UTF-8");
    }
  }
  if (identity.id.trust_domain() != options_.trust_domain)
    return InvalidArgument("the ID belongs to another trust domain");
  ASSIGN_OR_RETURN(const SigningSlot* slot, SlotForSigning(SigningUse::kJwt));
  const WallTime now = std::chrono::floor<seconds>(clock_.Wall());
  const WallTime expires = std::min<WallTime>(now + std::clamp(ttl, seconds(1), options_.jwt_ttl), slot->not_after);
  std::array<uint8_t, 16> jti;
  random_.Fill(jti);
  ASSIGN_OR_RETURN(std::string token, SignJwtSvid({identity.id, audience, now, expires, Base64UrlEncode(jti),
                                                   options_.jwt_issuer, identity.assurance, identity.on_behalf_of},
                                                  slot->id, *slot->private_key));
  const FindBundle ours = [this](const TrustDomain&) { return &bundle_; };
  auto verified = VerifyJwtSvid(token, audience.front(), ours, clock_.Wall());
  if (!verified.ok() || verified->id() != identity.id)
    return Internal("a JWT-SVID that does not verify was made; it is withheld");
  return IssuedToken{std::move(token), now, expires, slot->id};
}

Result<Authority::IssuedToken> Authority::IssueWit(const Identity& identity, const crypto::PublicKey& holder,
                                                   seconds ttl) {
  if (identity.id.trust_domain() != options_.trust_domain)
    return InvalidArgument("the ID belongs to another trust domain");
  ASSIGN_OR_RETURN(const SigningSlot* slot, SlotForSigning(SigningUse::kWit));
  const WallTime now = std::chrono::floor<seconds>(clock_.Wall());
  const WallTime expires = std::min<WallTime>(now + std::clamp(ttl, seconds(1), options_.svid_ttl), slot->not_after);
  std::array<uint8_t, 16> jti;
  random_.Fill(jti);
  ASSIGN_OR_RETURN(std::string token,
                   SignWitSvid({identity.id, holder, now, expires, Base64UrlEncode(jti), identity.assurance}, slot->id,
                               *slot->private_key));
  auto verified = VerifyWitSvid(
      token, [this](const TrustDomain&) { return &bundle_; }, clock_.Wall());
  if (!verified.ok() || verified->id() != identity.id)
    return Internal("a WIT-SVID that does not verify was made; it is withheld");
  return IssuedToken{std::move(token), now, expires, slot->id};
}

bool Authority::AddRevoked(Bytes serial, Revocation revocation) {
  const auto [it, added] = revoked_.emplace(std::move(serial), std::move(revocation));
  if (!added) return false;
  revoked_until_.emplace(it->second.not_after, it->first);
  auto& of = revoked_of_[it->second.holder];
  of.emplace(it->second.not_after, it->first);
  Recount(it->second.holder, of.size() - 1, of.size());
  return true;
}

void Authority::Recount(const std::string& holder, size_t before, size_t now) {
  if (before > 0) holders_by_count_.erase({before, holder});
  if (now > 0) holders_by_count_.emplace(now, holder);
}

void Authority::ForgetRevoked(const Bytes& serial) {
  const auto it = revoked_.find(serial);
  if (it == revoked_.end()) return;
  const std::pair entry(it->second.not_after, it->first);
  revoked_until_.erase(entry);
  const auto of = revoked_of_.find(it->second.holder);
  of->second.erase(entry);
  Recount(of->first, of->second.size() + 1, of->second.size());
  if (of->second.empty()) revoked_of_.erase(of);
  revoked_.erase(it);
}

void Authority::RevokeSerial(const SpiffeId& holder, ByteView serial, WallTime not_after, std::string_view authority_id,
                             std::optional<WallTime> revoked_at) {
  const WallTime now = clock_.Wall();
  if (not_after <= now || SlotsOf(SigningUse::kX509).Find(authority_id) == nullptr) return;
  if (!AddRevoked(Bytes(serial.begin(), serial.end()),
                  {std::string(authority_id), revoked_at.value_or(now), not_after, holder.ToString()})) {
    return;
  }
  if (revoked_.size() > limits::kMaxRevocations) {
    const Bytes first = revoked_of_.at(holders_by_count_.rbegin()->second).begin()->second;
    ForgetRevoked(first);
  }
  revoked_unsaved_ = !revocations_elsewhere_;
  crls_stale_ = true;
  on_change_({false, true, ""});
}

bool Authority::IsRevoked(ByteView serial) const { return revoked_.contains(Bytes(serial.begin(), serial.end())); }

std::vector<Authority::Revoked> Authority::Revocations() const {
  std::vector<Revoked> out;
  for (const auto& [serial, r] : revoked_) {
    auto holder = SpiffeId::Parse(r.holder);
    if (holder.ok()) out.push_back({serial, std::move(*holder), r.revoked_at, r.not_after, r.authority_id});
  }
  return out;
}

Result<std::vector<Bytes>> Authority::Crls() {
  const WallTime now = clock_.Wall();
  if (!crls_stale_ && now >= crls_made_at_ && now - crls_made_at_ < kCrlRenewal) return crls_;
  std::vector<Bytes> lists;
  const uint64_t number = std::max(crl_number_ + 1, static_cast<uint64_t>(std::max<int64_t>(0, ToUnixSeconds(now))));
  for (const SigningSlot& slot : SlotsOf(SigningUse::kX509).all()) {
    if (!slot.ca.has_value()) continue;
    std::vector<crypto::RevokedCertificate> entries;
    for (const auto& [serial, r] : revoked_) {
      if (r.authority_id == slot.id && r.not_after > now) entries.push_back({serial, r.revoked_at});
    }
    if (entries.empty()) continue;
    ASSIGN_OR_RETURN(Bytes crl, slot.ca->IssueCrl(entries, now, now + kCrlLife, number));
    lists.push_back(std::move(crl));
  }
  crl_number_ = number;
  crls_ = std::move(lists);
  crls_stale_ = false;
  crls_made_at_ = now;
  return crls_;
}

Status Authority::Prepare(SigningUse use) {
  ASSIGN_OR_RETURN(SigningSlot slot, MakeSlot(use, clock_.Wall()));
  std::vector<SigningSlots> slots = slots_;
  slots[static_cast<size_t>(use)].AddPrepared(std::move(slot));
  return Commit(std::move(slots), {true, false, ""});
}

Status Authority::Activate(SigningUse use) {
  std::vector<SigningSlots> slots = slots_;
  RETURN_IF_ERROR(slots[static_cast<size_t>(use)].Activate(clock_.Wall()));
  return Commit(std::move(slots), {});
}

Status Authority::Taint(SigningUse use, std::string_view id) {
  std::vector<SigningSlots> slots = slots_;
  RETURN_IF_ERROR(slots[static_cast<size_t>(use)].Taint(id));
  return Commit(std::move(slots), {false, false, std::string(id)});
}

Status Authority::Revoke(SigningUse use, std::string_view id) {
  std::vector<SigningSlots> slots = slots_;
  RETURN_IF_ERROR(slots[static_cast<size_t>(use)].Revoke(id));
  return Commit(std::move(slots), {true, false, std::string(id)});
}

}  // namespace hexr::identity
