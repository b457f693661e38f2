#include "policy/rego/builtins/keys.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <iterator>

#include "base/bytes.h"
#include "policy/rego/builtins/support.h"
#include "policy/rego/builtins/text_codecs.h"

namespace hexr::rego {
namespace {

const unsigned char* Data(std::string_view s) { return reinterpret_cast<const unsigned char*>(s.data()); }

struct Free {
  void operator()(BIGNUM* p) const { BN_clear_free(p); }
  void operator()(EVP_MD_CTX* p) const { EVP_MD_CTX_free(p); }
  void operator()(EVP_PKEY_CTX* p) const { EVP_PKEY_CTX_free(p); }
  void operator()(OSSL_PARAM_BLD* p) const { OSSL_PARAM_BLD_free(p); }
  void operator()(OSSL_PARAM* p) const { OSSL_PARAM_free(p); }
  void operator()(ECDSA_SIG* p) const { ECDSA_SIG_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(X509_STORE* p) const { X509_STORE_free(p); }
  void operator()(X509_STORE_CTX* p) const { X509_STORE_CTX_free(p); }
  void operator()(STACK_OF(X509) * p) const { sk_X509_free(p); }
  void operator()(EXTENDED_KEY_USAGE* p) const { EXTENDED_KEY_USAGE_free(p); }
};
template <class T>
using Ptr = std::unique_ptr<T, Free>;

const EVP_MD* MdOf(std::string_view name) {
  if (name == "md5") return EVP_md5();
  if (name == "sha1") return EVP_sha1();
  if (name == "sha384") return EVP_sha384();
  if (name == "sha512") return EVP_sha512();
  return name == "sha256" ? EVP_sha256() : nullptr;
}

Ptr<BIGNUM> Number(std::string_view bytes) {
  return Ptr<BIGNUM>(BN_bin2bn(Data(bytes), static_cast<int>(bytes.size()), nullptr));
}

std::string NumberBytes(EVP_PKEY* key, const char* name) {
  BIGNUM* raw = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &raw) != 1) return "";
  Ptr<BIGNUM> n(raw);
  std::string out(static_cast<size_t>(BN_num_bytes(raw)), '\0');
  BN_bn2bin(raw, reinterpret_cast<unsigned char*>(out.data()));
  return out;
}

Key FromParams(const char* type, OSSL_PARAM_BLD* build, bool is_private) {
  Ptr<OSSL_PARAM> params(OSSL_PARAM_BLD_to_param(build));
  Ptr<EVP_PKEY_CTX> ctx(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* raw = nullptr;
  if (!params || !ctx || EVP_PKEY_fromdata_init(ctx.get()) != 1 ||
      EVP_PKEY_fromdata(ctx.get(), &raw, is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    ERR_clear_error();
    return nullptr;
  }
  return Key(raw);
}

// A base64url member; false when it is there and malformed.
bool KeyMember(const Obj& o, std::string_view name, std::string& out) {
  Value v = Get(o, name);
  std::string error;
  return !v.defined() || (v.is_string() && GoBase64UrlDecodeLax(v.text(), out, error));
}

bool RsaKey(const Obj& o, Jwk& jwk, std::string& error) {
  std::string n, e, d, p, q, dp, dq, qi;
  if (!KeyMember(o, "n", n) || !KeyMember(o, "e", e) || !KeyMember(o, "d", d) || !KeyMember(o, "p", p) ||
      !KeyMember(o, "q", q) || !KeyMember(o, "dp", dp) || !KeyMember(o, "dq", dq) || !KeyMember(o, "qi", qi) ||
      n.empty() || e.empty()) {
    error = "failed to parse a JWK key (set): invalid RSA key";
    return false;
  }
  jwk.is_private = !d.empty();
  Ptr<OSSL_PARAM_BLD> b(OSSL_PARAM_BLD_new());
  std::vector<Ptr<BIGNUM>> numbers;
  auto push = [&](const char* name, const std::string& v) {
    if (v.empty()) return;
    numbers.push_back(Number(v));
    OSSL_PARAM_BLD_push_BN(b.get(), name, numbers.back().get());
  };
  push(OSSL_PKEY_PARAM_RSA_N, n);
  push(OSSL_PKEY_PARAM_RSA_E, e);
  push(OSSL_PKEY_PARAM_RSA_D, d);
  push(OSSL_PKEY_PARAM_RSA_FACTOR1, p);
  push(OSSL_PKEY_PARAM_RSA_FACTOR2, q);
  push(OSSL_PKEY_PARAM_RSA_EXPONENT1, dp);
  push(OSSL_PKEY_PARAM_RSA_EXPONENT2, dq);
  push(OSSL_PKEY_PARAM_RSA_COEFFICIENT1, qi);
  jwk.key = FromParams("RSA", b.get(), jwk.is_private);
  return true;
}

bool EcKey(const Obj& o, Jwk& jwk, std::string& error) {
  Value crv = Get(o, "crv");
  std::string x, y, d;
  std::string_view name = crv.is_string() ? crv.text() : "";
  const char* group = name == "P-256" ? "P-256" : name == "P-384" ? "P-384" : name == "P-521" ? "P-521" : nullptr;
  if (group == nullptr || !KeyMember(o, "x", x) || !KeyMember(o, "y", y) || !KeyMember(o, "d", d)) {
    error = "failed to parse a JWK key (set): invalid EC key";
    return false;
  }
  jwk.is_private = !d.empty();
  size_t size = name == "P-256" ? 32 : name == "P-384" ? 48 : 66;
  auto pad = [&](std::string& s) {
    if (s.size() < size) s.insert(0, size - s.size(), '\0');
  };
  pad(x);
  pad(y);
  std::string point = "\x04" + x + y;
  Ptr<OSSL_PARAM_BLD> b(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_utf8_string(b.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
  OSSL_PARAM_BLD_push_octet_string(b.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
  Ptr<BIGNUM> secret;
  if (!d.empty()) {
    secret = Number(d);
    OSSL_PARAM_BLD_push_BN(b.get(), OSSL_PKEY_PARAM_PRIV_KEY, secret.get());
  }
  jwk.key = FromParams("EC", b.get(), jwk.is_private);
  return true;
}

bool OneJwk(const Obj& o, Jwk& jwk, std::string& error) {
  auto text = [&](std::string_view name) {
    Value v = Get(o, name);
    return v.is_string() ? std::string(v.text()) : std::string();
  };
  jwk.alg = text("alg");
  jwk.kid = text("kid");
  jwk.kty = text("kty");
  if (jwk.kty == "RSA") return RsaKey(o, jwk, error);
  if (jwk.kty == "EC") return EcKey(o, jwk, error);
  if (jwk.kty == "oct") {
    if (KeyMember(o, "k", jwk.secret)) return true;
    error = "failed to parse a JWK key (set): invalid oct key";
    return false;
  }
  if (jwk.kty == "OKP") {
    std::string x, d;
    if (!KeyMember(o, "x", x) || !KeyMember(o, "d", d) || x.size() != 32) {
      error = "failed to parse a JWK key (set): invalid OKP key";
      return false;
    }
    jwk.is_private = !d.empty();
    jwk.key.reset(jwk.is_private ? EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, Data(d), d.size())
                                 : EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, Data(x), x.size()));
    return true;
  }
  error = "failed to parse a JWK key (set): unknown key type \"" + jwk.kty + "\"";
  return false;
}

bool IsPss(std::string_view alg) { return alg.starts_with("PS"); }

// The algorithm's own kind of key.
bool Matches(EVP_PKEY* key, std::string_view alg) {
  if (key == nullptr) return false;
  if (alg.starts_with("RS") || IsPss(alg)) return EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
  if (alg.starts_with("ES")) return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC;
  return alg == "EdDSA" && EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519;
}

}  // namespace

void KeyDeleter::operator()(evp_pkey_st* k) const { EVP_PKEY_free(k); }

KeyKind KindOf(const evp_pkey_st* key) {
  switch (key == nullptr ? 0 : EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA: return KeyKind::kRsa;
    case EVP_PKEY_EC: return KeyKind::kEc;
    case EVP_PKEY_ED25519: return KeyKind::kEd25519;
    default: return KeyKind::kOther;
  }
}

std::string Digest(std::string_view algorithm, std::string_view data) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_Digest(data.data(), data.size(), out, &size, MdOf(algorithm), nullptr) != 1) return "";
  return std::string(reinterpret_cast<char*>(out), size);
}

std::string Hmac(std::string_view algorithm, std::string_view key, std::string_view data) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  static constexpr char kEmpty[] = "";
  const char* k = key.empty() ? kEmpty : key.data();
  if (HMAC(MdOf(algorithm), k, static_cast<int>(key.size()), Data(data), data.size(), out, &size) == nullptr) return "";
  return std::string(reinterpret_cast<char*>(out), size);
}

