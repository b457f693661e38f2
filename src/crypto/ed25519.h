// Ed25519 signatures (RFC 8032). Keys are immutable: thread-safe.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "crypto/secret.h"

struct evp_pkey_st;

namespace hexr::crypto {

using Ed25519Signature = std::array<uint8_t, 64>;

class Ed25519PublicKey {
 public:
  // 32 bytes, else INVALID_ARGUMENT. That they are a point of the curve shows at Verify, which is then false.
  static Result<Ed25519PublicKey> FromBytes(ByteView raw);
  const std::array<uint8_t, 32>& bytes() const { return bytes_; }
  [[nodiscard]] bool Verify(ByteView message, ByteView signature) const;
  auto operator<=>(const Ed25519PublicKey&) const = default;

 private:
  friend class Ed25519PrivateKey;
  explicit Ed25519PublicKey(const std::array<uint8_t, 32>& bytes) : bytes_(bytes) {}
  std::array<uint8_t, 32> bytes_;
};

class Ed25519PrivateKey {
 public:
  static Ed25519PrivateKey Generate(Random& random);
  // The seed of RFC 8032 5.1.5: 32 bytes, else INVALID_ARGUMENT.
  static Result<Ed25519PrivateKey> FromSeed(const Secret& seed);

  Secret Seed() const { return seed_.Clone(); }
  const Ed25519PublicKey& public_key() const { return public_key_; }
  Ed25519Signature Sign(ByteView message) const;

 private:
  struct Free {
    void operator()(evp_pkey_st* p) const noexcept;
  };
  Ed25519PrivateKey(Secret seed, evp_pkey_st* key, const Ed25519PublicKey& public_key);

  Secret seed_;
  std::unique_ptr<evp_pkey_st, Free> key_;
  Ed25519PublicKey public_key_;
};

}  // namespace hexr::crypto
