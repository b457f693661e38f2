// A key whose signatures are another key's: what a fault in memory or in a library would make of a signer.
#pragma once

#include <openssl/evp.h>

#include "base/check.h"
#include "crypto/keys.h"

namespace hexr::crypto::testing {

// From now on `key` and its copies sign with a private half that is not their public half's.
inline void BreakSigner(const PrivateKey& key) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // the newer interface keeps one from doing just this
  const PrivateKey other = PrivateKey::Generate(key.type());
  const bool done = key.type() == KeyType::kRsa
                        ? EVP_PKEY_assign_RSA(key.handle(), EVP_PKEY_get1_RSA(other.handle())) == 1
                        : EVP_PKEY_assign_EC_KEY(key.handle(), EVP_PKEY_get1_EC_KEY(other.handle())) == 1;
#pragma GCC diagnostic pop
  HEXR_CHECK(done);
}

}  // namespace hexr::crypto::testing
