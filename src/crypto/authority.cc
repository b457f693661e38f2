#include "crypto/authority.h"

#include <algorithm>
#include <array>

#include "base/limits/keys.h"
#include "crypto/der.h"
#include "crypto/digest.h"
#include "crypto/oid.h"
#include "crypto/svid.h"
#include "crypto/x509_parts.h"

namespace hexr::crypto {
namespace {

using std::chrono::seconds;

// BIT STRINGs of key usage. EC keys must not claim keyEncipherment (RFC 8813 3).
constexpr std::array<uint8_t, 4> kUsageEcLeaf = {der::kBitString, 2, 3, 0x88};     // digitalSignature, keyAgreement
constexpr std::array<uint8_t, 4> kUsageRsaLeaf = {der::kBitString, 2, 5, 0xa0};    // digitalSignature, keyEncipherment
constexpr std::array<uint8_t, 4> kUsageAuthority = {der::kBitString, 2, 1, 0x06};  // keyCertSign, cRLSign

// RFC 7093 2, method 1: the first 160 bits of SHA-256 of the key. RFC 5280's own method is the same with SHA-1.
Bytes KeyId(const PublicKey& key) {
  const Sha256Digest digest = Sha256(key.raw());
  return {digest.begin(), digest.begin() + 20};
}

Bytes Attribute(ByteView id, std::string_view value) {
  return der::Tlv(der::kSet, {der::Sequence({der::Oid(id), der::Text(der::kUtf8String, value)})});
}

// The key id keeps the names of two generations of one authority apart. CommonName holds 64 characters (X.520).
Bytes AuthorityName(const TrustDomain& td, const PublicKey& key) {
  return der::Sequence({Attribute(oid::kOrganization, "hexr"), Attribute(oid::kCommonName, td.name().substr(0, 64)),
                        Attribute(oid::kSerialNumber, HexEncode(KeyId(key)))});
}

// Leaves have a subject that says nothing: the name is the URI. Not empty, since some TLS stacks refuse that.
Bytes LeafName() { return der::Sequence({Attribute(oid::kOrganization, "hexr")}); }

Bytes SubjectKeyIdExtension(const PublicKey& key) {
  return EncodeExtension(oid::kSubjectKeyId, false, der::OctetString(KeyId(key)));
}

Bytes AuthorityKeyIdExtension(ByteView key_id) {
  return EncodeExtension(oid::kAuthorityKeyId, false, der::Sequence({der::Tlv(der::ContextPrimitive(0), {key_id})}));
}

Bytes Serial(Random& random) {
  std::array<uint8_t, 16> serial;
  random.Fill(serial);
  serial[0] |= 1;  // 128 bits, never zero, always as long
  return der::UnsignedInteger(serial);
}

struct Body {
  Bytes issuer, subject;
  WallTime not_before, not_after;
  ByteView spki;
  Bytes extensions;  // the list, encoded one after the other
};

Result<Certificate> Sign(const PrivateKey& key, const Body& b, Random& random) {
  static constexpr std::array<uint8_t, 5> kVersion3 = {der::ContextConstructed(0), 3, der::kInteger, 1, 2};
  const Bytes tbs =
      der::Sequence({kVersion3, Serial(random), EncodeSignatureAlgorithm(DefaultAlgorithm(key.type())), b.issuer,
                     der::Sequence({der::Time(b.not_before), der::Time(b.not_after)}), b.subject, b.spki,
                     der::Tlv(der::ContextConstructed(3), {der::Sequence({b.extensions})})});
  ASSIGN_OR_RETURN(const Bytes whole, SignBody(key, tbs));
  return Certificate::Parse(whole);
}

Bytes AuthorityExtensions(const TrustDomain& td, const PublicKey& key, std::optional<uint32_t> path_length,
                          ByteView issuer_key_id) {
  static constexpr std::array<uint8_t, 3> kTrue = {der::kBoolean, 1, 0xff};
  const Bytes length = path_length.has_value() ? der::SmallInteger(*path_length) : Bytes();
  return der::Concat({
      EncodeExtension(oid::kBasicConstraints, true, der::Sequence({kTrue, length})),
      EncodeExtension(oid::kKeyUsage, true, kUsageAuthority),
      SubjectKeyIdExtension(key),
      AuthorityKeyIdExtension(issuer_key_id),
      EncodeExtension(oid::kSubjectAltName, false, der::Sequence({der::Text(der::ContextPrimitive(6), td.Uri())})),
  });
}

Bytes LeafExtensions(ByteView usage, ByteView authority_key_id) {
  return der::Concat({
      EncodeExtension(oid::kBasicConstraints, true, der::Sequence({})),
      EncodeExtension(oid::kKeyUsage, true, usage),
      EncodeExtension(oid::kExtendedKeyUsage, false,
                      der::Sequence({der::Oid(oid::kServerAuth), der::Oid(oid::kClientAuth)})),
      AuthorityKeyIdExtension(authority_key_id),
  });
}

// Host names of RFC 1123 2.1 and RFC 1035 2.3.4.
bool IsDnsName(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  size_t label = 0;
  char last = '.';
  for (const char c : name) {
    const bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (c == '.') {
      if (last == '.' || last == '-') return false;
      label = 0;
    } else if ((!alnum && (c != '-' || last == '.')) || ++label > 63) {
      return false;
    }
    last = c;
  }
  return last != '.' && last != '-';
}

}  // namespace

CertificateAuthority::CertificateAuthority(TrustDomain td, PrivateKey key, std::vector<Certificate> chain)
    : td_(std::move(td)), key_(std::move(key)), chain_(std::move(chain)) {
  // The name that our certificate has for our key goes into what we sign, whoever chose it.
  const ByteView own = chain_.front().subject_key_id();
  authority_key_id_ = own.empty() ? KeyId(key_.public_key()) : Bytes(own.begin(), own.end());
  leaf_prefix_ec_ = LeafExtensions(kUsageEcLeaf, authority_key_id_);
  leaf_prefix_rsa_ = LeafExtensions(kUsageRsaLeaf, authority_key_id_);
}

Result<CertificateAuthority> CertificateAuthority::CreateRoot(const TrustDomain& td, PrivateKey key, WallTime now,
                                                              seconds ttl, Random& random) {
  if (ttl <= seconds(0)) return InvalidArgument("authority: a lifetime of nothing");
  const PublicKey& public_key = key.public_key();
  const Bytes name = AuthorityName(td, public_key);
  ASSIGN_OR_RETURN(Certificate certificate, Sign(key,
                                                 {name, name, now - kNotBeforeCushion, now + ttl, public_key.spki(),
                                                  AuthorityExtensions(td, public_key, std::nullopt, KeyId(public_key))},
                                                 random));
  return Load(td, std::move(key), {std::move(certificate)});
}

Result<CertificateAuthority> CertificateAuthority::Load(const TrustDomain& td, PrivateKey key,
                                                        std::vector<Certificate> chain) {
  if (chain.empty() || chain.size() >= limits::kMaxChainCertificates) {
    return FailedPrecondition("authority: no chain, or one too long");
  }
  const Certificate& own = chain.front();
  if (!std::ranges::equal(own.spki(), key.public_key().spki())) {
    return FailedPrecondition("authority: the key is another certificate's");
  }
  if (!own.is_ca() || !own.key_usage().has_value() || (*own.key_usage() & kKeyCertSign) == 0) {
    return FailedPrecondition("authority: its certificate is not one that may sign certificates");
  }
  return CertificateAuthority(td, std::move(key), std::move(chain));
}

std::vector<Certificate> CertificateAuthority::intermediates() const {
  std::vector<Certificate> out;
  for (const Certificate& c : chain_) {
    if (!std::ranges::equal(c.issuer(), c.subject())) out.push_back(c);
  }
  return out;
}

Result<Certificate> CertificateAuthority::IssueSvid(const SvidRequest& request, WallTime now, Random& random) const {
  if (request.id.trust_domain() != td_) return InvalidArgument("issue: the ID belongs to another trust domain");
  if (!request.id.has_path()) return InvalidArgument("issue: an ID without path is an authority's");
  if (request.ttl <= seconds(0)) return InvalidArgument("issue: a lifetime of nothing");
  if (request.dns_names.size() >= limits::kMaxCertificateNames || !std::ranges::all_of(request.dns_names, IsDnsName)) {
    return InvalidArgument("issue: too many DNS names, or one that is none");
  }
  const Certificate& own = certificate();
  if (now < own.not_before() || now >= own.not_after()) {
    return FailedPrecondition("issue: the authority is not valid now");
  }
  const WallTime not_after = std::min(now + request.ttl, own.not_after());

  Bytes names = der::Text(der::ContextPrimitive(6), request.id.ToString());
  for (const std::string& dns : request.dns_names) {
    names = der::Concat({names, der::Text(der::ContextPrimitive(2), dns)});
  }
  const Bytes extensions = der::Concat({request.key.type() == KeyType::kRsa ? leaf_prefix_rsa_ : leaf_prefix_ec_,
                                        SubjectKeyIdExtension(request.key),
                                        EncodeExtension(oid::kSubjectAltName, false, der::Sequence({names}))});
  ASSIGN_OR_RETURN(Certificate leaf, Sign(key_,
                                          {Bytes(own.subject().begin(), own.subject().end()), LeafName(),
                                           now - kNotBeforeCushion, not_after, request.key.spki(), extensions},
                                          random));

  // Nothing leaves that a peer would refuse, or that says something else than was asked for.
  ASSIGN_OR_RETURN(const SpiffeId id, CheckSvidLeaf(leaf));
  if (id != request.id || !std::ranges::equal(leaf.spki(), request.key.spki()) ||
      leaf.dns_names() != request.dns_names || leaf.not_after() > own.not_after() ||
      !leaf.IsSignedBy(key_.public_key())) {
    return Internal("issue: the certificate does not say what was asked for");
  }
  return leaf;
}

Result<Certificate> CertificateAuthority::IssueAuthority(const PublicKey& key, WallTime now, seconds ttl,
                                                         std::optional<uint32_t> path_length, Random& random) const {
  if (ttl <= seconds(0)) return InvalidArgument("issue: a lifetime of nothing");
  const Certificate& own = certificate();
  if (now < own.not_before() || now >= own.not_after()) {
    return FailedPrecondition("issue: the authority is not valid now");
  }
  if (own.path_length() == 0U) return FailedPrecondition("issue: this authority may sign leaves alone");
  ASSIGN_OR_RETURN(Certificate issued, Sign(key_,
                                            {Bytes(own.subject().begin(), own.subject().end()), AuthorityName(td_, key),
                                             now - kNotBeforeCushion, std::min(now + ttl, own.not_after()), key.spki(),
                                             AuthorityExtensions(td_, key, path_length, authority_key_id_)},
                                            random));
  if (!issued.IsSignedBy(key_.public_key())) return Internal("issue: the signature does not verify");
  return issued;
}

Result<Bytes> CertificateAuthority::IssueCrl(std::span<const RevokedCertificate> revoked, WallTime this_update,
                                             WallTime next_update, uint64_t number) const {
  if (next_update <= this_update) return InvalidArgument("CRL: the next update is not after this one");
  Bytes entries;
  for (const RevokedCertificate& r : revoked) {
    const Bytes entry = der::Sequence({der::UnsignedInteger(r.serial), der::Time(r.revoked_at)});
    entries.insert(entries.end(), entry.begin(), entry.end());
  }
  std::array<uint8_t, 8> number_bytes;
  for (size_t i = 0; i < 8; ++i) number_bytes[i] = static_cast<uint8_t>(number >> (56 - 8 * i));
  const Bytes extensions = der::Concat({AuthorityKeyIdExtension(authority_key_id_),
                                        EncodeExtension(oid::kCrlNumber, false, der::UnsignedInteger(number_bytes))});
  const Bytes tbs = der::Sequence(
      {der::SmallInteger(1), EncodeSignatureAlgorithm(DefaultAlgorithm(key_.type())), certificate().subject(),
       der::Time(this_update), der::Time(next_update),
       entries.empty() ? Bytes() : der::Sequence({entries}),  // an empty list is left out: RFC 5280 5.1.2.6
       der::Tlv(der::ContextConstructed(0), {der::Sequence({extensions})})});
  return SignBody(key_, tbs);
}

}  // namespace hexr::crypto
