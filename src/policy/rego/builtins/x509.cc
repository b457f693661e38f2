// Certificates, requests, key pairs and private keys.
#include <algorithm>

#include "base/bytes.h"
#include "policy/rego/builtins/keys.h"
#include "policy/rego/builtins/support.h"
#include "policy/rego/builtins/text_codecs.h"
#include "policy/rego/builtins/x509_json.h"

namespace hexr::rego {
namespace {

// PEM text, or base64 of PEM or DER.
bool Unwrap(Call& c, std::string_view text, std::string_view prefix, std::string& out) {
  if (text.starts_with(prefix)) {
    out = text;
    return true;
  }
  std::string error;
  if (GoBase64Decode(text, false, true, out, error)) return true;
  c.Fail(error);
  return false;
}

// The DER of each certificate.
bool Certificates(Call& c, std::string_view text, std::vector<std::string>& out) {
  std::string data;
  if (!Unwrap(c, text, "-----BEGIN", data)) return false;
  std::string der;
  if (std::string_view(data).starts_with("-----BEGIN")) {
    std::string_view rest = data;
    while (auto block = NextPem(rest, rest)) {
      if (block->type != "CERTIFICATE") {
        c.Fail("PEM block type is '" + block->type + "', expected CERTIFICATE");
        return false;
      }
      der += block->bytes;
    }
  } else {
    der = data;
  }
  std::vector<std::string_view> parts;
  if (!SplitDer(der, parts)) {
    c.Fail("x509: malformed certificate");
    return false;
  }
  for (auto p : parts) out.emplace_back(p);
  return true;
}

bool CertificateList(Call& c, const std::vector<std::string>& certs, bool uris, Value& out) {
  ArrayBuilder list(c.arena, certs.size());
  for (const auto& der : certs) {
    Value v = CertificateJson(c.arena, der, uris);
    if (!v.defined()) {
      c.Fail("x509: malformed certificate");
      return false;
    }
    list.Add(v);
  }
  out = list.Finish();
  return true;
}

Value ParseCertificates(Call& c) {
  std::string_view text;
  std::vector<std::string> certs;
  Value out;
  return TakeString(c, 0, text) && Certificates(c, text, certs) && CertificateList(c, certs, true, out) ? out : Value();
}

Value Refused(Call& c) {
  Value pair[] = {Value::Bool(false), EmptyArray()};
  return MakeArray(c.arena, pair);
}

Value VerifyText(Call& c, std::string_view text, const ChainOptions& options, bool uris) {
  std::vector<std::string> certs, chain;
  Call probe(c.arena, c.services, c.args);
  Value list;
  if (!Certificates(probe, text, certs) || certs.size() < 2 || !VerifyChain(certs, options, chain) ||
      !CertificateList(probe, chain, uris, list)) {
    return Refused(c);
  }
  Value pair[] = {Value::Bool(true), list};
  return MakeArray(c.arena, pair);
}

int64_t NowSeconds(Call& c) {
  return std::chrono::floor<std::chrono::seconds>(c.services.clock.Wall()).time_since_epoch().count();
}

Value ParseAndVerifyChain(Call& c) {
  std::string_view text;
  if (!TakeString(c, 0, text)) return Value();
  ChainOptions options;
  options.unix_seconds = NowSeconds(c);
  return VerifyText(c, text, options, true);
}

Value ParseAndVerifyWithOptions(Call& c) {
  static constexpr std::string_view kUsages[] = {"KeyUsageAny",
                                                 "KeyUsageServerAuth",
                                                 "KeyUsageClientAuth",
                                                 "KeyUsageCodeSigning",
                                                 "KeyUsageEmailProtection",
                                                 "KeyUsageIPSECEndSystem",
                                                 "KeyUsageIPSECTunnel",
                                                 "KeyUsageIPSECUser",
                                                 "KeyUsageTimeStamping",
                                                 "KeyUsageOCSPSigning",
                                                 "KeyUsageMicrosoftServerGatedCrypto",
                                                 "KeyUsageNetscapeServerGatedCrypto",
                                                 "KeyUsageMicrosoftCommercialCodeSigning",
                                                 "KeyUsageMicrosoftKernelCodeSigning"};
  std::string_view text;
  const Obj* wanted;
  if (!TakeString(c, 0, text) || !TakeObject(c, 1, wanted)) return Value();
  ChainOptions options;
  options.unix_seconds = NowSeconds(c);
  for (uint32_t i = 0; i < wanted->size; ++i) {
    if (!wanted->keys[i].is_string()) continue;
    std::string_view key = wanted->keys[i].text();
    const Value& v = wanted->values[i];
    if (key == "DNSName") {
      if (!v.is_string()) return c.Fail("'DNSName' should be a string");
      options.dns_name = v.text();
    } else if (key == "CurrentTime") {
      auto ns = v.is_number() ? ToInt64(v) : std::nullopt;
      if (!ns)
        return c.Fail(v.is_number() ? "'CurrentTime' should be a valid int64 number"
                                    : "'CurrentTime' should be a number");
      options.unix_seconds = *ns / 1000000000;
    } else if (key == "MaxConstraintComparisons") {
      if (!v.is_number() || !ToInt64(v)) return c.Fail("'MaxConstraintComparisons' should be a number");
    } else if (key == "KeyUsages") {
      bool ok = false;
      std::string invalid;
      options.usages.clear();
      for (const Value& u : Elements(v, ok)) {
        auto at = u.is_string() ? std::find(std::begin(kUsages), std::end(kUsages), u.text()) : std::end(kUsages);
        if (at != std::end(kUsages))
          options.usages.push_back(static_cast<int>(at - std::begin(kUsages)));
        else if (u.is_string())
          invalid += (invalid.empty() ? "" : " ") + std::string(u.text());
      }
      if (!ok) return c.Fail("'KeyUsages' should be an Array or Set");
      if (!invalid.empty()) return c.Fail("invalid entries for 'KeyUsages' found: [" + invalid + "]");
    } else {
      return c.Fail("invalid key option");
    }
  }
  return VerifyText(c, text, options, false);
}

Value ParseCertificateRequest(Call& c) {
  std::string_view text;
  std::string data;
  if (!TakeString(c, 0, text) || !Unwrap(c, text, "-----BEGIN CERTIFICATE REQUEST-----", data)) return Value();
  std::string_view rest;
  if (auto block = NextPem(data, rest)) {
    if (block->type != "CERTIFICATE REQUEST") return c.Fail("invalid PEM-encoded certificate signing request");
    data = block->bytes;
  }
  Value v = CertificateRequestJson(c.arena, data);
  return v.defined() ? v : c.Fail("asn1: structure error: malformed certificate request");
}

// The private keys of PEM text, or of base64 of it.
bool PrivateKeys(Call& c, std::string_view text, std::vector<Key>& out) {
  std::string data, error;
  if (!GoBase64Decode(text, false, true, data, error)) data = text;
  std::string_view rest = data;
  while (auto block = NextPem(rest, rest)) {
    if (block->type != "RSA PRIVATE KEY" && block->type != "PRIVATE KEY" && block->type != "EC PRIVATE KEY") continue;
    Key k = PrivateKeyFromDer(block->bytes);
    if (!k) {
      c.Fail("x509: failed to parse private key");
      return false;
    }
    out.push_back(std::move(k));
  }
  return true;
}

// As Go's json.Marshal shows its key types.
Value KeyJson(Arena& arena, evp_pkey_st* key) {
  RsaParts p;
  ObjectBuilder b(arena, 6);
  if (PartsOf(key, p)) {
    Value primes[] = {BigEndian(arena, p.p), BigEndian(arena, p.q)};
    ObjectBuilder pre(arena, 4);
    pre.Add("Dp", BigEndian(arena, p.dp));
    pre.Add("Dq", BigEndian(arena, p.dq));
    pre.Add("Qinv", BigEndian(arena, p.qi));
    pre.Add("CRTValues", EmptyArray());
    b.Add("N", BigEndian(arena, p.n));
    b.Add("E", BigEndian(arena, p.e));
    b.Add("D", BigEndian(arena, p.d));
    b.Add("Primes", MakeArray(arena, primes));
    b.Add("Precomputed", pre.Finish());
    return b.Finish();
  }
  EcParts e;
  if (EcPartsOf(key, e)) {
    b.Add("Curve", EmptyObject());
    b.Add("X", BigEndian(arena, e.x));
    b.Add("Y", BigEndian(arena, e.y));
    b.Add("D", BigEndian(arena, e.d));
    return b.Finish();
  }
  return Value::String(arena, Base64Encode(AsBytes(Ed25519Seed(key))));
}

Value ParsePrivateKeys(Call& c) {
  std::string_view text;
  std::vector<Key> keys;
  if (!TakeString(c, 0, text)) return Value();
  if (text.empty()) return Value::Null();
  if (!PrivateKeys(c, text, keys)) return Value();
  ArrayBuilder out(c.arena, keys.size());
  for (const Key& k : keys) out.Add(KeyJson(c.arena, k.get()));
  return out.Finish();
}
Value ParseRsaPrivateKey(Call& c) {
  std::string_view text;
  std::string data;
  std::vector<Key> keys;
  if (!TakeString(c, 0, text)) return Value();
  if (text.empty()) return c.Fail("input PEM data was empty");
  if (!Unwrap(c, text, "-----BEGIN", data) || !PrivateKeys(c, data, keys)) return Value();
  return keys.empty() ? Value::Null() : PrivateJwk(c.arena, keys[0].get());
}

Value ParseKeyPair(Call& c) {
  std::string_view cert_text, key_text;
  if (!TakeString(c, 0, cert_text) || !TakeString(c, 1, key_text)) return Value();
  std::string cert_pem, key_pem;
  if (cert_text.empty()) return c.Fail("tls: failed to find any PEM data in certificate input");
  if (!Unwrap(c, cert_text, "-----BEGIN", cert_pem) || !Unwrap(c, key_text, "-----BEGIN", key_pem)) return Value();
  ArrayBuilder chain(c.arena);
  std::string leaf;
  std::string_view rest = cert_pem;
  while (auto block = NextPem(rest, rest)) {
    if (block->type != "CERTIFICATE") continue;
    if (leaf.empty()) leaf = block->bytes;
    chain.Add(c.Text(Base64Encode(AsBytes(block->bytes))));
  }
  if (leaf.empty()) return c.Fail("tls: failed to find any PEM data in certificate input");
  std::vector<Key> keys;
  if (!PrivateKeys(c, key_pem, keys)) return Value();
  if (keys.empty()) return c.Fail("tls: failed to find any PEM data in key input");
  Key expected = PublicKeyOfCertificate(leaf);
  Value leaf_json = CertificateJson(c.arena, leaf, false);
  if (!expected || !leaf_json.defined()) return c.Fail("x509: malformed certificate");
  if (!SamePublicKey(expected.get(), keys[0].get())) return c.Fail("tls: private key does not match public key");
  ObjectBuilder b(c.arena, 6);
  b.Add("Certificate", chain.Finish());
  b.Add("Leaf", leaf_json);
  b.Add("PrivateKey", KeyJson(c.arena, keys[0].get()));
  b.Add("OCSPStaple", Value::Null());
  b.Add("SignedCertificateTimestamps", Value::Null());
  b.Add("SupportedSignatureAlgorithms", Value::Null());
  return b.Finish();
}

}  // namespace

std::span<const Builtin> X509Builtins() {
  static constexpr Builtin kTable[] = {
      {.name = "crypto.x509.parse_certificates", .arity = 1, .fn = ParseCertificates},
      {.name = "crypto.x509.parse_and_verify_certificates", .arity = 1, .fn = ParseAndVerifyChain},
      {.name = "crypto.x509.parse_and_verify_certificates_with_options", .arity = 2, .fn = ParseAndVerifyWithOptions},
      {.name = "crypto.x509.parse_certificate_request", .arity = 1, .fn = ParseCertificateRequest},
      {.name = "crypto.x509.parse_keypair", .arity = 2, .fn = ParseKeyPair},
      {.name = "crypto.x509.parse_rsa_private_key", .arity = 1, .fn = ParseRsaPrivateKey},
      {.name = "crypto.parse_private_keys", .arity = 1, .fn = ParsePrivateKeys},
  };
  return kTable;
}

}  // namespace hexr::rego
