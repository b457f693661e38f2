// Certificate signing requests (PKCS#10, RFC 2986). Values; thread-safe.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/spiffe_id.h"
#include "crypto/keys.h"

namespace hexr::crypto {

// Evidence that whoever wrote the request holds the private half of its key. The names are what it asks for, not what
// it may have.
class VerifiedCsr {
 public:
  // INVALID_ARGUMENT: not a request in strict DER. UNAUTHENTICATED: the signature is not by the key inside.
  static Result<VerifiedCsr> Parse(ByteView der);

  const PublicKey& key() const { return key_; }
  const std::vector<std::string>& uris() const { return uris_; }
  const std::vector<std::string>& dns_names() const { return dns_names_; }

 private:
  explicit VerifiedCsr(PublicKey key) : key_(std::move(key)) {}

  PublicKey key_;
  std::vector<std::string> uris_, dns_names_;
};

// A request for `id`, for an authority above us.
Result<Bytes> BuildCsr(const PrivateKey& key, const SpiffeId& id);

}  // namespace hexr::crypto
