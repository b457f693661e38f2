// Keys and digests for the crypto built-ins, behind a door that shows no OpenSSL. These take what policies of OPA take,
// MD5 and SHA-1 among it, which the crypto room refuses on purpose: nothing else may use this.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/rego/value/value.h"

struct evp_pkey_st;

namespace hexr::rego {

struct KeyDeleter {
  void operator()(evp_pkey_st* k) const;
};
using Key = std::unique_ptr<evp_pkey_st, KeyDeleter>;
enum class KeyKind : uint8_t { kRsa, kEc, kEd25519, kOther };
KeyKind KindOf(const evp_pkey_st* key);

// "md5", "sha1", "sha256", "sha384", "sha512"; the raw digest.
std::string Digest(std::string_view algorithm, std::string_view data);
std::string Hmac(std::string_view algorithm, std::string_view key, std::string_view data);
bool SameBytes(std::string_view a, std::string_view b);  // in constant time

struct PemBlock {
  std::string type;
  std::string bytes;
};
// The next block; `rest` is what follows it. Nothing when there is none.
std::optional<PemBlock> NextPem(std::string_view text, std::string_view& rest);

Key PublicKeyOfCertificate(std::string_view der);
Key PublicKeyFromSpki(std::string_view der);
// PKCS#1, SEC 1 or PKCS#8.
Key PrivateKeyFromDer(std::string_view der);

struct Jwk {
  std::string alg, kid, kty;
  Key key;             // RSA, EC, OKP
  std::string secret;  // oct
  bool is_private = false;
};
// One JWK or a set; `error` says what is wrong.
bool ParseJwks(Arena& arena, const Value& json, std::vector<Jwk>& out, std::string& error);
// A private key as JWK.
Value PrivateJwk(Arena& arena, evp_pkey_st* key);

// JWS algorithms: RS, PS, ES, EdDSA. `signature` in JOSE form.
bool VerifyJws(evp_pkey_st* key, std::string_view alg, std::string_view data, std::string_view signature);
// Empty with `error` set when the key does not fit.
std::string SignJws(evp_pkey_st* key, std::string_view alg, std::string_view data, std::string& error);
// "sha256" for RS256 and its kind; empty for EdDSA and for what is unknown.
std::string_view HashOf(std::string_view alg);

// Big-endian bytes of RSA numbers and the like, for JSON of private keys.
struct RsaParts {
  std::string n, e, d, p, q, dp, dq, qi;
};
bool PartsOf(evp_pkey_st* key, RsaParts& out);
struct EcParts {
  std::string x, y, d;
};
bool EcPartsOf(evp_pkey_st* key, EcParts& out);
// Seed and public half, as Go keeps an Ed25519 key.
std::string Ed25519Seed(evp_pkey_st* key);
bool SamePublicKey(evp_pkey_st* a, evp_pkey_st* b);

struct ChainOptions {
  int64_t unix_seconds = 0;
  std::string dns_name;
  std::vector<int> usages{1};  // Go's ExtKeyUsage numbers; 0 is any
};
// certs: the root, intermediates, the leaf (DER). `chain` is the path found, leaf first.
bool VerifyChain(const std::vector<std::string>& certs, const ChainOptions& options, std::vector<std::string>& chain);

}  // namespace hexr::rego
