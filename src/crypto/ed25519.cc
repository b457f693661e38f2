#include "crypto/ed25519.h"

#include <algorithm>

#include "base/check.h"
#include "crypto/openssl_ptr.h"

namespace hexr::crypto {
namespace {
constexpr size_t kKeyBytes = 32;
}  // namespace

Result<Ed25519PublicKey> Ed25519PublicKey::FromBytes(ByteView raw) {
  if (raw.size() != kKeyBytes) return InvalidArgument("Ed25519 public key: 32 bytes");
  std::array<uint8_t, kKeyBytes> bytes;
  std::ranges::copy(raw, bytes.begin());
  return Ed25519PublicKey(bytes);
}

bool Ed25519PublicKey::Verify(ByteView message, ByteView signature) const {
  const PkeyPtr key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_.data(), bytes_.size()));
  const MdCtxPtr ctx(EVP_MD_CTX_new());
  const bool good =
      signature.size() == sizeof(Ed25519Signature) && key != nullptr && ctx != nullptr &&
      EVP_DigestVerifyInit(ctx.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
      EVP_DigestVerify(ctx.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
  if (!good) ERR_clear_error();
  return good;
}

void Ed25519PrivateKey::Free::operator()(evp_pkey_st* p) const noexcept { EVP_PKEY_free(p); }

Ed25519PrivateKey::Ed25519PrivateKey(Secret seed, evp_pkey_st* key, const Ed25519PublicKey& public_key)
    : seed_(std::move(seed)), key_(key), public_key_(public_key) {}

Ed25519PrivateKey Ed25519PrivateKey::Generate(Random& random) {
  return FromSeed(Secret::Random(kKeyBytes, random)).value();  // every 32 bytes are a seed
}

Result<Ed25519PrivateKey> Ed25519PrivateKey::FromSeed(const Secret& seed) {
  if (seed.size() != kKeyBytes) return InvalidArgument("Ed25519 seed: 32 bytes");
  const ByteView raw = seed.Reveal(RevealToken::For("Ed25519 signing key"));
  PkeyPtr key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, raw.data(), raw.size()));
  std::array<uint8_t, kKeyBytes> pub;
  size_t size = pub.size();
  if (key == nullptr || EVP_PKEY_get_raw_public_key(key.get(), pub.data(), &size) != 1) {
    return OpenSslError(ErrorCode::kInternal, "Ed25519 key");
  }
  return Ed25519PrivateKey(seed.Clone(), key.release(), Ed25519PublicKey(pub));
}

Ed25519Signature Ed25519PrivateKey::Sign(ByteView message) const {
  const MdCtxPtr ctx(EVP_MD_CTX_new());
  Ed25519Signature out;
  size_t size = out.size();
  // With a valid key this fails for want of memory alone.
  HEXR_CHECK(ctx != nullptr && EVP_DigestSignInit(ctx.get(), nullptr, nullptr, nullptr, key_.get()) == 1 &&
             EVP_DigestSign(ctx.get(), out.data(), &size, message.data(), message.size()) == 1 && size == out.size());
  return out;
}

}  // namespace hexr::crypto
