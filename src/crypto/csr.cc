#include "crypto/csr.h"

#include <algorithm>

#include "base/limits/keys.h"
#include "crypto/der.h"
#include "crypto/oid.h"
#include "crypto/x509_parts.h"

namespace hexr::crypto {
namespace {

// The subject alternative name among requested extensions; `contents` is the SET of one attribute.
Status ReadExtensionRequest(ByteView contents, std::vector<std::string>& uris, std::vector<std::string>& dns_names) {
  der::Reader set(contents);
  ASSIGN_OR_RETURN(const ByteView list, set.Expect(der::kSequence));
  RETURN_IF_ERROR(set.Finish());
  bool seen = false;
  for (der::Reader r(list); !r.AtEnd();) {
    ASSIGN_OR_RETURN(const ByteView body, r.Expect(der::kSequence));
    der::Reader e(body);
    ASSIGN_OR_RETURN(const ByteView id, e.Expect(der::kOid));
    if (!e.AtEnd() && e.rest()[0] == der::kBoolean) RETURN_IF_ERROR(e.Expect(der::kBoolean));
    ASSIGN_OR_RETURN(const ByteView value, e.Expect(der::kOctetString));
    RETURN_IF_ERROR(e.Finish());
    if (!oid::Is(id, oid::kSubjectAltName)) continue;
    if (seen) return InvalidArgument("request: two subject alternative names");
    seen = true;
    der::Reader v(value);
    ASSIGN_OR_RETURN(const ByteView names, v.Expect(der::kSequence));
    RETURN_IF_ERROR(v.Finish());
    RETURN_IF_ERROR(ReadAltNames(names, uris, dns_names));
  }
  return Ok();
}

}  // namespace

Result<VerifiedCsr> VerifiedCsr::Parse(ByteView der) {
  if (der.size() > limits::kMaxCertificateBytes) return InvalidArgument("request: too large");
  der::Reader outer(der);
  ASSIGN_OR_RETURN(const ByteView body, outer.Expect(der::kSequence));
  RETURN_IF_ERROR(outer.Finish());
  der::Reader r(body);
  ASSIGN_OR_RETURN(const der::Element info, r.ExpectElement(der::kSequence));
  ASSIGN_OR_RETURN(const ByteView algorithm_body, r.Expect(der::kSequence));
  ASSIGN_OR_RETURN(const ByteView signature, r.BitStringBytes());
  RETURN_IF_ERROR(r.Finish());
  ASSIGN_OR_RETURN(const SignatureAlgorithm algorithm, ParseSignatureAlgorithm(algorithm_body));

  der::Reader i(info.contents);
  ASSIGN_OR_RETURN(const uint32_t version, i.Small());
  if (version != 0) return InvalidArgument("request: unknown version");
  RETURN_IF_ERROR(i.Expect(der::kSequence));  // subject: names come from policy, never from here
  ASSIGN_OR_RETURN(const der::Element spki, i.ExpectElement(der::kSequence));
  ASSIGN_OR_RETURN(const std::optional<ByteView> attributes, i.Optional(der::ContextConstructed(0)));
  RETURN_IF_ERROR(i.Finish());
  ASSIGN_OR_RETURN(PublicKey key, PublicKey::FromSpki(spki.whole));
  if (!key.VerifyDer(algorithm, info.whole, signature)) return Unauthenticated("request: not signed by its own key");

  VerifiedCsr csr(std::move(key));
  bool seen = false;
  for (der::Reader a(attributes.value_or(ByteView())); !a.AtEnd();) {
    ASSIGN_OR_RETURN(const ByteView attribute, a.Expect(der::kSequence));
    der::Reader e(attribute);
    ASSIGN_OR_RETURN(const ByteView id, e.Expect(der::kOid));
    ASSIGN_OR_RETURN(const ByteView set, e.Expect(der::kSet));
    RETURN_IF_ERROR(e.Finish());
    if (!oid::Is(id, oid::kExtensionRequest)) continue;
    if (seen) return InvalidArgument("request: two lists of extensions");
    seen = true;
    RETURN_IF_ERROR(ReadExtensionRequest(set, csr.uris_, csr.dns_names_));
  }
  return csr;
}

Result<Bytes> BuildCsr(const PrivateKey& key, const SpiffeId& id) {
  const Bytes san =
      EncodeExtension(oid::kSubjectAltName, true, der::Sequence({der::Text(der::ContextPrimitive(6), id.ToString())}));
  const Bytes request = der::Sequence({der::Oid(oid::kExtensionRequest), der::Tlv(der::kSet, {der::Sequence({san})})});
  return SignBody(key, der::Sequence({der::SmallInteger(0), der::Sequence({}), key.public_key().spki(),
                                      der::Tlv(der::ContextConstructed(0), {request})}));
}

}  // namespace hexr::crypto
