#include "crypto/aead.h"

#include <algorithm>
#include <limits>

#include "base/check.h"
#include "crypto/digest.h"
#include "crypto/openssl_ptr.h"

namespace hexr::crypto {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kIdBytes = 8;
constexpr size_t kNonceBytes = 24;
constexpr size_t kTagBytes = 16;
constexpr size_t kHeaderBytes = 1 + kIdBytes;
constexpr size_t kBlock = 16;
using Block = std::array<uint8_t, kBlock>;

const EVP_CIPHER* Fetched(const char* name) { return EVP_CIPHER_fetch(nullptr, name, nullptr); }

// The message key for one nonce: CMAC in counter mode over its first half (C2SP XAES-256-GCM, "Overview"). The CMAC
// input is always one whole block, so only the subkey K1 takes part.
Secret DeriveMessageKey(const Secret& key, ByteView nonce) {
  static const EVP_CIPHER* const ecb = Fetched("AES-256-ECB");
  const CipherCtxPtr ctx(EVP_CIPHER_CTX_new());
  const ByteView raw = key.Reveal(RevealToken::For("AEAD key"));
  HEXR_CHECK(raw.size() == AeadKey::kKeyBytes && nonce.size() == kNonceBytes);
  HEXR_CHECK(ecb != nullptr && ctx != nullptr &&
             EVP_EncryptInit_ex2(ctx.get(), ecb, raw.data(), nullptr, nullptr) == 1);
  const auto encrypt = [&ctx](const Block& in, uint8_t* out) {
    int n = 0;
    HEXR_CHECK(EVP_EncryptUpdate(ctx.get(), out, &n, in.data(), kBlock) == 1 && n == kBlock);
  };
  Block k1{};
  encrypt(Block{}, k1.data());
  uint8_t carry = 0;
  for (size_t i = kBlock; i-- > 0;) {  // doubling in GF(2^128)
    const auto next = static_cast<uint8_t>(k1[i] >> 7);
    k1[i] = static_cast<uint8_t>(k1[i] << 1 | carry);
    carry = next;
  }
  k1[kBlock - 1] = static_cast<uint8_t>(k1[kBlock - 1] ^ ((0U - carry) & 0x87U));
  return Secret::Make(AeadKey::kKeyBytes, [&](std::span<uint8_t> out) {
    for (size_t half = 0; half < 2; ++half) {
      Block m{0, static_cast<uint8_t>(half + 1), 'X', 0};
      std::copy_n(nonce.begin(), 12, m.begin() + 4);
      for (size_t i = 0; i < kBlock; ++i) m[i] = static_cast<uint8_t>(m[i] ^ k1[i]);
      encrypt(m, out.data() + half * kBlock);
    }
    WipeMemory(k1);
  });
}

CipherCtxPtr StartGcm(const Secret& key, ByteView nonce, ByteView aad, bool encrypt) {
  static const EVP_CIPHER* const gcm = Fetched("AES-256-GCM");
  const Secret message_key = DeriveMessageKey(key, nonce);
  CipherCtxPtr ctx(EVP_CIPHER_CTX_new());
  const ByteView raw = message_key.Reveal(RevealToken::For("AEAD message key"));
  int n = 0;
  HEXR_CHECK(aad.size() <= std::numeric_limits<int>::max());
  HEXR_CHECK(gcm != nullptr && ctx != nullptr &&
             EVP_CipherInit_ex2(ctx.get(), gcm, raw.data(), nonce.data() + 12, encrypt ? 1 : 0, nullptr) == 1 &&
             EVP_CipherUpdate(ctx.get(), nullptr, &n, aad.data(), static_cast<int>(aad.size())) == 1);
  return ctx;
}

Bytes HeaderWithContext(ByteView header, std::string_view context) {
  Bytes aad(header.size() + context.size());
  std::ranges::copy(AsBytes(context), std::ranges::copy(header, aad.begin()).out);
  return aad;
}

}  // namespace

