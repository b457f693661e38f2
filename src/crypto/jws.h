// JWTs as JWS compact serialization (RFC 7515, RFC 7519): a RawJwt is what somebody wrote, a VerifiedJwt is evidence
// that the holder of a key did. Claims are the caller's: time, audience and subject are checked by whoever knows the
// rules. Values; thread-safe.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/limits/keys.h"
#include "base/result.h"
#include "crypto/jwk.h"
#include "crypto/keys.h"

namespace hexr::crypto {

class VerifiedJwt;

class RawJwt {
 public:
  // INVALID_ARGUMENT: not three parts of strict base64url, a header that is not a JSON object with a known `alg` (never
  // none, never HMAC), a name twice, a `crit` member, a payload that is not UTF-8, or more than limits::kMaxJwtBytes.
  static Result<RawJwt> Parse(std::string_view compact);

  SignatureAlgorithm algorithm() const { return algorithm_; }
  const std::string& key_id() const { return key_id_; }  // empty: none
  const std::string& type() const { return type_; }      // `typ`; empty: none
  // A header member besides alg, kid and typ: JWT-SVID.md 2 refuses those.
  bool has_other_header_members() const { return other_members_; }
  // For choosing the key (issuer, trust domain) and nothing else: anybody can have written it.
  const std::string& unverified_payload() const { return payload_; }

 private:
  friend Result<VerifiedJwt> VerifyJwt(const RawJwt&, std::span<const Jwk>, std::span<const SignatureAlgorithm>);
  RawJwt() = default;

  std::string signing_input_, payload_, key_id_, type_;
  Bytes signature_;
  SignatureAlgorithm algorithm_ = SignatureAlgorithm::kEs256;
  bool other_members_ = false;
};

// Evidence: the holder of `key_id` among the keys given to VerifyJwt signed this payload. Only VerifyJwt makes one.
class VerifiedJwt {
 public:
  const std::string& payload() const { return payload_; }
  const std::string& key_id() const { return key_id_; }
  const std::string& type() const { return type_; }
  SignatureAlgorithm algorithm() const { return algorithm_; }

 private:
  friend Result<VerifiedJwt> VerifyJwt(const RawJwt&, std::span<const Jwk>, std::span<const SignatureAlgorithm>);
  explicit VerifiedJwt(const RawJwt& raw)
      : payload_(raw.unverified_payload()), key_id_(raw.key_id()), type_(raw.type()), algorithm_(raw.algorithm()) {}

  std::string payload_, key_id_, type_;
  SignatureAlgorithm algorithm_;
};

// Every algorithm of SignatureAlgorithm.
std::span<const SignatureAlgorithm> AllAlgorithms();

// UNAUTHENTICATED: the algorithm is not among `allowed`, no key has the token's kid, or the signature is not the key's.
// A key whose `alg` names another algorithm never fits. A token without kid is tried on the keys without kid alone, so
// that a signer who names keys is never guessed at.
Result<VerifiedJwt> VerifyJwt(const RawJwt& token, std::span<const Jwk> keys,
                              std::span<const SignatureAlgorithm> allowed);

// Header {"alg", "kid", "typ"}, empty ones left out, over `payload`, a JSON object. INVALID_ARGUMENT when the algorithm
// does not fit the key or the token gets too large.
Result<std::string> SignJwt(const PrivateKey& key, SignatureAlgorithm algorithm, std::string_view key_id,
                            std::string_view type, std::string_view payload);

}  // namespace hexr::crypto