bool SameBytes(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::optional<PemBlock> NextPem(std::string_view text, std::string_view& rest) {
  static constexpr std::string_view kBegin = "-----BEGIN ", kEnd = "-----END ", kDashes = "-----";
  size_t from = 0;
  while (true) {
    size_t begin = text.find(kBegin, from);
    if (begin == std::string_view::npos) return std::nullopt;
    from = begin + 1;
    if (begin > 0 && text[begin - 1] != '\n') continue;
    size_t type_end = text.find(kDashes, begin + kBegin.size());
    if (type_end == std::string_view::npos) return std::nullopt;
    PemBlock block;
    block.type = text.substr(begin + kBegin.size(), type_end - begin - kBegin.size());
    std::string tail = std::string(kEnd) + block.type + std::string(kDashes);
    size_t end = text.find(tail, type_end);
    if (end == std::string_view::npos) return std::nullopt;
    std::string_view body = text.substr(type_end + kDashes.size(), end - type_end - kDashes.size());
    // RFC 1421 headers end with an empty line.
    if (body.find(':') != std::string_view::npos) {
      size_t blank = body.find("\n\n");
      if (blank == std::string_view::npos) continue;
      body = body.substr(blank + 2);
    }
    std::string error, packed;
    for (char c : body) {
      if (c != ' ' && c != '\t') packed += c;
    }
    if (!GoBase64Decode(packed, false, true, block.bytes, error)) continue;
    rest = text.substr(end + tail.size());
    while (!rest.empty() && (rest[0] == '\n' || rest[0] == '\r' || rest[0] == ' ')) rest.remove_prefix(1);
    return block;
  }
}

Key PublicKeyOfCertificate(std::string_view der) {
  const unsigned char* p = Data(der);
  Ptr<X509> cert(d2i_X509(nullptr, &p, static_cast<long>(der.size())));
  if (!cert || p != Data(der) + der.size()) {
    ERR_clear_error();
    return nullptr;
  }
  return Key(X509_get_pubkey(cert.get()));
}
Key PublicKeyFromSpki(std::string_view der) {
  const unsigned char* p = Data(der);
  Key k(d2i_PUBKEY(nullptr, &p, static_cast<long>(der.size())));
  ERR_clear_error();
  return k;
}
Key PrivateKeyFromDer(std::string_view der) {
  const unsigned char* p = Data(der);
  Key k(d2i_AutoPrivateKey(nullptr, &p, static_cast<long>(der.size())));
  ERR_clear_error();
  return k;
}

bool ParseJwks(Arena&, const Value& json, std::vector<Jwk>& out, std::string& error) {
  if (!json.is_object()) {
    error = "failed to parse a JWK key (set): not an object";
    return false;
  }
  Value keys = Get(*json.obj, "keys");
  if (!keys.is_array()) {
    Jwk one;
    if (!OneJwk(*json.obj, one, error)) return false;
    out.push_back(std::move(one));
    return true;
  }
  for (const Value& k : keys.arr->view()) {
    Jwk one;
    if (!k.is_object() || !OneJwk(*k.obj, one, error)) {
      if (error.empty()) error = "failed to parse a JWK key (set): not an object";
      return false;
    }
    out.push_back(std::move(one));
  }
  return true;
}

bool PartsOf(evp_pkey_st* key, RsaParts& out) {
  if (KindOf(key) != KeyKind::kRsa) return false;
  out = {NumberBytes(key, OSSL_PKEY_PARAM_RSA_N),         NumberBytes(key, OSSL_PKEY_PARAM_RSA_E),
         NumberBytes(key, OSSL_PKEY_PARAM_RSA_D),         NumberBytes(key, OSSL_PKEY_PARAM_RSA_FACTOR1),
         NumberBytes(key, OSSL_PKEY_PARAM_RSA_FACTOR2),   NumberBytes(key, OSSL_PKEY_PARAM_RSA_EXPONENT1),
         NumberBytes(key, OSSL_PKEY_PARAM_RSA_EXPONENT2), NumberBytes(key, OSSL_PKEY_PARAM_RSA_COEFFICIENT1)};
  return true;
}

bool EcPartsOf(evp_pkey_st* key, EcParts& out) {
  if (KindOf(key) != KeyKind::kEc) return false;
  out = {NumberBytes(key, OSSL_PKEY_PARAM_EC_PUB_X), NumberBytes(key, OSSL_PKEY_PARAM_EC_PUB_Y),
         NumberBytes(key, OSSL_PKEY_PARAM_PRIV_KEY)};
  return true;
}

std::string Ed25519Seed(evp_pkey_st* key) {
  unsigned char x[32], d[32];
  size_t nx = sizeof x, nd = sizeof d;
  if (EVP_PKEY_get_raw_private_key(key, d, &nd) != 1 || EVP_PKEY_get_raw_public_key(key, x, &nx) != 1) {
    ERR_clear_error();
    return "";
  }
  return std::string(reinterpret_cast<char*>(d), nd) + std::string(reinterpret_cast<char*>(x), nx);
}

bool SamePublicKey(evp_pkey_st* a, evp_pkey_st* b) {
  bool same = EVP_PKEY_eq(a, b) == 1;
  ERR_clear_error();
  return same;
}

bool VerifyChain(const std::vector<std::string>& certs, const ChainOptions& options, std::vector<std::string>& chain) {
  std::vector<Ptr<X509>> parsed;
  for (const auto& der : certs) {
    const unsigned char* p = Data(der);
    parsed.emplace_back(d2i_X509(nullptr, &p, static_cast<long>(der.size())));
    if (!parsed.back()) {
      ERR_clear_error();
      return false;
    }
  }
  Ptr<X509_STORE> store(X509_STORE_new());
  Ptr<X509_STORE_CTX> ctx(X509_STORE_CTX_new());
  Ptr<STACK_OF(X509)> middle(sk_X509_new_null());
  X509_STORE_add_cert(store.get(), parsed[0].get());
  for (size_t i = 1; i + 1 < parsed.size(); ++i) sk_X509_push(middle.get(), parsed[i].get());
  X509_STORE_CTX_init(ctx.get(), store.get(), parsed.back().get(), middle.get());
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(ctx.get());
  X509_VERIFY_PARAM_set_time(param, options.unix_seconds);
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
  if (!options.dns_name.empty()) X509_VERIFY_PARAM_set1_host(param, options.dns_name.c_str(), options.dns_name.size());
  bool ok = X509_verify_cert(ctx.get()) == 1;
  // One of the wanted uses has to be allowed all the way up; a certificate that lists none allows all.
  static constexpr int kNids[] = {NID_anyExtendedKeyUsage, NID_server_auth,    NID_client_auth, NID_code_sign,
                                  NID_email_protect,       NID_ipsecEndSystem, NID_ipsecTunnel, NID_ipsecUser,
                                  NID_time_stamp,          NID_OCSP_sign};
  STACK_OF(X509)* path = ok ? X509_STORE_CTX_get0_chain(ctx.get()) : nullptr;
  bool usable = false;
  for (int usage : options.usages) {
    bool all = usage >= 0 && usage < static_cast<int>(std::size(kNids));
    for (int i = 0; path != nullptr && all && usage != 0 && i < sk_X509_num(path); ++i) {
      Ptr<EXTENDED_KEY_USAGE> listed(static_cast<EXTENDED_KEY_USAGE*>(
          X509_get_ext_d2i(sk_X509_value(path, i), NID_ext_key_usage, nullptr, nullptr)));
      if (!listed) continue;
      bool found = false;
      for (int k = 0; k < sk_ASN1_OBJECT_num(listed.get()); ++k) {
        int nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(listed.get(), k));
        found = found || nid == kNids[usage] || nid == NID_anyExtendedKeyUsage;
      }
      all = found;
    }
    usable = usable || all;
  }
  ok = ok && usable;
  for (int i = 0; ok && i < sk_X509_num(path); ++i) {
    unsigned char* der = nullptr;
    int size = i2d_X509(sk_X509_value(path, i), &der);
    chain.emplace_back(reinterpret_cast<char*>(der), static_cast<size_t>(size));
    OPENSSL_free(der);
  }
  ERR_clear_error();
  return ok;
}