void XaesSeal(const Secret& key, ByteView nonce, ByteView plaintext, ByteView aad, std::span<uint8_t> out) {
  HEXR_CHECK(out.size() == plaintext.size() + kTagBytes && plaintext.size() <= std::numeric_limits<int>::max());
  const CipherCtxPtr ctx = StartGcm(key, nonce, aad, true);
  int n = 0;
  if (!plaintext.empty()) {
    HEXR_CHECK(EVP_EncryptUpdate(ctx.get(), out.data(), &n, plaintext.data(), static_cast<int>(plaintext.size())) == 1);
  }
  HEXR_CHECK(EVP_EncryptFinal_ex(ctx.get(), out.data() + n, &n) == 1 &&
             EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_AEAD_GET_TAG, kTagBytes, out.data() + plaintext.size()) == 1);
}

bool XaesOpen(const Secret& key, ByteView nonce, ByteView ciphertext, ByteView aad, std::span<uint8_t> out) {
  if (ciphertext.size() < kTagBytes || ciphertext.size() > std::numeric_limits<int>::max()) return false;
  HEXR_CHECK(out.size() == ciphertext.size() - kTagBytes);
  const CipherCtxPtr ctx = StartGcm(key, nonce, aad, false);
  Block tag;
  std::copy(ciphertext.end() - kTagBytes, ciphertext.end(), tag.begin());
  int n = 0;
  Block rest;  // GCM's last step writes nothing, but wants somewhere to
  const bool good = (out.empty() || EVP_DecryptUpdate(ctx.get(), out.data(), &n, ciphertext.data(),
                                                      static_cast<int>(out.size())) == 1) &&
                    EVP_CIPHER_CTX_ctrl(ctx.get(), EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) == 1 &&
                    EVP_DecryptFinal_ex(ctx.get(), rest.data(), &n) == 1;
  if (!good) {
    WipeMemory(out);
    ERR_clear_error();
  }
  return good;
}

AeadKey::AeadKey(Secret key) : key_(std::move(key)) {
  const Sha256Digest id = HmacSha256(key_.Reveal(RevealToken::For("AEAD key id")), AsBytes("hexr aead key id v1"));
  std::copy_n(id.begin(), kIdBytes, key_id_.begin());
}

AeadKey AeadKey::Generate(Random& random) { return AeadKey(Secret::Random(kKeyBytes, random)); }

Result<AeadKey> AeadKey::FromSecret(Secret key) {
  if (key.size() != kKeyBytes) return InvalidArgument("AEAD key: 32 bytes");
  return AeadKey(std::move(key));
}

Bytes AeadKey::Seal(ByteView plaintext, std::string_view context, Random& random) const {
  Bytes out(kOverheadBytes + plaintext.size());
  out[0] = kVersion;
  std::ranges::copy(key_id_, out.begin() + 1);
  const std::span<uint8_t> nonce = std::span(out).subspan(kHeaderBytes, kNonceBytes);
  random.Fill(nonce);
  const Bytes aad = HeaderWithContext(ByteView(out).first(kHeaderBytes), context);
  XaesSeal(key_, nonce, plaintext, aad, std::span(out).subspan(kHeaderBytes + kNonceBytes));
  return out;
}

Bytes AeadKey::Seal(const Secret& plaintext, std::string_view context, Random& random) const {
  return Seal(plaintext.Reveal(RevealToken::For("AEAD plaintext")), context, random);
}

Result<Secret> AeadKey::Open(ByteView envelope, std::string_view context) const {
  if (envelope.empty()) return DataLoss("sealed data: empty");
  if (envelope[0] != kVersion) return Unimplemented("sealed data: unknown envelope version");
  if (envelope.size() < kOverheadBytes) return DataLoss("sealed data: cut short");
  if (!std::ranges::equal(envelope.subspan(1, kIdBytes), key_id_)) {
    return FailedPrecondition("sealed data: sealed under another key");
  }
  const ByteView nonce = envelope.subspan(kHeaderBytes, kNonceBytes);
  const Bytes aad = HeaderWithContext(envelope.first(kHeaderBytes), context);
  bool good = false;
  Secret plaintext = Secret::Make(envelope.size() - kOverheadBytes, [&](std::span<uint8_t> out) {
    good = XaesOpen(key_, nonce, envelope.subspan(kHeaderBytes + kNonceBytes), aad, out);
  });
  if (!good) return DataLoss("sealed data: changed, or sealed for another place");
  return plaintext;
}

}  // namespace hexr::crypto
