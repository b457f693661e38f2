// AES-256-GCM over a row of messages whose nonces are a counter (NIST SP 800-38D 8.2.1): for files that one writer
// appends to. One key, one stream: the key must never have sealed anything else. A stream belongs to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"

struct evp_cipher_ctx_st;

namespace hexr::crypto {

class AeadStream {
 public:
  static constexpr size_t kKeyBytes = 32;
  static constexpr size_t kTagBytes = 16;

  // 32 bytes, else INVALID_ARGUMENT.
  static Result<AeadStream> ForSealing(const Secret& key);
  static Result<AeadStream> ForOpening(const Secret& key);
  ~AeadStream();
  AeadStream(AeadStream&&) noexcept;
  AeadStream& operator=(AeadStream&&) noexcept;

  // `out` has the plaintext's size and 16 bytes more. The counter must be greater than the last one: a nonce that is
  // used twice would give the key away, so that is a check.
  void Seal(uint64_t counter, ByteView aad, ByteView plaintext, std::span<uint8_t> out);
  // `out` is 16 bytes shorter than the ciphertext. False, and zeroes in `out`, unless it is authentic.
  [[nodiscard]] bool Open(uint64_t counter, ByteView aad, ByteView ciphertext, std::span<uint8_t> out);

 private:
  struct Free {
    void operator()(evp_cipher_ctx_st* p) const noexcept;
  };
  explicit AeadStream(evp_cipher_ctx_st* ctx) : ctx_(ctx) {}
  static Result<AeadStream> Make(const Secret& key, int encrypt);

  std::unique_ptr<evp_cipher_ctx_st, Free> ctx_;
  uint64_t next_ = 0;
};

}  // namespace hexr::crypto
