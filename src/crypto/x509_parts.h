// Parts that certificates, requests and revocation lists share. Internal to crypto.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/keys.h"

namespace hexr::crypto {

// The algorithms that we read and write on certificates: ECDSA and RSA with SHA-256 or better, so no SHA-1.
// `contents` is what stands inside the AlgorithmIdentifier.
Result<SignatureAlgorithm> ParseSignatureAlgorithm(ByteView contents);
// The whole AlgorithmIdentifier.
Bytes EncodeSignatureAlgorithm(SignatureAlgorithm algorithm);

// The contents of a GeneralNames: URIs and DNS names are appended, other kinds skipped.
Status ReadAltNames(ByteView contents, std::vector<std::string>& uris, std::vector<std::string>& dns_names);

// SEQUENCE {tbs, algorithm, BIT STRING}: what signing makes of a body.
Result<Bytes> SignBody(const PrivateKey& key, ByteView tbs);

// An Extension (RFC 5280 4.1).
Bytes EncodeExtension(ByteView oid, bool critical, ByteView value);

}  // namespace hexr::crypto
