// Certificates of every shape for tests, good and bad: what CertificateAuthority would never issue is made here.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "crypto/der.h"
#include "crypto/keys.h"
#include "crypto/oid.h"
#include "crypto/x509.h"
#include "crypto/x509_parts.h"

namespace hexr::crypto::testing {

struct CertificateSpec {
  std::string subject = "subject";  // empty: a Name of no parts
  std::string issuer = "issuer";
  WallTime not_before = WallTime(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1));
  WallTime not_after = WallTime(std::chrono::sys_days(std::chrono::year(2027) / 1 / 1));
  std::optional<bool> is_ca = false;  // absent: no basicConstraints
  std::optional<uint32_t> path_length;
  std::optional<uint16_t> key_usage = kDigitalSignature | kKeyAgreement;
  bool key_usage_critical = true, extended_key_usage_critical = false;
  bool server_auth = true, client_auth = true;  // both false: no extended key usage
  std::vector<std::string> uris = {"spiffe://example.org/agent/t/a/r"};
  Bytes other_names;  // GeneralNames beside them
  bool names_critical = false;
  bool unknown_critical = false;
  uint32_t version = 2;
  Bytes extra_extension;
};

inline CertificateSpec CaSpec(const std::string& name) {
  CertificateSpec s;
  s.subject = s.issuer = name;
  s.is_ca = true;
  s.key_usage = kKeyCertSign | kCrlSign;
  s.server_auth = s.client_auth = false;
  s.uris.clear();
  return s;
}

inline Bytes TestName(std::string_view cn) {
  if (cn.empty()) return der::Sequence({});
  return der::Sequence(
      {der::Tlv(der::kSet, {der::Sequence({der::Oid(oid::kCommonName), der::Text(der::kUtf8String, cn)})})});
}

// DER of the certificate; `signer` is the issuer's key.
inline Bytes MakeDer(const CertificateSpec& s, const PublicKey& key, const PrivateKey& signer) {
  Bytes extensions;
  const auto add = [&extensions](const Bytes& e) { extensions.insert(extensions.end(), e.begin(), e.end()); };
  if (s.is_ca.has_value()) {
    const Bytes ca = *s.is_ca ? Bytes{der::kBoolean, 1, 0xff} : Bytes();
    add(EncodeExtension(oid::kBasicConstraints, true,
                        der::Sequence({ca, s.path_length.has_value() ? der::SmallInteger(*s.path_length) : Bytes()})));
  }
  if (s.key_usage.has_value()) {
    uint8_t bits = 0;
    for (int i = 0; i < 8; ++i) {
      if ((*s.key_usage >> i & 1) != 0) bits = static_cast<uint8_t>(bits | 0x80 >> i);
    }
    add(EncodeExtension(oid::kKeyUsage, s.key_usage_critical,
                        der::BitString(Bytes{bits}, static_cast<uint8_t>(__builtin_ctz(bits)))));
  }
  if (s.server_auth || s.client_auth) {
    add(EncodeExtension(oid::kExtendedKeyUsage, s.extended_key_usage_critical,
                        der::Sequence({s.server_auth ? der::Oid(oid::kServerAuth) : Bytes(),
                                       s.client_auth ? der::Oid(oid::kClientAuth) : Bytes()})));
  }
  if (!s.uris.empty() || !s.other_names.empty()) {
    Bytes names = s.other_names;
    for (const std::string& uri : s.uris) names = der::Concat({names, der::Text(der::ContextPrimitive(6), uri)});
    add(EncodeExtension(oid::kSubjectAltName, s.names_critical, der::Sequence({names})));
  }
  if (s.unknown_critical) add(EncodeExtension(Bytes{0x2a, 0x03, 0x04}, true, der::Tlv(der::kNull, {})));
  add(s.extra_extension);
  const Bytes tbs = der::Sequence(
      {der::Tlv(der::ContextConstructed(0), {der::SmallInteger(s.version)}), der::SmallInteger(4711),
       EncodeSignatureAlgorithm(DefaultAlgorithm(signer.type())), TestName(s.issuer),
       der::Sequence({der::Time(s.not_before), der::Time(s.not_after)}), TestName(s.subject), key.spki(),
       extensions.empty() ? Bytes() : der::Tlv(der::ContextConstructed(3), {der::Sequence({extensions})})});
  return SignBody(signer, tbs).value();
}

inline Certificate MakeCertificate(const CertificateSpec& s, const PublicKey& key, const PrivateKey& signer) {
  return Certificate::Parse(MakeDer(s, key, signer)).value();
}

}  // namespace hexr::crypto::testing
