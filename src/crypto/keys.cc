#include "crypto/keys.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <mutex>

#include "base/check.h"
#include "base/limits/keys.h"
#include "crypto/der.h"
#include "crypto/oid.h"
#include "crypto/openssl_ptr.h"

namespace hexr::crypto {
namespace {

struct Curve {
  KeyType type;
  const char* openssl_name;
  ByteView oid;
  size_t coordinate_bytes;
};
constexpr std::array<Curve, 3> kCurves = {{
    {KeyType::kP256, "P-256", oid::kP256, 32},
    {KeyType::kP384, "P-384", oid::kP384, 48},
    {KeyType::kP521, "P-521", oid::kP521, 66},
}};
const Curve& CurveOf(KeyType type) {
  const auto it = std::ranges::find(kCurves, type, &Curve::type);
  HEXR_CHECK(it != kCurves.end());
  return *it;
}

struct Algorithm {
  SignatureAlgorithm id;
  std::string_view name;
  KeyType type;
  const char* digest;
  bool pss;
};
constexpr std::array<Algorithm, 9> kAlgorithms = {{
    {SignatureAlgorithm::kEs256, "ES256", KeyType::kP256, "SHA256", false},
    {SignatureAlgorithm::kEs384, "ES384", KeyType::kP384, "SHA384", false},
    {SignatureAlgorithm::kEs512, "ES512", KeyType::kP521, "SHA512", false},
    {SignatureAlgorithm::kRs256, "RS256", KeyType::kRsa, "SHA256", false},
    {SignatureAlgorithm::kRs384, "RS384", KeyType::kRsa, "SHA384", false},
    {SignatureAlgorithm::kRs512, "RS512", KeyType::kRsa, "SHA512", false},
    {SignatureAlgorithm::kPs256, "PS256", KeyType::kRsa, "SHA256", true},
    {SignatureAlgorithm::kPs384, "PS384", KeyType::kRsa, "SHA384", true},
    {SignatureAlgorithm::kPs512, "PS512", KeyType::kRsa, "SHA512", true},
}};
const Algorithm& Of(SignatureAlgorithm id) { return kAlgorithms[static_cast<size_t>(id)]; }

Bytes EcSpki(const Curve& curve, ByteView point) {
  return der::Sequence({der::Sequence({der::Oid(oid::kEcPublicKey), der::Oid(curve.oid)}), der::BitString(point)});
}

struct ParsedSpki {
  KeyType type;
  ByteView raw;            // contents of the BIT STRING
  PublicKey::Parts parts;  // as in PublicKey::parts()
};

Result<ParsedSpki> ParseSpki(ByteView spki) {
  der::Reader outer(spki);
  ASSIGN_OR_RETURN(const ByteView body, outer.Expect(der::kSequence));
  RETURN_IF_ERROR(outer.Finish());
  der::Reader r(body);
  ASSIGN_OR_RETURN(const ByteView algorithm_body, r.Expect(der::kSequence));
  ASSIGN_OR_RETURN(const ByteView raw, r.BitStringBytes());
  RETURN_IF_ERROR(r.Finish());
  der::Reader algorithm(algorithm_body);
  ASSIGN_OR_RETURN(const ByteView id, algorithm.Expect(der::kOid));
  if (oid::Is(id, oid::kEcPublicKey)) {
    ASSIGN_OR_RETURN(const ByteView curve_oid, algorithm.Expect(der::kOid));  // named curves only
    RETURN_IF_ERROR(algorithm.Finish());
    for (const Curve& c : kCurves) {
      if (!std::ranges::equal(curve_oid, c.oid)) continue;
      if (raw.size() != 1 + 2 * c.coordinate_bytes || raw[0] != 4) {
        return InvalidArgument("EC public key: not an uncompressed point");
      }
      return ParsedSpki{c.type, raw, {raw.subspan(1, c.coordinate_bytes), raw.subspan(1 + c.coordinate_bytes)}};
    }
    return InvalidArgument("EC public key: the curve is none of P-256, P-384, P-521");
  }
  if (!oid::Is(id, oid::kRsa)) return InvalidArgument("public key: neither EC nor RSA");
  ASSIGN_OR_RETURN(const ByteView null, algorithm.Expect(der::kNull));
  if (!null.empty()) return InvalidArgument("RSA public key: parameters are not NULL");
  RETURN_IF_ERROR(algorithm.Finish());
  der::Reader key_outer(raw);
  ASSIGN_OR_RETURN(const ByteView key_body, key_outer.Expect(der::kSequence));
  RETURN_IF_ERROR(key_outer.Finish());
  der::Reader key(key_body);
  ASSIGN_OR_RETURN(const ByteView n, key.Unsigned());
  ASSIGN_OR_RETURN(const ByteView e, key.Unsigned());
  RETURN_IF_ERROR(key.Finish());
  const size_t bits = n.size() * 8 - static_cast<size_t>(__builtin_clz(static_cast<unsigned>(n[0]) | 1U) - 24);
  if (bits < limits::kMinRsaBits || bits > limits::kMaxRsaBits) {
    return InvalidArgument("RSA public key: 2,048 to 4,096 bits");
  }
  const bool small_exponent = e.size() < 3 || (e.size() == 3 && e[0] == 0);
  if (small_exponent || e.size() > 8 || (e.back() & 1) == 0) {
    return InvalidArgument("RSA public key: the exponent is odd, 65537 to 2^64");
  }
  return ParsedSpki{KeyType::kRsa, raw, {n, e}};
}

PkeyPtr LoadSpki(ByteView spki) {
  const unsigned char* at = spki.data();
  PkeyPtr key(d2i_PUBKEY(nullptr, &at, static_cast<long>(spki.size())));
  if (key != nullptr && at != spki.data() + spki.size()) key.reset();
  return key;
}

// r||s of fixed size ↔ the DER of RFC 3279 2.2.3.
Result<Bytes> RawToDer(ByteView raw, size_t coordinate_bytes) {
  if (raw.size() != 2 * coordinate_bytes) return InvalidArgument("signature: wrong size");
  return der::Sequence(
      {der::UnsignedInteger(raw.first(coordinate_bytes)), der::UnsignedInteger(raw.subspan(coordinate_bytes))});
}

Result<Bytes> DerToRaw(ByteView der_signature, size_t coordinate_bytes) {
  der::Reader outer(der_signature);
  ASSIGN_OR_RETURN(const ByteView body, outer.Expect(der::kSequence));
  RETURN_IF_ERROR(outer.Finish());
  der::Reader r(body);
  Bytes raw(2 * coordinate_bytes);
  for (size_t half = 0; half < 2; ++half) {
    ASSIGN_OR_RETURN(const ByteView v, r.Unsigned());
    if (v.size() > coordinate_bytes) return InvalidArgument("signature: number out of range");
    std::copy(v.begin(), v.end(), raw.begin() + static_cast<std::ptrdiff_t>((half + 1) * coordinate_bytes - v.size()));
  }
  RETURN_IF_ERROR(r.Finish());
  return raw;
}

bool SetPss(EVP_PKEY_CTX* ctx) {  // salt as long as the digest: RFC 7518 3.5
  return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

}  // namespace

std::string_view KeyTypeName(KeyType type) {
  switch (type) {
    case KeyType::kP256: return "EC P-256";
    case KeyType::kP384: return "EC P-384";
    case KeyType::kP521: return "EC P-521";
    case KeyType::kRsa: return "RSA";
  }
  return "unknown";
}

std::string_view AlgorithmName(SignatureAlgorithm algorithm) { return Of(algorithm).name; }

Result<SignatureAlgorithm> ParseAlgorithm(std::string_view name) {
  const auto it = std::ranges::find(kAlgorithms, name, &Algorithm::name);
  if (it == kAlgorithms.end()) {
    return InvalidArgument("signature algorithm: not one of ES256/384/512, RS256/384/512, PS256/384/512");
  }
  return it->id;
}

bool Fits(SignatureAlgorithm algorithm, KeyType type) { return Of(algorithm).type == type; }

SignatureAlgorithm DefaultAlgorithm(KeyType type) {
  switch (type) {
    case KeyType::kP256: return SignatureAlgorithm::kEs256;
    case KeyType::kP384: return SignatureAlgorithm::kEs384;
    case KeyType::kP521: return SignatureAlgorithm::kEs512;
    case KeyType::kRsa: break;
  }
  return SignatureAlgorithm::kRs256;
}

// The OpenSSL handle of a key of our own making is built when it is first used: most leaf keys are only ever encoded.
struct PublicKey::State {
  State(KeyType t, Bytes s, PkeyPtr k) : type(t), spki(std::move(s)), key(std::move(k)) {}

