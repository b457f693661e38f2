#include "crypto/digest.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "base/check.h"
#include "crypto/openssl_ptr.h"

namespace hexr::crypto {
namespace {

// A digest of bytes in memory fails only when memory or OpenSSL's providers are gone: as with randomness, there is no
// safe way on, so these are checks and not results.
const EVP_MD* FetchedSha256() {
  static const EVP_MD* const md = EVP_MD_fetch(nullptr, "SHA256", nullptr);  // a fetch costs more than a digest
  HEXR_CHECK(md != nullptr);
  return md;
}

}  // namespace

void Sha256Hasher::Free::operator()(evp_md_ctx_st* p) const noexcept { EVP_MD_CTX_free(p); }
Sha256Hasher::Sha256Hasher(Sha256Hasher&&) noexcept = default;
Sha256Hasher& Sha256Hasher::operator=(Sha256Hasher&&) noexcept = default;
Sha256Hasher::~Sha256Hasher() = default;

Sha256Hasher::Sha256Hasher() : ctx_(EVP_MD_CTX_new()) {
  HEXR_CHECK(ctx_ != nullptr && EVP_DigestInit_ex2(ctx_.get(), FetchedSha256(), nullptr) == 1);
}

Sha256Hasher& Sha256Hasher::Update(ByteView data) {
  HEXR_CHECK(EVP_DigestUpdate(ctx_.get(), data.data(), data.size()) == 1);
  return *this;
}

Sha256Digest Sha256Hasher::Finish() {
  Sha256Digest out;
  unsigned int size = 0;
  HEXR_CHECK(EVP_DigestFinal_ex(ctx_.get(), out.data(), &size) == 1 && size == out.size());
  HEXR_CHECK(EVP_DigestInit_ex2(ctx_.get(), nullptr, nullptr) == 1);
  return out;
}

Sha256Digest Sha256(ByteView data) {
  Sha256Digest out;
  unsigned int size = 0;
  HEXR_CHECK(EVP_Digest(data.data(), data.size(), out.data(), &size, FetchedSha256(), nullptr) == 1);
  return out;
}

Sha256Digest Sha256(std::initializer_list<ByteView> parts) {
  Sha256Hasher hasher;
  for (const ByteView part : parts) hasher.Update(part);
  return hasher.Finish();
}

Sha256Digest HmacSha256(ByteView key, ByteView data) {
  Sha256Digest out;
  unsigned int size = 0;
  static constexpr uint8_t kNothing = 0;  // HMAC takes a null key for "the last one"
  HEXR_CHECK(key.size() <= INT32_MAX);
  HEXR_CHECK(HMAC(FetchedSha256(), key.empty() ? &kNothing : key.data(), static_cast<int>(key.size()), data.data(),
                  data.size(), out.data(), &size) != nullptr);
  return out;
}

Secret HkdfSha256(const Secret& key, ByteView salt, std::string_view info, size_t size) {
  HEXR_CHECK(size > 0 && size <= 255 * 32);
  static EVP_KDF* const kdf = EVP_KDF_fetch(nullptr, OSSL_KDF_NAME_HKDF, nullptr);
  const std::unique_ptr<EVP_KDF_CTX, OpenSslFree<EVP_KDF_CTX_free>> ctx(EVP_KDF_CTX_new(kdf));
  HEXR_CHECK(ctx != nullptr);
  char sha256[] = "SHA256";
  // OpenSSL takes nothing const here, changes nothing, and refuses a null pointer even for no bytes.
  uint8_t nothing = 0;
  const auto octets = [&nothing](const char* name, ByteView b) {
    return OSSL_PARAM_construct_octet_string(name, b.empty() ? &nothing : const_cast<uint8_t*>(b.data()), b.size());
  };
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, sha256, 0),
      octets(OSSL_KDF_PARAM_KEY, key.Reveal(RevealToken::For("HKDF input"))),
      octets(OSSL_KDF_PARAM_SALT, salt),
      octets(OSSL_KDF_PARAM_INFO, AsBytes(info)),
      OSSL_PARAM_construct_end(),
  };
  return Secret::Make(size, [&](std::span<uint8_t> out) {
    HEXR_CHECK(EVP_KDF_derive(ctx.get(), out.data(), out.size(), params) == 1);
  });
}

}  // namespace hexr::crypto