Value PrivateJwk(Arena& arena, evp_pkey_st* key) {
  ObjectBuilder b(arena, 10);
  auto add = [&](std::string_view name, const std::string& bytes) {
    if (!bytes.empty()) b.Add(name, Value::String(arena, Base64UrlEncode(AsBytes(bytes))));
  };
  RsaParts p;
  if (PartsOf(key, p)) {
    b.Add("kty", Value::String(arena, "RSA"));
    add("n", p.n);
    add("e", p.e);
    add("d", p.d);
    add("p", p.p);
    add("q", p.q);
    add("dp", p.dp);
    add("dq", p.dq);
    add("qi", p.qi);
    return b.Finish();
  }
  if (KindOf(key) == KeyKind::kEc) {
    auto size = static_cast<size_t>((EVP_PKEY_get_bits(key) + 7) / 8);
    auto padded = [&](const char* name) {
      std::string s = NumberBytes(key, name);
      if (s.size() < size) s.insert(0, size - s.size(), '\0');
      return s;
    };
    b.Add("kty", Value::String(arena, "EC"));
    b.Add("crv", Value::String(arena, size == 32 ? "P-256" : size == 48 ? "P-384" : "P-521"));
    add("x", padded(OSSL_PKEY_PARAM_EC_PUB_X));
    add("y", padded(OSSL_PKEY_PARAM_EC_PUB_Y));
    add("d", padded(OSSL_PKEY_PARAM_PRIV_KEY));
    return b.Finish();
  }
  if (KindOf(key) == KeyKind::kEd25519) {
    unsigned char x[32], d[32];
    size_t nx = sizeof x, nd = sizeof d;
    EVP_PKEY_get_raw_public_key(key, x, &nx);
    EVP_PKEY_get_raw_private_key(key, d, &nd);
    b.Add("kty", Value::String(arena, "OKP"));
    b.Add("crv", Value::String(arena, "Ed25519"));
    add("x", std::string(reinterpret_cast<char*>(x), nx));
    add("d", std::string(reinterpret_cast<char*>(d), nd));
    return b.Finish();
  }
  return Value();
}

