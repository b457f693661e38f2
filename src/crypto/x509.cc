#include "crypto/x509.h"

#include <algorithm>

#include "base/limits/keys.h"
#include "crypto/der.h"
#include "crypto/oid.h"
#include "crypto/pem.h"
#include "crypto/x509_parts.h"

namespace hexr::crypto {
namespace {

Error BadX509(std::string_view what) { return InvalidArgument("certificate: " + std::string(what)); }

}  // namespace

struct Certificate::Fields {
  Bytes der;
  // Views into der.
  ByteView tbs, serial, issuer, subject, spki, subject_key_id, authority_key_id, signature;
  std::optional<SignatureAlgorithm> signature_algorithm;  // absent: one that we do not verify
  WallTime not_before, not_after;
  bool subject_empty = false;
  bool is_ca = false;
  std::optional<uint32_t> path_length;
  std::optional<uint16_t> key_usage;
  bool has_eku = false, server_auth = false, client_auth = false;
  bool san_critical = false, key_usage_critical = false, unknown_critical = false;
  std::vector<std::string> uris, dns_names;

  Status Read();
  Status ReadTbs(ByteView body);
  Status ReadExtensions(ByteView list);
  Status ReadExtension(ByteView id, bool critical, ByteView value);
};

Status Certificate::Fields::Read() {
  der::Reader outer(der);
  ASSIGN_OR_RETURN(const ByteView body, outer.Expect(der::kSequence));
  RETURN_IF_ERROR(outer.Finish());
  der::Reader r(body);
  ASSIGN_OR_RETURN(const der::Element tbs_element, r.ExpectElement(der::kSequence));
  ASSIGN_OR_RETURN(const der::Element algorithm, r.ExpectElement(der::kSequence));
  ASSIGN_OR_RETURN(signature, r.BitStringBytes());
  RETURN_IF_ERROR(r.Finish());
  tbs = tbs_element.whole;
  if (const auto id = ParseSignatureAlgorithm(algorithm.contents); id.ok()) signature_algorithm = *id;

  der::Reader t(tbs_element.contents);
  ASSIGN_OR_RETURN(const ByteView version_body, t.Expect(der::ContextConstructed(0)));
  der::Reader version_reader(version_body);
  ASSIGN_OR_RETURN(const uint32_t version, version_reader.Small());
  RETURN_IF_ERROR(version_reader.Finish());
  if (version != 2) return BadX509("version is not 3");
  ASSIGN_OR_RETURN(serial, t.Unsigned());
  if (serial.size() > 20) return BadX509("serial number longer than 20 bytes");
  ASSIGN_OR_RETURN(const der::Element inner_algorithm, t.ExpectElement(der::kSequence));
  if (!std::ranges::equal(inner_algorithm.whole, algorithm.whole)) return BadX509("two different signature algorithms");
  return ReadTbs(t.rest());
}

// From the issuer on.
Status Certificate::Fields::ReadTbs(ByteView body) {
  der::Reader t(body);
  ASSIGN_OR_RETURN(const der::Element issuer_element, t.ExpectElement(der::kSequence));
  issuer = issuer_element.whole;
  ASSIGN_OR_RETURN(const ByteView validity, t.Expect(der::kSequence));
  der::Reader v(validity);
  ASSIGN_OR_RETURN(not_before, v.Time());
  ASSIGN_OR_RETURN(not_after, v.Time());
  RETURN_IF_ERROR(v.Finish());
  if (not_after < not_before) return BadX509("ends before it begins");
  ASSIGN_OR_RETURN(const der::Element subject_element, t.ExpectElement(der::kSequence));
  subject = subject_element.whole;
  subject_empty = subject_element.contents.empty();
  ASSIGN_OR_RETURN(const der::Element spki_element, t.ExpectElement(der::kSequence));
  spki = spki_element.whole;
  ASSIGN_OR_RETURN(const std::optional<ByteView> extensions, t.Optional(der::ContextConstructed(3)));
  RETURN_IF_ERROR(t.Finish());  // unique identifiers ([1], [2]) are refused with it
  if (!extensions.has_value()) return Ok();
  der::Reader wrapper(*extensions);
  ASSIGN_OR_RETURN(const ByteView list, wrapper.Expect(der::kSequence));
  RETURN_IF_ERROR(wrapper.Finish());
  return ReadExtensions(list);
}

Status Certificate::Fields::ReadExtensions(ByteView list) {
  std::vector<ByteView> seen;
  der::Reader r(list);
  if (r.AtEnd()) return BadX509("an empty list of extensions");
  while (!r.AtEnd()) {
    ASSIGN_OR_RETURN(const ByteView body, r.Expect(der::kSequence));
    der::Reader e(body);
    ASSIGN_OR_RETURN(const ByteView id, e.Expect(der::kOid));
    bool critical = false;
    if (!e.AtEnd() && e.rest()[0] == der::kBoolean) {
      ASSIGN_OR_RETURN(critical, e.Boolean());
      if (!critical) return BadX509("a default value is written out");
    }
    ASSIGN_OR_RETURN(const ByteView value, e.Expect(der::kOctetString));
    RETURN_IF_ERROR(e.Finish());
    if (std::ranges::any_of(seen, [&id](ByteView s) { return std::ranges::equal(s, id); })) {
      return BadX509("an extension twice");
    }
    seen.push_back(id);
    RETURN_IF_ERROR(ReadExtension(id, critical, value));
  }
  return Ok();
}

Status Certificate::Fields::ReadExtension(ByteView id, bool critical, ByteView value) {
  der::Reader r(value);
  if (oid::Is(id, oid::kBasicConstraints)) {
    ASSIGN_OR_RETURN(const ByteView body, r.Expect(der::kSequence));
    der::Reader b(body);
    if (!b.AtEnd() && b.rest()[0] == der::kBoolean) {
      ASSIGN_OR_RETURN(is_ca, b.Boolean());
      if (!is_ca) return BadX509("a default value is written out");
    }
    if (!b.AtEnd()) {
      ASSIGN_OR_RETURN(path_length, b.Small());
      if (!is_ca) return BadX509("a path length without cA");
    }
    RETURN_IF_ERROR(b.Finish());
  } else if (oid::Is(id, oid::kKeyUsage)) {
    ASSIGN_OR_RETURN(const ByteView bits, r.Expect(der::kBitString));
    if (bits.size() < 2 || bits.size() > 3 || bits[0] > 7 || (bits.back() & ((2U << bits[0]) - 1U)) != 1U << bits[0]) {
      return BadX509("key usage");  // the last bit written is set: X.690 11.2.2
    }
    uint16_t usage = 0;
    for (size_t i = 0; i < (bits.size() - 1) * 8; ++i) {
      if ((bits[1 + i / 8] & (0x80U >> (i % 8))) != 0) usage = static_cast<uint16_t>(usage | 1U << i);
    }
    key_usage = usage;
    key_usage_critical = critical;
  } else if (oid::Is(id, oid::kExtendedKeyUsage)) {
    ASSIGN_OR_RETURN(const ByteView body, r.Expect(der::kSequence));
    der::Reader purposes(body);
    if (purposes.AtEnd()) return BadX509("an empty extended key usage");
    has_eku = true;
    while (!purposes.AtEnd()) {
      ASSIGN_OR_RETURN(const ByteView purpose, purposes.Expect(der::kOid));
      server_auth = server_auth || oid::Is(purpose, oid::kServerAuth);
      client_auth = client_auth || oid::Is(purpose, oid::kClientAuth);
    }
  } else if (oid::Is(id, oid::kSubjectAltName)) {
    san_critical = critical;
    ASSIGN_OR_RETURN(const ByteView body, r.Expect(der::kSequence));
    RETURN_IF_ERROR(ReadAltNames(body, uris, dns_names));
  } else if (oid::Is(id, oid::kSubjectKeyId)) {
    ASSIGN_OR_RETURN(subject_key_id, r.Expect(der::kOctetString));
  } else if (oid::Is(id, oid::kAuthorityKeyId)) {
    ASSIGN_OR_RETURN(const ByteView body, r.Expect(der::kSequence));
    der::Reader a(body);
    ASSIGN_OR_RETURN(const std::optional<ByteView> key_id, a.Optional(der::ContextPrimitive(0)));
    authority_key_id = key_id.value_or(ByteView());
  } else {
    // Name constraints are left to path validation, which applies them.
    unknown_critical = unknown_critical || (critical && !oid::Is(id, oid::kNameConstraints));
    return Ok();  // an opaque value: not ours to judge
  }
  return r.Finish();
}

Result<Certificate> Certificate::ParseElement(ByteView whole) {
  if (whole.size() > limits::kMaxCertificateBytes) return BadX509("too large");
  auto fields = std::make_shared<Fields>();
  fields->der.assign(whole.begin(), whole.end());
  if (Status s = fields->Read(); !s.ok()) return std::move(s).error();
  return Certificate(std::move(fields));
}

Result<Certificate> Certificate::Parse(ByteView der) { return ParseElement(der); }

Result<std::vector<Certificate>> Certificate::ParseChain(ByteView der) {
  std::vector<Certificate> chain;
  der::Reader r(der);
  do {
    if (chain.size() == limits::kMaxChainCertificates) return InvalidArgument("certificate chain: too long");
    ASSIGN_OR_RETURN(const der::Element e, r.Next());
    ASSIGN_OR_RETURN(Certificate c, ParseElement(e.whole));
    chain.push_back(std::move(c));
  } while (!r.AtEnd());
  return chain;
}

Result<std::vector<Certificate>> Certificate::ParsePemChain(std::string_view pem) {
  ASSIGN_OR_RETURN(const std::vector<Bytes> blocks, PemDecode(pem, "CERTIFICATE"));
  if (blocks.size() > limits::kMaxChainCertificates) return InvalidArgument("certificate chain: too long");
  std::vector<Certificate> chain;
  for (const Bytes& block : blocks) {
    ASSIGN_OR_RETURN(Certificate c, ParseElement(block));
    chain.push_back(std::move(c));
  }
  return chain;
}

const Bytes& Certificate::der() const { return f_->der; }
std::string Certificate::ToPem() const { return PemEncode("CERTIFICATE", f_->der); }
ByteView Certificate::serial() const { return f_->serial; }
ByteView Certificate::issuer() const { return f_->issuer; }
ByteView Certificate::subject() const { return f_->subject; }
bool Certificate::subject_empty() const { return f_->subject_empty; }
WallTime Certificate::not_before() const { return f_->not_before; }
WallTime Certificate::not_after() const { return f_->not_after; }
ByteView Certificate::spki() const { return f_->spki; }
Result<PublicKey> Certificate::public_key() const { return PublicKey::FromSpki(f_->spki); }
bool Certificate::is_ca() const { return f_->is_ca; }
std::optional<uint32_t> Certificate::path_length() const { return f_->path_length; }
std::optional<uint16_t> Certificate::key_usage() const { return f_->key_usage; }
bool Certificate::has_extended_key_usage() const { return f_->has_eku; }
bool Certificate::allows_server_auth() const { return f_->server_auth; }
bool Certificate::allows_client_auth() const { return f_->client_auth; }
const std::vector<std::string>& Certificate::uris() const { return f_->uris; }
const std::vector<std::string>& Certificate::dns_names() const { return f_->dns_names; }
ByteView Certificate::subject_key_id() const { return f_->subject_key_id; }
ByteView Certificate::authority_key_id() const { return f_->authority_key_id; }
bool Certificate::san_critical() const { return f_->san_critical; }
bool Certificate::key_usage_critical() const { return f_->key_usage_critical; }
bool Certificate::has_unknown_critical_extension() const { return f_->unknown_critical; }

bool Certificate::IsSignedBy(const PublicKey& issuer_key) const {
  if (!f_->signature_algorithm.has_value()) return false;
  return issuer_key.VerifyDer(*f_->signature_algorithm, f_->tbs, f_->signature);
}

Bytes EncodeChain(const std::vector<Certificate>& chain) {
  Bytes out;
  for (const Certificate& c : chain) out.insert(out.end(), c.der().begin(), c.der().end());
  return out;
}

std::string EncodePemChain(const std::vector<Certificate>& chain) {
  std::string out;
  for (const Certificate& c : chain) out += c.ToPem();
  return out;
}

}  // namespace hexr::crypto
