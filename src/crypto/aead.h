// Authenticated encryption: XAES-256-GCM (C2SP XAES-256-GCM, built from AES-256-GCM and AES-CMAC as in NIST SP
// 800-108), whose 24-byte random nonces leave no message count to keep. Keys are immutable: thread-safe.
//
// Envelope v1:  version (0x01) | key id, 8 bytes | nonce, 24 bytes | ciphertext | tag, 16 bytes
// Version and key id are authenticated together with the caller's context.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/random.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace hexr::crypto {

class AeadKey {
 public:
  static constexpr size_t kKeyBytes = 32;
  static constexpr size_t kOverheadBytes = 1 + 8 + 24 + 16;  // envelope minus plaintext

  static AeadKey Generate(Random& random);
  // 32 bytes, else INVALID_ARGUMENT.
  static Result<AeadKey> FromSecret(Secret key);

  // `context` names what the plaintext is and where it belongs ("vault/tenant/name/3"): an envelope opens nowhere else.
  Bytes Seal(ByteView plaintext, std::string_view context, Random& random) const;
  Bytes Seal(const Secret& plaintext, std::string_view context, Random& random) const;
  // FAILED_PRECONDITION: sealed under another key. DATA_LOSS: changed, cut, or sealed for another context.
  // UNIMPLEMENTED: an envelope of a later version.
  Result<Secret> Open(ByteView envelope, std::string_view context) const;

  // Eight bytes that tell keys apart and say nothing about them.
  const std::array<uint8_t, 8>& key_id() const { return key_id_; }
  // For wrapping this key under another one.
  const Secret& key() const { return key_; }

 private:
  explicit AeadKey(Secret key);

  Secret key_;
  std::array<uint8_t, 8> key_id_;
};

// The bare construction, for test vectors and other formats: `nonce` has 24 bytes, `out` is the plaintext and 16 bytes.
void XaesSeal(const Secret& key, ByteView nonce, ByteView plaintext, ByteView aad, std::span<uint8_t> out);
// `out` is the ciphertext less 16 bytes. False, and zeroes in `out`, unless it is authentic.
[[nodiscard]] bool XaesOpen(const Secret& key, ByteView nonce, ByteView ciphertext, ByteView aad,
                            std::span<uint8_t> out);

}  // namespace hexr::crypto
