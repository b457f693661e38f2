#include "crypto/aead_stream.h"

#include <algorithm>
#include <array>
#include <climits>

#include "base/check.h"
#include "crypto/openssl_ptr.h"

namespace hexr::crypto {
namespace {

constexpr size_t kStreamNonceBytes = 12;

std::array<uint8_t, kStreamNonceBytes> Nonce(uint64_t counter) {
  std::array<uint8_t, kStreamNonceBytes> nonce{};
  for (size_t i = 0; i < 8; ++i) nonce[kStreamNonceBytes - 1 - i] = static_cast<uint8_t>(counter >> (8 * i));
  return nonce;
}

}  // namespace

void AeadStream::Free::operator()(evp_cipher_ctx_st* p) const noexcept { EVP_CIPHER_CTX_free(p); }
AeadStream::~AeadStream() = default;
AeadStream::AeadStream(AeadStream&&) noexcept = default;
AeadStream& AeadStream::operator=(AeadStream&&) noexcept = default;

Result<AeadStream> AeadStream::ForSealing(const Secret& key) { return Make(key, 1); }
Result<AeadStream> AeadStream::ForOpening(const Secret& key) { return Make(key, 0); }

Result<AeadStream> AeadStream::Make(const Secret& key, int encrypt) {
  static const EVP_CIPHER* const gcm = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  if (key.size() != kKeyBytes) return InvalidArgument("a stream key has 32 bytes");
  AeadStream stream(EVP_CIPHER_CTX_new());
  const ByteView raw = key.Reveal(RevealToken::For("AEAD stream key"));
  HEXR_CHECK(gcm != nullptr && stream.ctx_ != nullptr);
  HEXR_CHECK(EVP_CipherInit_ex2(stream.ctx_.get(), gcm, raw.data(), nullptr, encrypt, nullptr) == 1);
  return stream;
}

void AeadStream::Seal(uint64_t counter, ByteView aad, ByteView plaintext, std::span<uint8_t> out) {
  HEXR_CHECK(counter >= next_ && counter < UINT64_MAX && plaintext.size() < INT_MAX && aad.size() < INT_MAX);
  HEXR_CHECK(out.size() == plaintext.size() + kTagBytes);
  next_ = counter + 1;
  const auto nonce = Nonce(counter);
  int n = 0;
  HEXR_CHECK(EVP_EncryptInit_ex2(ctx_.get(), nullptr, nullptr, nonce.data(), nullptr) == 1);
  HEXR_CHECK(EVP_EncryptUpdate(ctx_.get(), nullptr, &n, aad.data(), static_cast<int>(aad.size())) == 1);
  HEXR_CHECK(EVP_EncryptUpdate(ctx_.get(), out.data(), &n, plaintext.data(), static_cast<int>(plaintext.size())) == 1);
  HEXR_CHECK(static_cast<size_t>(n) == plaintext.size());
  HEXR_CHECK(EVP_EncryptFinal_ex(ctx_.get(), out.data() + n, &n) == 1);
  HEXR_CHECK(EVP_CIPHER_CTX_ctrl(ctx_.get(), EVP_CTRL_AEAD_GET_TAG, kTagBytes, out.data() + plaintext.size()) == 1);
}

bool AeadStream::Open(uint64_t counter, ByteView aad, ByteView ciphertext, std::span<uint8_t> out) {
  if (ciphertext.size() < kTagBytes || ciphertext.size() >= INT_MAX || aad.size() >= INT_MAX) return false;
  HEXR_CHECK(out.size() + kTagBytes == ciphertext.size());
  const auto nonce = Nonce(counter);
  const ByteView tag = ciphertext.last(kTagBytes);
  int n = 0;
  HEXR_CHECK(EVP_DecryptInit_ex2(ctx_.get(), nullptr, nullptr, nonce.data(), nullptr) == 1);
  HEXR_CHECK(EVP_CIPHER_CTX_ctrl(ctx_.get(), EVP_CTRL_AEAD_SET_TAG, kTagBytes, const_cast<uint8_t*>(tag.data())) == 1);
  HEXR_CHECK(EVP_DecryptUpdate(ctx_.get(), nullptr, &n, aad.data(), static_cast<int>(aad.size())) == 1);
  HEXR_CHECK(EVP_DecryptUpdate(ctx_.get(), out.data(), &n, ciphertext.data(), static_cast<int>(out.size())) == 1);
  if (EVP_DecryptFinal_ex(ctx_.get(), out.data() + out.size(), &n) == 1) return true;
  std::fill(out.begin(), out.end(), uint8_t{0});
  ERR_clear_error();
  return false;
}

}  // namespace hexr::crypto