  EVP_PKEY* Handle() const {
    std::call_once(once, [this] {
      if (key == nullptr) key = LoadSpki(spki);
      HEXR_CHECK(key != nullptr);  // parsed or made by us before
    });
    return key.get();
  }

  const KeyType type;
  const Bytes spki;
  mutable std::once_flag once;
  mutable PkeyPtr key;
};

KeyType PublicKey::type() const { return state_->type; }
const Bytes& PublicKey::spki() const { return state_->spki; }
evp_pkey_st* PublicKey::handle() const { return state_->Handle(); }

Result<PublicKey> PublicKey::FromSpki(ByteView der) {
  ASSIGN_OR_RETURN(const ParsedSpki parsed, ParseSpki(der));
  PkeyPtr key = LoadSpki(der);  // refuses points that are not on the curve
  if (key == nullptr) return OpenSslError(ErrorCode::kInvalidArgument, "public key");
  return PublicKey(std::make_shared<const State>(parsed.type, Bytes(der.begin(), der.end()), std::move(key)));
}

Result<PublicKey> PublicKey::FromEcPoint(KeyType type, ByteView x, ByteView y) {
  if (type == KeyType::kRsa) return InvalidArgument("EC public key: RSA is no curve");
  const Curve& curve = CurveOf(type);
  if (x.size() != curve.coordinate_bytes || y.size() != curve.coordinate_bytes) {
    return InvalidArgument("EC public key: a coordinate has the size of the curve");
  }
  static constexpr uint8_t kUncompressed = 4;
  return FromSpki(EcSpki(curve, der::Concat({ByteView(&kUncompressed, 1), x, y})));
}

Result<PublicKey> PublicKey::FromRsa(ByteView modulus, ByteView exponent) {
  if (modulus.empty() || exponent.empty() || modulus[0] == 0 || exponent[0] == 0) {
    return InvalidArgument("RSA public key: numbers are neither empty nor padded");
  }
  return FromSpki(
      der::Sequence({der::Sequence({der::Oid(oid::kRsa), der::Tlv(der::kNull, {})}),
                     der::BitString(der::Sequence({der::UnsignedInteger(modulus), der::UnsignedInteger(exponent)}))}));
}

PublicKey::Parts PublicKey::parts() const { return ParseSpki(spki()).value().parts; }
ByteView PublicKey::raw() const { return ParseSpki(spki()).value().raw; }

bool PublicKey::VerifyDer(SignatureAlgorithm id, ByteView message, ByteView signature) const {
  const Algorithm& algorithm = Of(id);
  if ((algorithm.type == KeyType::kRsa) != (type() == KeyType::kRsa)) return false;
  const MdCtxPtr ctx(EVP_MD_CTX_new());
  EVP_PKEY_CTX* pkey_ctx = nullptr;  // owned by ctx
  const bool good =
      ctx != nullptr &&
      EVP_DigestVerifyInit_ex(ctx.get(), &pkey_ctx, algorithm.digest, nullptr, nullptr, handle(), nullptr) == 1 &&
      (!algorithm.pss || SetPss(pkey_ctx)) &&
      EVP_DigestVerify(ctx.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
  if (!good) ERR_clear_error();
  return good;
}

bool PublicKey::Verify(SignatureAlgorithm id, ByteView message, ByteView signature) const {
  if (!Fits(id, type())) return false;
  if (type() == KeyType::kRsa) return VerifyDer(id, message, signature);
  const Result<Bytes> der_signature = RawToDer(signature, CurveOf(type()).coordinate_bytes);
  return der_signature.ok() && VerifyDer(id, message, *der_signature);
}

PrivateKey PrivateKey::Generate(KeyType type) {
  PkeyPtr key(type == KeyType::kRsa ? EVP_RSA_gen(limits::kMinRsaBits) : EVP_EC_gen(CurveOf(type).openssl_name));
  HEXR_CHECK(key != nullptr);  // want of memory, or a broken provider: there is no safe way on
  Bytes spki;
  if (type == KeyType::kRsa) {
    unsigned char* out = nullptr;
    const int size = i2d_PUBKEY(key.get(), &out);
    HEXR_CHECK(size > 0);
    spki.assign(out, out + size);
    OPENSSL_free(out);
  } else {
    std::array<uint8_t, 133> point;  // P-521 is the largest
    size_t size = 0;
    HEXR_CHECK(EVP_PKEY_get_octet_string_param(key.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size(), &size) ==
               1);
    spki = EcSpki(CurveOf(type), ByteView(point).first(size));
  }
  PublicKey public_key(std::make_shared<const PublicKey::State>(type, std::move(spki), nullptr));
  return {std::shared_ptr<evp_pkey_st>(key.release(), EVP_PKEY_free), std::move(public_key)};
}

Result<PrivateKey> PrivateKey::FromPkcs8(const Secret& der) {
  const ByteView bytes = der.Reveal(RevealToken::For("private key import"));
  const unsigned char* at = bytes.data();
  const std::unique_ptr<PKCS8_PRIV_KEY_INFO, OpenSslFree<PKCS8_PRIV_KEY_INFO_free>> info(
      d2i_PKCS8_PRIV_KEY_INFO(nullptr, &at, static_cast<long>(bytes.size())));
  if (info == nullptr || at != bytes.data() + bytes.size()) {
    return OpenSslError(ErrorCode::kInvalidArgument, "private key: not PKCS#8 DER");
  }
  PkeyPtr key(EVP_PKCS82PKEY(info.get()));
  if (key == nullptr) return OpenSslError(ErrorCode::kInvalidArgument, "private key");
  unsigned char* out = nullptr;
  const int size = i2d_PUBKEY(key.get(), &out);
  if (size <= 0) return OpenSslError(ErrorCode::kInvalidArgument, "private key: no public half");
  const Result<PublicKey> public_key = PublicKey::FromSpki(ByteView(out, static_cast<size_t>(size)));
  OPENSSL_free(out);
  if (!public_key.ok()) return public_key.error();
  const PkeyCtxPtr ctx(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  if (ctx == nullptr || EVP_PKEY_pairwise_check(ctx.get()) != 1) {
    return OpenSslError(ErrorCode::kInvalidArgument, "private key: its halves do not belong together");
  }
  return PrivateKey(std::shared_ptr<evp_pkey_st>(key.release(), EVP_PKEY_free), *public_key);
}

Secret PrivateKey::ToPkcs8() const {
  if (type() == KeyType::kRsa) {
    const std::unique_ptr<PKCS8_PRIV_KEY_INFO, OpenSslFree<PKCS8_PRIV_KEY_INFO_free>> info(EVP_PKEY2PKCS8(handle()));
    HEXR_CHECK(info != nullptr);
    const int size = i2d_PKCS8_PRIV_KEY_INFO(info.get(), nullptr);
    HEXR_CHECK(size > 0);
    return Secret::Make(static_cast<size_t>(size), [&info](std::span<uint8_t> out) {
      unsigned char* at = out.data();
      i2d_PKCS8_PRIV_KEY_INFO(info.get(), &at);
    });
  }
  // RFC 5915 in RFC 5208, written here: OpenSSL 3.0's encoder takes several times as long as making the key. Everything
  // but the scalar is public; the scalar goes straight into the Secret.
  const Curve& curve = CurveOf(type());
  const size_t n = curve.coordinate_bytes;
  BIGNUM* scalar = nullptr;
  HEXR_CHECK(EVP_PKEY_get_bn_param(handle(), OSSL_PKEY_PARAM_PRIV_KEY, &scalar) == 1);
  const BnPtr owned(scalar);
  const Bytes zeroes(n);
  const Bytes point = der::Tlv(der::ContextConstructed(1), {der::BitString(public_key_.raw())});
  const Bytes key = der::Sequence({der::SmallInteger(1), der::OctetString(zeroes), point});
  const Bytes whole = der::Sequence(
      {der::SmallInteger(0), der::Sequence({der::Oid(oid::kEcPublicKey), der::Oid(curve.oid)}), der::OctetString(key)});
  const size_t scalar_at = whole.size() - point.size() - n;
  return Secret::Make(whole.size(), [&](std::span<uint8_t> out) {
    std::ranges::copy(whole, out.begin());
    HEXR_CHECK(BN_bn2binpad(scalar, out.data() + scalar_at, static_cast<int>(n)) == static_cast<int>(n));
  });
}

Result<Bytes> PrivateKey::SignDer(SignatureAlgorithm id, ByteView message) const {
  if (!Fits(id, type())) {
    return InvalidArgument("sign: " + std::string(AlgorithmName(id)) + " needs another key than " +
                           std::string(KeyTypeName(type())));
  }
  const Algorithm& algorithm = Of(id);
  const MdCtxPtr ctx(EVP_MD_CTX_new());
  EVP_PKEY_CTX* pkey_ctx = nullptr;  // owned by ctx
  Bytes out(static_cast<size_t>(EVP_PKEY_get_size(handle())));
  size_t size = out.size();
  if (ctx == nullptr ||
      EVP_DigestSignInit_ex(ctx.get(), &pkey_ctx, algorithm.digest, nullptr, nullptr, handle(), nullptr) != 1 ||
      (algorithm.pss && !SetPss(pkey_ctx)) ||
      EVP_DigestSign(ctx.get(), out.data(), &size, message.data(), message.size()) != 1) {
    return OpenSslError(ErrorCode::kInternal, "sign");
  }
  out.resize(size);
  return out;
}

Result<Bytes> PrivateKey::Sign(SignatureAlgorithm id, ByteView message) const {
  ASSIGN_OR_RETURN(Bytes signature, SignDer(id, message));
  if (type() == KeyType::kRsa) return signature;
  return DerToRaw(signature, CurveOf(type()).coordinate_bytes);
}

}  // namespace hexr::crypto