std::string_view HashOf(std::string_view alg) {
  if (alg.ends_with("256")) return "sha256";
  if (alg.ends_with("384")) return "sha384";
  if (alg.ends_with("512")) return "sha512";
  return "";
}

bool VerifyJws(evp_pkey_st* key, std::string_view alg, std::string_view data, std::string_view signature) {
  if (!Matches(key, alg)) return false;
  std::string sig(signature);
  if (alg.starts_with("ES")) {
    // r and s side by side become DER.
    size_t half = sig.size() / 2;
    Ptr<ECDSA_SIG> ec(ECDSA_SIG_new());
    ECDSA_SIG_set0(ec.get(), Number(std::string_view(sig).substr(0, half)).release(),
                   Number(std::string_view(sig).substr(half)).release());
    unsigned char* der = nullptr;
    int size = i2d_ECDSA_SIG(ec.get(), &der);
    if (size <= 0) return false;
    sig.assign(reinterpret_cast<char*>(der), static_cast<size_t>(size));
    OPENSSL_free(der);
  }
  Ptr<EVP_MD_CTX> ctx(EVP_MD_CTX_new());
  EVP_PKEY_CTX* options = nullptr;
  bool ok = EVP_DigestVerifyInit(ctx.get(), &options, MdOf(HashOf(alg)), nullptr, key) == 1;
  if (ok && IsPss(alg)) {
    ok = EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_AUTO) == 1;
  }
  ok = ok && EVP_DigestVerify(ctx.get(), Data(sig), sig.size(), Data(data), data.size()) == 1;
  ERR_clear_error();
  return ok;
}

