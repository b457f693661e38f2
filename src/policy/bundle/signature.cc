#include "policy/bundle/signature.h"

#include <openssl/pem.h>

#include <algorithm>
#include <memory>
#include <set>

#include "base/bytes.h"
#include "crypto/openssl_ptr.h"
#include "crypto/secret.h"
#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"
#include "policy/rego/value/yaml.h"

namespace hexr::policy {
namespace {

using rego::Value;

using crypto::BioPtr;
using crypto::PkeyPtr;

// A key file that asks for a passphrase is refused, not asked.
int NoPassphrase(char*, int, int, void*) { return -1; }

PkeyPtr PrivateFrom(std::string_view pem) {
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  return PkeyPtr(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
}

PkeyPtr PublicFrom(std::string_view pem) {
  BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (PkeyPtr k(PEM_read_bio_PUBKEY(bio.get(), nullptr, NoPassphrase, nullptr)); k) return k;
  BioPtr again(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (crypto::X509Ptr c(PEM_read_bio_X509(again.get(), nullptr, NoPassphrase, nullptr)); c)
    return PkeyPtr(X509_get_pubkey(c.get()));
  return PrivateFrom(pem);
}

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

Error Refused(std::string why) { return Unauthenticated("bundle signature: " + std::move(why)); }

struct Listed {
  std::string hash, algorithm;
};

Result<Value> Member(const Value& object, std::string_view name, rego::Kind kind) {
  if (!object.is_object()) return Refused("not a JSON object");
  const int64_t at = rego::FindText(*object.obj, name);
  if (at < 0 || object.obj->values[at].kind != kind) return Refused("no " + std::string(name));
  return object.obj->values[at];
}

std::string TextOr(const Value& object, std::string_view name) {
  const int64_t at = rego::FindText(*object.obj, name);
  return at >= 0 && object.obj->values[at].is_string() ? std::string(object.obj->values[at].text()) : std::string();
}

// The files that a token vouches for, once its signature holds.
Result<std::map<std::string, Listed>> Verified(std::string_view token, const Verification& verification,
                                               rego::Arena& arena) {
  const size_t first = token.find('.'), second = token.find('.', first + 1);
  if (first == std::string_view::npos || second == std::string_view::npos ||
      token.find('.', second + 1) != std::string_view::npos)
    return Refused("not a JWT");
  const auto header_bytes = Base64UrlDecode(token.substr(0, first));
  const auto payload_bytes = Base64UrlDecode(token.substr(first + 1, second - first - 1));
  const auto signature = Base64UrlDecode(token.substr(second + 1));
  if (!header_bytes.ok() || !payload_bytes.ok() || !signature.ok()) return Refused("not a JWT");
  auto header = rego::ParseJson(arena, AsText(*header_bytes));
  auto payload = rego::ParseJson(arena, AsText(*payload_bytes));
  if (!header.ok() || !payload.ok() || !header->is_object() || !payload->is_object()) return Refused("not a JWT");
  std::string key_id = verification.key_id;
  if (key_id.empty()) key_id = TextOr(*header, "kid");
  if (key_id.empty()) key_id = TextOr(*payload, "keyid");
  if (key_id.empty()) return Refused("it names no key");
  const auto it = verification.keys.find(key_id);
  if (it == verification.keys.end()) return Refused("no key '" + key_id + "' is configured");
  const VerificationKey& key = it->second;
  if (TextOr(*header, "alg") != crypto::AlgorithmName(key.algorithm))
    return Refused("it is not made with " + std::string(crypto::AlgorithmName(key.algorithm)));
  if (!key.key.Verify(key.algorithm, AsBytes(token.substr(0, second)), *signature))
    return Refused("it does not fit the key '" + key_id + "'");
  const std::string& scope = verification.scope.empty() ? key.scope : verification.scope;
  if (TextOr(*payload, "scope") != scope) return Refused("its scope is not '" + scope + "'");
  ASSIGN_OR_RETURN(const Value files, Member(*payload, "files", rego::Kind::kArray));
  std::map<std::string, Listed> out;
  for (const Value& f : files.arr->view()) {
    ASSIGN_OR_RETURN(const Value name, Member(f, "name", rego::Kind::kString));
    ASSIGN_OR_RETURN(const Value hash, Member(f, "hash", rego::Kind::kString));
    std::string_view path = name.text();
    if (path.starts_with("/")) path.remove_prefix(1);
    out[std::string(path)] = {std::string(hash.text()), TextOr(f, "algorithm")};
  }
  return out;
}

const EVP_MD* DigestNamed(std::string_view name) {
  if (name == "SHA-256") return EVP_sha256();
  if (name == "SHA-384") return EVP_sha384();
  if (name == "SHA-512") return EVP_sha512();
  if (name == "SHA-224") return EVP_sha224();
  if (name == "SHA-512-224") return EVP_sha512_224();
  if (name == "SHA-512-256") return EVP_sha512_256();
  return nullptr;  // MD5 and SHA-1 vouch for nothing
}

}  // namespace

Result<VerificationKey> ParseVerificationKey(std::string_view pem, std::string_view algorithm) {
  const PkeyPtr key = PublicFrom(pem);
  if (!key) return InvalidArgument("no public key, certificate or private key in PEM");
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key.get(), &der);
  if (size <= 0) return InvalidArgument("the key cannot be read");
  const Bytes spki(der, der + size);
  OPENSSL_free(der);
  ASSIGN_OR_RETURN(crypto::PublicKey parsed, crypto::PublicKey::FromSpki(spki));
  crypto::SignatureAlgorithm use = crypto::DefaultAlgorithm(parsed.type());
  if (!algorithm.empty()) {
    ASSIGN_OR_RETURN(use, crypto::ParseAlgorithm(algorithm));
  }
  if (!crypto::Fits(use, parsed.type()))
    return InvalidArgument(std::string(crypto::AlgorithmName(use)) + " does not fit a key of type " +
                           std::string(crypto::KeyTypeName(parsed.type())));
  return VerificationKey{std::move(parsed), use, {}};
}

Result<crypto::PrivateKey> ParseSigningKey(std::string_view pem) {
  const PkeyPtr key = PrivateFrom(pem);
  if (!key) return InvalidArgument("no private key in PEM");
  const std::unique_ptr<PKCS8_PRIV_KEY_INFO, crypto::OpenSslFree<PKCS8_PRIV_KEY_INFO_free>> info(
      EVP_PKEY2PKCS8(key.get()));
  unsigned char* der = nullptr;
  const int size = info ? i2d_PKCS8_PRIV_KEY_INFO(info.get(), &der) : 0;
  if (size <= 0) return InvalidArgument("the private key cannot be read");
  const crypto::Secret secret = crypto::Secret::Copy({der, static_cast<size_t>(size)});
  OPENSSL_clear_free(der, static_cast<size_t>(size));
  return crypto::PrivateKey::FromPkcs8(secret);
}

Result<std::string> FileDigest(const BundleFile& file, std::string_view algorithm) {
  const EVP_MD* md = DigestNamed(algorithm);
  if (md == nullptr) return Refused("digest algorithm '" + std::string(algorithm) + "' is not accepted");
  const std::string name = BaseName(file.path);
  std::string canonical;
  std::string_view bytes = file.bytes;
  if (name == "data.json" || name == ".manifest" || name == "data.yaml") {
    rego::Arena arena;
    auto v = rego::ParseJson(arena, file.bytes);
    if (!v.ok() && name == "data.yaml") v = rego::ParseYaml(arena, file.bytes);
    if (!v.ok()) return v.error().WithContext(file.path);
    rego::AppendJson(*v, {.prefix = "", .indent = "", .escape_html = false}, canonical);
    bytes = canonical;
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest, &size, md, nullptr) != 1) return Internal("no digest");
  return HexEncode({digest, size});
}

Status VerifyBundle(const std::vector<BundleFile>& files, const Verification& verification) {
  const auto it =
      std::find_if(files.begin(), files.end(), [](const BundleFile& f) { return f.path == kSignaturesFile; });
  if (it == files.end()) return Refused("the bundle has no .signatures.json");
  rego::Arena arena;
  auto document = rego::ParseJson(arena, it->bytes);
  if (!document.ok()) return Refused(".signatures.json is no JSON");
  ASSIGN_OR_RETURN(const Value tokens, Member(*document, "signatures", rego::Kind::kArray));
  if (tokens.arr->size != 1 || !tokens.arr->items[0].is_string()) return Refused("exactly one JWT is expected");
  ASSIGN_OR_RETURN(auto listed, Verified(tokens.arr->items[0].text(), verification, arena));
  for (const BundleFile& f : files) {
    if (f.path == kSignaturesFile) continue;
    const auto entry = listed.find(f.path);
    if (entry == listed.end()) return Refused("it does not list " + f.path);
    ASSIGN_OR_RETURN(const std::string digest, FileDigest(f, entry->second.algorithm));
    std::string said = entry->second.hash;
    std::transform(said.begin(), said.end(), said.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (digest != said) return Refused(f.path + " was changed after it was signed");
    listed.erase(entry);
  }
  if (!listed.empty()) return Refused("it lists " + listed.begin()->first + ", which the bundle does not hold");
  return Ok();
}

Result<std::string> SignBundle(const std::vector<BundleFile>& files, const crypto::PrivateKey& key,
                               crypto::SignatureAlgorithm algorithm, std::string_view key_id, std::string_view scope) {
  rego::Arena arena;
  rego::ArrayBuilder list(arena);
  for (const BundleFile& f : files) {
    if (f.path == kSignaturesFile) continue;
    ASSIGN_OR_RETURN(const std::string digest, FileDigest(f, "SHA-256"));
    rego::ObjectBuilder entry(arena);
    entry.Add("name", Value::String(arena, f.path));
    entry.Add("hash", Value::String(arena, digest));
    entry.Add("algorithm", Value::String(arena, "SHA-256"));
    list.Add(entry.Finish());
  }
  rego::ObjectBuilder payload(arena);
  payload.Add("files", list.Finish());
  if (!key_id.empty()) payload.Add("keyid", Value::String(arena, key_id));
  if (!scope.empty()) payload.Add("scope", Value::String(arena, scope));
  rego::ObjectBuilder header(arena);
  header.Add("alg", Value::String(arena, crypto::AlgorithmName(algorithm)));
  header.Add("typ", Value::String(arena, "JWT"));
  if (!key_id.empty()) header.Add("kid", Value::String(arena, key_id));
  std::string token = Base64UrlEncode(AsBytes(rego::ToJson(header.Finish()))) + "." +
                      Base64UrlEncode(AsBytes(rego::ToJson(payload.Finish())));
  ASSIGN_OR_RETURN(const Bytes signature, key.Sign(algorithm, AsBytes(token)));
  token += "." + Base64UrlEncode(signature);
  return "{\"signatures\":[\"" + token + "\"]}\n";
}

}  // namespace hexr::policy
