#include "identity/signing_slots.h"

#include <algorithm>

#include "base/limits/identity.h"

namespace hexr::identity {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

// Kept in the bundle for verifiers whose clocks are behind (SPIRE: 24 h).
constexpr hours kKeepExpired{24};
// Beyond the planned end: the clock was set back after this key had been made.
constexpr seconds kLifeSlack{60};

}  // namespace

std::string_view SigningUseName(SigningUse use) {
  switch (use) {
    case SigningUse::kX509: return "x509";
    case SigningUse::kJwt: return "jwt";
    case SigningUse::kWit: return "wit";
  }
  return "unknown";
}

Result<SigningUse> ParseSigningUse(std::string_view name) {
  for (const SigningUse use : {SigningUse::kX509, SigningUse::kJwt, SigningUse::kWit}) {
    if (name == SigningUseName(use)) return use;
  }
  return InvalidArgument("the use of a signing key is x509, jwt or wit");
}

std::string_view SlotStateName(SlotState state) {
  switch (state) {
    case SlotState::kPrepared: return "prepared";
    case SlotState::kActive: return "active";
    case SlotState::kOld: return "old";
  }
  return "unknown";
}

SigningSlots::Due SigningSlots::WhatIsDue(WallTime now) const {
  const SigningSlot* current = active();
  if (current == nullptr || now >= current->not_after || now + crypto::kNotBeforeCushion < current->issued_at ||
      current->not_after > now + life_ + kLifeSlack) {
    return Due::kReplace;
  }
  const auto left = current->not_after - now;
  const bool next_valid =
      prepared() != nullptr && now < prepared()->not_after && now + crypto::kNotBeforeCushion >= prepared()->issued_at;
  if (next_valid && left <= std::min<std::chrono::nanoseconds>(life_ / 6, hours(24 * 7))) return Due::kActivate;
  if (!next_valid && left <= std::min<std::chrono::nanoseconds>(life_ / 2, hours(24 * 30))) return Due::kPrepare;
  return Due::kNothing;
}

void SigningSlots::AddPrepared(SigningSlot slot) {
  std::erase_if(slots_, [](const SigningSlot& s) { return s.state == SlotState::kPrepared; });
  slot.state = SlotState::kPrepared;
  slots_.push_back(std::move(slot));
}

Status SigningSlots::Activate(WallTime now) {
  const auto next =
      std::find_if(slots_.begin(), slots_.end(), [](const SigningSlot& s) { return s.state == SlotState::kPrepared; });
  if (next == slots_.end()) return FailedPrecondition("no prepared key: prepare one first");
  for (SigningSlot& slot : slots_) {
    if (slot.state != SlotState::kActive) continue;
    slot.state = SlotState::kOld;
    slot.retired_at = now;
  }
  next->state = SlotState::kActive;
  return Ok();
}

Status SigningSlots::Taint(std::string_view id) {
  for (SigningSlot& slot : slots_) {
    if (slot.id != id) continue;
    if (slot.state != SlotState::kOld)
      return FailedPrecondition("only an old key can be tainted: activate another first");
    slot.tainted = true;
    return Ok();
  }
  return NotFound("no such key");
}

Status SigningSlots::Revoke(std::string_view id) {
  const SigningSlot* slot = Find(id);
  if (slot == nullptr) return NotFound("no such key");
  if (slot->state != SlotState::kOld)
    return FailedPrecondition("only an old key can be revoked: activate another first");
  std::erase_if(slots_, [id](const SigningSlot& s) { return s.id == id; });
  return Ok();
}

bool SigningSlots::Prune(WallTime now, seconds keep_private) {
  bool changed = false;
  for (SigningSlot& slot : slots_) {
    if (slot.state != SlotState::kOld || !slot.private_key.has_value()) continue;
    // A clock that was set back must not keep a retired key alive either.
    if (now < slot.retired_at + keep_private && now + crypto::kNotBeforeCushion >= slot.retired_at) continue;
    slot.private_key.reset();
    slot.ca.reset();
    changed = true;
  }
  changed |= std::erase_if(slots_, [now](const SigningSlot& s) {
               return s.state == SlotState::kOld && now > s.not_after + kKeepExpired;
             }) > 0;
  while (std::count_if(slots_.begin(), slots_.end(), [](const SigningSlot& s) { return s.state == SlotState::kOld; }) >
         static_cast<std::ptrdiff_t>(limits::kMaxOldSlots)) {
    const auto oldest = std::min_element(slots_.begin(), slots_.end(), [](const SigningSlot& a, const SigningSlot& b) {
      return std::pair(a.state != SlotState::kOld, a.retired_at) < std::pair(b.state != SlotState::kOld, b.retired_at);
    });
    slots_.erase(oldest);
    changed = true;
  }
  return changed;
}

const SigningSlot* SigningSlots::active() const {
  for (const SigningSlot& slot : slots_) {
    if (slot.state == SlotState::kActive) return &slot;
  }
  return nullptr;
}

const SigningSlot* SigningSlots::prepared() const {
  for (const SigningSlot& slot : slots_) {
    if (slot.state == SlotState::kPrepared) return &slot;
  }
  return nullptr;
}

const SigningSlot* SigningSlots::Find(std::string_view id) const {
  for (const SigningSlot& slot : slots_) {
    if (slot.id == id) return &slot;
  }
  return nullptr;
}

}  // namespace hexr::identity
