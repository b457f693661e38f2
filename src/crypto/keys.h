// Signing keys: EC on P-256, P-384, P-521 and RSA. A key in hand is a valid one: the curve, the point, the size and,
// for private keys, that both halves belong together are checked where it is parsed. Values; immutable, thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/digest.h"
#include "crypto/secret.h"

struct evp_pkey_st;

namespace hexr::crypto {

enum class KeyType : uint8_t { kP256, kP384, kP521, kRsa };
std::string_view KeyTypeName(KeyType type);  // "EC P-256", "RSA"

// The nine algorithms of JWT-SVID.md section 3 and RFC 7518 3.1: no HMAC, no "none".
enum class SignatureAlgorithm : uint8_t { kEs256, kEs384, kEs512, kRs256, kRs384, kRs512, kPs256, kPs384, kPs512 };
std::string_view AlgorithmName(SignatureAlgorithm algorithm);      // "ES256"
Result<SignatureAlgorithm> ParseAlgorithm(std::string_view name);  // exact case
bool Fits(SignatureAlgorithm algorithm, KeyType type);             // ES256 is P-256 alone, and so on
SignatureAlgorithm DefaultAlgorithm(KeyType type);                 // ES256, ES384, ES512, RS256

class PublicKey {
 public:
  // SubjectPublicKeyInfo DER (RFC 5280 4.1), nothing behind it.
  static Result<PublicKey> FromSpki(ByteView der);
  // Coordinates of exactly the curve's size (RFC 7518 6.2.1).
  static Result<PublicKey> FromEcPoint(KeyType curve, ByteView x, ByteView y);
  // Big-endian modulus and exponent without leading zeros (RFC 7518 6.3.1).
  static Result<PublicKey> FromRsa(ByteView modulus, ByteView exponent);

  KeyType type() const;
  const Bytes& spki() const;
  // Views into spki(): x and y of an EC key, modulus and exponent of an RSA key.
  struct Parts {
    ByteView first, second;
  };
  Parts parts() const;
  // The key itself, contents of the BIT STRING of spki(): what key identifiers hash.
  ByteView raw() const;

  // `signature` as JOSE has it: raw r||s for ES*. False also when the algorithm is not one of this key's.
  [[nodiscard]] bool Verify(SignatureAlgorithm algorithm, ByteView message, ByteView signature) const;
  // `signature` as X.509 has it: DER for ES*, where the algorithm names the digest and any curve goes (RFC 5758 3.2).
  [[nodiscard]] bool VerifyDer(SignatureAlgorithm algorithm, ByteView message, ByteView signature) const;

  bool operator==(const PublicKey& other) const { return spki() == other.spki(); }
  // For this room and wire; never null.
  evp_pkey_st* handle() const;

 private:
  friend class PrivateKey;
  struct State;
  explicit PublicKey(std::shared_ptr<const State> state) : state_(std::move(state)) {}

  std::shared_ptr<const State> state_;
};

class PrivateKey {
 public:
  // From OpenSSL's generator, which the kernel seeds. RSA keys have 2,048 bits.
  static PrivateKey Generate(KeyType type);
  // PrivateKeyInfo DER (RFC 5208), nothing behind it.
  static Result<PrivateKey> FromPkcs8(const Secret& der);

  Secret ToPkcs8() const;
  const PublicKey& public_key() const { return public_key_; }
  KeyType type() const { return public_key_.type(); }

  // INVALID_ARGUMENT when the algorithm does not fit the key.
  Result<Bytes> Sign(SignatureAlgorithm algorithm, ByteView message) const;
  Result<Bytes> SignDer(SignatureAlgorithm algorithm, ByteView message) const;
  // For this room and wire; never null.
  evp_pkey_st* handle() const { return key_.get(); }

 private:
  PrivateKey(std::shared_ptr<evp_pkey_st> key, PublicKey public_key)
      : key_(std::move(key)), public_key_(std::move(public_key)) {}

  std::shared_ptr<evp_pkey_st> key_;
  PublicKey public_key_;  // a handle of its own: whoever keeps the public key keeps nothing private
};

}  // namespace hexr::crypto
