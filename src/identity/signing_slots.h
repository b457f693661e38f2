// The life of the signing keys of one use: prepared, active, old. Pure bookkeeping over injected time, no I/O; what has
// to happen is decided here, making keys and saving them is the caller's (authority.h). Belongs to one thread.
//
// A key is published in the bundle while it is prepared, so that everyone knows it before it signs; signs while it is
// active; and stays published while it is old, for what it has signed. SPIRE's thresholds: the next key is prepared
// when min(life/2, 30 days) are left of the active one, and takes over when min(life/6, 7 days) are left.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/limits/identity.h"
#include "crypto/authority.h"
#include "crypto/keys.h"

namespace hexr::identity {

enum class SigningUse : uint8_t { kX509, kJwt, kWit };
std::string_view SigningUseName(SigningUse use);
Result<SigningUse> ParseSigningUse(std::string_view name);

enum class SlotState : uint8_t { kPrepared, kActive, kOld };
std::string_view SlotStateName(SlotState state);

struct SigningSlot {
  std::string id;  // key ID of tokens; of X.509 authorities their subject key ID in hex
  SlotState state = SlotState::kPrepared;
  WallTime issued_at;
  WallTime not_after;
  WallTime retired_at{};  // old only
  bool tainted = false;
  crypto::PublicKey public_key;
  std::optional<crypto::PrivateKey> private_key;   // destroyed some time after retirement
  std::optional<crypto::CertificateAuthority> ca;  // x509 with a private key
  std::vector<crypto::Certificate> certificates;   // x509: own certificate first
};

class SigningSlots {
 public:
  SigningSlots(SigningUse use, std::chrono::seconds life) : use_(use), life_(life) {}

  enum class Due : uint8_t {
    kNothing,
    kPrepare,   // make a key and Add it
    kActivate,  // the prepared key takes over
    kReplace,   // nothing can sign at this moment: make a key and activate it at once
  };
  // What the clock asks for. Also after a step of the clock: an active key that is not valid yet, or would be valid for
  // longer than a key may live, is replaced like one that has run out.
  Due WhatIsDue(WallTime now) const;

  // A new prepared slot. There is at most one: it replaces an earlier one.
  void AddPrepared(SigningSlot slot);
  // FAILED_PRECONDITION without a prepared slot.
  Status Activate(WallTime now);
  // Marks an old slot as not to be trusted for long: what it signed is to be replaced now. FAILED_PRECONDITION for the
  // active one (activate another first), NOT_FOUND.
  Status Taint(std::string_view id);
  // Takes an old slot out of the bundle: what it signed is void. Errors as Taint.
  Status Revoke(std::string_view id);
  // Destroys private keys that have been old for `keep`, and forgets slots that ran out a day ago, or the oldest beyond
  // limits::kMaxOldSlots. Returns whether anything changed.
  bool Prune(WallTime now, std::chrono::seconds keep_private);

  const SigningSlot* active() const;
  const SigningSlot* prepared() const;
  const SigningSlot* Find(std::string_view id) const;
  const std::vector<SigningSlot>& all() const { return slots_; }
  SigningUse use() const { return use_; }
  std::chrono::seconds life() const { return life_; }
  // From storage, in any order.
  void Restore(SigningSlot slot) { slots_.push_back(std::move(slot)); }

 private:
  SigningUse use_;
  std::chrono::seconds life_;
  std::vector<SigningSlot> slots_;
};

}  // namespace hexr::identity
