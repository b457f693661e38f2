// X.509 certificates, read strictly (RFC 5280, DER). A Certificate in hand is well formed, and that is all it is: that
// it may be believed is what VerifiedSvid (svid.h) says. Values; immutable, thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/limits/keys.h"
#include "base/result.h"
#include "base/spiffe_id.h"
#include "crypto/keys.h"

namespace hexr::crypto {

// RFC 5280 4.2.1.3; bit 0 is the first bit of the BIT STRING.
enum KeyUsageBit : uint16_t {
  kDigitalSignature = 1U << 0,
  kKeyEncipherment = 1U << 2,
  kKeyAgreement = 1U << 4,
  kKeyCertSign = 1U << 5,
  kCrlSign = 1U << 6,
};

class Certificate {
 public:
  // One certificate, nothing behind it. INVALID_ARGUMENT for anything that is not strict DER, version 3, with each
  // extension at most once and well formed.
  static Result<Certificate> Parse(ByteView der);
  // Certificates one behind the other, leaf first: the form of the Workload API. At most limits::kMaxChainCertificates.
  static Result<std::vector<Certificate>> ParseChain(ByteView der);
  static Result<std::vector<Certificate>> ParsePemChain(std::string_view pem);

  const Bytes& der() const;
  std::string ToPem() const;

  // Big-endian without sign byte.
  ByteView serial() const;
  // Whole Name elements, for comparison byte by byte.
  ByteView issuer() const;
  ByteView subject() const;
  bool subject_empty() const;
  WallTime not_before() const;
  WallTime not_after() const;
  ByteView spki() const;
  // Parsed on demand: a certificate may carry a key of a kind that we do not use.
  Result<PublicKey> public_key() const;

  bool is_ca() const;  // basicConstraints cA
  std::optional<uint32_t> path_length() const;
  std::optional<uint16_t> key_usage() const;  // bits of KeyUsageBit
  bool has_extended_key_usage() const;
  bool allows_server_auth() const;
  bool allows_client_auth() const;
  const std::vector<std::string>& uris() const;  // of the subject alternative name
  const std::vector<std::string>& dns_names() const;
  ByteView subject_key_id() const;  // empty when absent
  ByteView authority_key_id() const;
  bool san_critical() const;
  bool key_usage_critical() const;
  // An extension that we do not know and must: no path through such a certificate is valid.
  bool has_unknown_critical_extension() const;

  // True when `issuer_key` made this certificate's signature. Says nothing of names, times or rights.
  [[nodiscard]] bool IsSignedBy(const PublicKey& issuer_key) const;

  bool operator==(const Certificate& other) const { return der() == other.der(); }

 private:
  struct Fields;
  explicit Certificate(std::shared_ptr<const Fields> fields) : f_(std::move(fields)) {}
  static Result<Certificate> ParseElement(ByteView whole);

  std::shared_ptr<const Fields> f_;
};

Bytes EncodeChain(const std::vector<Certificate>& chain);
std::string EncodePemChain(const std::vector<Certificate>& chain);

}  // namespace hexr::crypto
