#include "identity/private_jwk.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "crypto/der.h"

namespace hexr::identity {
namespace {

using crypto::RevealToken;
using crypto::Secret;
namespace der = crypto::der;

constexpr size_t kScalarBytes = 32;

// PrivateKeyInfo (RFC 5208) around ECPrivateKey (RFC 5915): the scalar is the second element of the inner sequence.
Result<ByteView> Scalar(ByteView pkcs8) {
  der::Reader outer(pkcs8);
  ASSIGN_OR_RETURN(const ByteView info, outer.Expect(der::kSequence));
  der::Reader fields(info);
  RETURN_IF_ERROR(fields.Expect(der::kInteger));
  RETURN_IF_ERROR(fields.Expect(der::kSequence));
  ASSIGN_OR_RETURN(const ByteView octets, fields.Expect(der::kOctetString));
  der::Reader inner(octets);
  ASSIGN_OR_RETURN(const ByteView ec, inner.Expect(der::kSequence));
  der::Reader ec_fields(ec);
  RETURN_IF_ERROR(ec_fields.Expect(der::kInteger));
  ASSIGN_OR_RETURN(const ByteView scalar, ec_fields.Expect(der::kOctetString));
  if (scalar.size() != kScalarBytes) return Internal("a P-256 key with a scalar of another size");
  return scalar;
}

}  // namespace

Result<Secret> PrivateJwk(const crypto::PrivateKey& key) {
  if (key.type() != crypto::KeyType::kP256) return InvalidArgument("WIT-SVID keys are P-256");
  const Secret pkcs8 = key.ToPkcs8();
  ASSIGN_OR_RETURN(const ByteView scalar, Scalar(pkcs8.Reveal(RevealToken::For("private JWK of a WIT-SVID"))));
  const auto parts = key.public_key().parts();
  const std::string head = R"({"kty":"EC","crv":"P-256","alg":"ES256","x":")" + Base64UrlEncode(parts.first) +
                           R"(","y":")" + Base64UrlEncode(parts.second) + R"(","d":")";
  std::string d = Base64UrlEncode(scalar);
  Secret jwk = Secret::Make(head.size() + d.size() + 2, [&](std::span<uint8_t> out) {
    auto at = std::copy(head.begin(), head.end(), out.begin());
    at = std::copy(d.begin(), d.end(), at);
    *at++ = '"';
    *at = '}';
  });
  crypto::WipeMemory({reinterpret_cast<uint8_t*>(d.data()), d.size()});
  return jwk;
}

}  // namespace hexr::identity
