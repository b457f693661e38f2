// The private JWK that a WIT-SVID is delivered with. Stateless; thread-safe.
#pragma once

#include "base/result.h"
#include "crypto/keys.h"
#include "crypto/secret.h"

namespace hexr::identity {

// RFC 7518 6.2: kty, crv, x, y, alg and d. P-256 alone: INVALID_ARGUMENT for any other key.
Result<crypto::Secret> PrivateJwk(const crypto::PrivateKey& key);

}  // namespace hexr::identity
