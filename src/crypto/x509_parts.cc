#include "crypto/x509_parts.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/limits/keys.h"
#include "crypto/der.h"
#include "crypto/oid.h"

namespace hexr::crypto {
namespace {

struct Known {
  SignatureAlgorithm algorithm;
  ByteView oid;
  bool rsa;  // RSA carries a NULL (RFC 4055 5), ECDSA nothing (RFC 5758 3.2)
};
constexpr std::array<Known, 6> kKnown = {{
    {SignatureAlgorithm::kEs256, oid::kEcdsaSha256, false},
    {SignatureAlgorithm::kEs384, oid::kEcdsaSha384, false},
    {SignatureAlgorithm::kEs512, oid::kEcdsaSha512, false},
    {SignatureAlgorithm::kRs256, oid::kRsaSha256, true},
    {SignatureAlgorithm::kRs384, oid::kRsaSha384, true},
    {SignatureAlgorithm::kRs512, oid::kRsaSha512, true},
}};

}  // namespace

Result<SignatureAlgorithm> ParseSignatureAlgorithm(ByteView contents) {
  der::Reader r(contents);
  ASSIGN_OR_RETURN(const ByteView id, r.Expect(der::kOid));
  const auto it = std::ranges::find_if(kKnown, [&id](const Known& k) { return std::ranges::equal(k.oid, id); });
  if (it == kKnown.end()) {
    return InvalidArgument("signature algorithm: none of ECDSA or RSA with SHA-256, SHA-384, SHA-512");
  }
  if (it->rsa) {
    ASSIGN_OR_RETURN(const ByteView null, r.Expect(der::kNull));
    if (!null.empty()) return InvalidArgument("signature algorithm: NULL with contents");
  }
  RETURN_IF_ERROR(r.Finish());
  return it->algorithm;
}

Bytes EncodeSignatureAlgorithm(SignatureAlgorithm algorithm) {
  const auto it = std::ranges::find(kKnown, algorithm, &Known::algorithm);
  HEXR_CHECK(it != kKnown.end());
  const Bytes null = it->rsa ? der::Tlv(der::kNull, {}) : Bytes();
  return der::Sequence({der::Oid(it->oid), null});
}

Status ReadAltNames(ByteView contents, std::vector<std::string>& uris, std::vector<std::string>& dns_names) {
  der::Reader r(contents);
  if (r.AtEnd()) return InvalidArgument("subject alternative name: empty");
  for (size_t n = 0; !r.AtEnd(); ++n) {
    if (n == limits::kMaxCertificateNames) return InvalidArgument("subject alternative name: too many names");
    ASSIGN_OR_RETURN(const der::Element e, r.Next());
    const bool uri = e.tag == der::ContextPrimitive(6);
    if (!uri && e.tag != der::ContextPrimitive(2)) {
      // otherName, rfc822Name, x400Address, directoryName, ediPartyName, iPAddress, registeredID: RFC 5280 4.2.1.6
      static constexpr std::array<uint8_t, 7> kOtherNames = {0xa0, 0x81, 0xa3, 0xa4, 0xa5, 0x87, 0x88};
      if (std::ranges::find(kOtherNames, e.tag) == kOtherNames.end()) {
        return InvalidArgument("subject alternative name: of no known kind");
      }
      continue;
    }
    // IA5String is ASCII; a NUL inside has fooled verifiers before.
    if (e.contents.empty() || !std::ranges::all_of(e.contents, [](uint8_t c) { return c > 0x20 && c < 0x7f; })) {
      return InvalidArgument("subject alternative name: not printable ASCII");
    }
    (uri ? uris : dns_names).emplace_back(AsText(e.contents));
  }
  return Ok();
}

Result<Bytes> SignBody(const PrivateKey& key, ByteView tbs) {
  const SignatureAlgorithm algorithm = DefaultAlgorithm(key.type());
  ASSIGN_OR_RETURN(const Bytes signature, key.SignDer(algorithm, tbs));
  return der::Sequence({tbs, EncodeSignatureAlgorithm(algorithm), der::BitString(signature)});
}

Bytes EncodeExtension(ByteView id, bool critical, ByteView value) {
  static constexpr std::array<uint8_t, 3> kTrue = {der::kBoolean, 1, 0xff};
  return der::Sequence({der::Oid(id), critical ? ByteView(kTrue) : ByteView(), der::OctetString(value)});
}

}  // namespace hexr::crypto
