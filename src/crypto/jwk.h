// JSON Web Keys and sets of them (RFC 7517, RFC 7518 6, RFC 7638), public EC and RSA keys alone. Values; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits/keys.h"
#include "base/result.h"
#include "crypto/keys.h"
#include "crypto/x509.h"

namespace hexr::crypto {

struct Jwk {
  PublicKey key;
  std::string key_id = {};                           // empty: none
  std::string use = {};                              // "x509-svid", "jwt-svid", "wit-svid", "sig"; empty: none
  std::optional<SignatureAlgorithm> algorithm = {};  // the only one the key may be used with
  std::vector<Certificate> x5c = {};                 // the first one carries `key`
};

struct JwkSet {
  std::vector<Jwk> keys;
  // Keys of kinds that we do not use, and such as are unusable (RFC 7517 5): they are passed over, and counted.
  size_t skipped = 0;
  size_t private_keys = 0;  // of those: with a private half, which no public document should show
  // Of a SPIFFE trust bundle; absent when not given.
  std::optional<uint64_t> sequence;
  std::optional<uint64_t> refresh_hint_seconds;
};

// INVALID_ARGUMENT: not JSON, a name twice, a key that is unusable, or one that carries a private half.
Result<Jwk> ParseJwk(std::string_view json);
// INVALID_ARGUMENT: not JSON, a name twice, no `keys`, more than limits::kMaxJwkSetKeys, more than
// limits::kMaxJwkSetBytes.
Result<JwkSet> ParseJwkSet(std::string_view json);

std::string EncodeJwk(const Jwk& jwk);
std::string EncodeJwkSet(const JwkSet& set);

// base64url of the SHA-256 thumbprint: a key id that follows from the key.
std::string Thumbprint(const PublicKey& key);

}  // namespace hexr::crypto