std::string SignJws(evp_pkey_st* key, std::string_view alg, std::string_view data, std::string& error) {
  auto fail = [&] {
    ERR_clear_error();
    error = "failed to sign with algorithm " + std::string(alg) + ": the key does not fit";
    return std::string();
  };
  if (!Matches(key, alg)) return fail();
  Ptr<EVP_MD_CTX> ctx(EVP_MD_CTX_new());
  EVP_PKEY_CTX* options = nullptr;
  if (EVP_DigestSignInit(ctx.get(), &options, MdOf(HashOf(alg)), nullptr, key) != 1) return fail();
  if (IsPss(alg) && (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) != 1 ||
                     EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) != 1)) {
    return fail();
  }
  size_t size = 0;
  if (EVP_DigestSign(ctx.get(), nullptr, &size, Data(data), data.size()) != 1) return fail();
  std::string out(size, '\0');
  if (EVP_DigestSign(ctx.get(), reinterpret_cast<unsigned char*>(out.data()), &size, Data(data), data.size()) != 1)
    return fail();
  out.resize(size);
  if (!alg.starts_with("ES")) return out;
  const unsigned char* p = Data(out);
  Ptr<ECDSA_SIG> ec(d2i_ECDSA_SIG(nullptr, &p, static_cast<long>(out.size())));
  if (!ec) return fail();
  int half = (EVP_PKEY_get_bits(key) + 7) / 8;
  std::string flat(static_cast<size_t>(half) * 2, '\0');
  BN_bn2binpad(ECDSA_SIG_get0_r(ec.get()), reinterpret_cast<unsigned char*>(flat.data()), half);
  BN_bn2binpad(ECDSA_SIG_get0_s(ec.get()), reinterpret_cast<unsigned char*>(flat.data()) + half, half);
  return flat;
}

}  // namespace hexr::rego
