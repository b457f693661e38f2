// Signatures of bundles, as OPA makes and checks them: .signatures.json holds one JWT that names every file with its
// SHA digest. Stateless; thread-safe.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/keys.h"
#include "policy/bundle/archive.h"

namespace hexr::policy {

inline constexpr std::string_view kSignaturesFile = ".signatures.json";

struct VerificationKey {
  crypto::PublicKey key;
  crypto::SignatureAlgorithm algorithm;  // the only one it may be used with
  std::string scope;
};

struct Verification {
  std::map<std::string, VerificationKey> keys;  // by id
  std::string key_id;                           // use this key, whatever the signature names
  std::string scope;                            // what the signature must say; "": the key's
};

// A key in PEM: a public key, a certificate, or a private key whose public half counts. Algorithm "": the key's usual.
Result<VerificationKey> ParseVerificationKey(std::string_view pem, std::string_view algorithm);
Result<crypto::PrivateKey> ParseSigningKey(std::string_view pem);

// UNAUTHENTICATED: no signature, an unknown key, another algorithm, a wrong signature or scope, a file that is not
// listed, that is missing, or whose digest is another one.
Status VerifyBundle(const std::vector<BundleFile>& files, const Verification& verification);
// The content of .signatures.json for `files`.
Result<std::string> SignBundle(const std::vector<BundleFile>& files, const crypto::PrivateKey& key,
                               crypto::SignatureAlgorithm algorithm, std::string_view key_id, std::string_view scope);

// Hexadecimal digest of a file. Of documents (data.json, data.yaml, .manifest) it is their content that counts, with
// keys in order and no white space. `algorithm`: SHA-256, SHA-384, SHA-512 and OPA's other names of them.
Result<std::string> FileDigest(const BundleFile& file, std::string_view algorithm);

}  // namespace hexr::policy
