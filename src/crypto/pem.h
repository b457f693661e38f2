// PEM (RFC 7468): blocks of base64 between BEGIN and END lines. Stateless functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/limits/keys.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace hexr::crypto {

std::string PemEncode(std::string_view label, ByteView der);
// For private keys: the text is as secret as the key.
Secret PemEncodeSecret(std::string_view label, const Secret& der);

// Every block in order; text between blocks is skipped, as other tools write comments there. INVALID_ARGUMENT: no
// block, one with another label, or a broken one. At most limits::kMaxPemBytes of text.
Result<std::vector<Bytes>> PemDecode(std::string_view text, std::string_view label);
// The one block of a private key file.
Result<Secret> PemDecodeSecret(std::string_view text, std::string_view label);

}  // namespace hexr::crypto
