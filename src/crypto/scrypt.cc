#include "crypto/scrypt.h"

#include <bit>

#include "crypto/openssl_ptr.h"

namespace hexr::crypto {

Result<Secret> Scrypt(const Secret& passphrase, ByteView salt, const ScryptCost& cost, size_t size) {
  constexpr uint64_t kMaxMemory = 1U << 30;
  if (!std::has_single_bit(cost.n) || cost.n < 2 || cost.n > 1U << 22 || cost.r == 0 || cost.r > 32 || cost.p == 0 ||
      cost.p > 16 || 128 * cost.n * cost.r > kMaxMemory || size == 0) {
    return InvalidArgument("scrypt: a cost out of range");
  }
  const std::string_view text = passphrase.RevealText(RevealToken::For("scrypt passphrase"));
  bool good = false;
  Secret key = Secret::Make(size, [&](std::span<uint8_t> out) {
    good = EVP_PBE_scrypt(text.data(), text.size(), salt.data(), salt.size(), cost.n, cost.r, cost.p,
                          kMaxMemory + (1U << 20), out.data(), out.size()) == 1;
  });
  if (!good) return OpenSslError(ErrorCode::kResourceExhausted, "scrypt");
  return key;
}

}  // namespace hexr::crypto
