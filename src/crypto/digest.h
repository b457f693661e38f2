// SHA-256, HMAC-SHA256, HKDF-SHA256 and comparison in constant time. Thread-safe functions; a hasher belongs to one
// thread at a time. Sources: FIPS 180-4, RFC 2104, RFC 5869.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "crypto/secret.h"

struct evp_md_ctx_st;

namespace hexr::crypto {

using Sha256Digest = std::array<uint8_t, 32>;

Sha256Digest Sha256(ByteView data);
// Of the parts one after the other, without joining them: Sha256({prefix, body}). No length is mixed in.
Sha256Digest Sha256(std::initializer_list<ByteView> parts);
inline Sha256Digest Sha256(std::string_view text) { return Sha256(AsBytes(text)); }

// For data that arrives in pieces. Update…, then Finish once: the hasher is fresh again afterwards.
class Sha256Hasher {
 public:
  Sha256Hasher();
  ~Sha256Hasher();
  Sha256Hasher(Sha256Hasher&&) noexcept;
  Sha256Hasher& operator=(Sha256Hasher&&) noexcept;

  Sha256Hasher& Update(ByteView data);
  Sha256Hasher& Update(std::string_view text) { return Update(AsBytes(text)); }
  Sha256Digest Finish();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* p) const noexcept;
  };
  std::unique_ptr<evp_md_ctx_st, Free> ctx_;
};

Sha256Digest HmacSha256(ByteView key, ByteView data);

// HKDF (extract, then expand) to `size` bytes, 1 to 8,160. `info` names the purpose: one key, one purpose.
Secret HkdfSha256(const Secret& key, ByteView salt, std::string_view info, size_t size);

}  // namespace hexr::crypto
