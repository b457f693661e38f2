// A passphrase from a person or a file: never from argv, never echoed.
#pragma once

#include <string>

#include "base/result.h"
#include "crypto/secret.h"

namespace hexr::cli {

// From `file`, or else from the terminal (asked `twice` where it is new), or else the first line of stdin.
// INVALID_ARGUMENT outside limits::kMinPassphraseBytes to kMaxPassphraseBytes, or when the two differ.
Result<crypto::Secret> ReadPassphrase(const std::string& file, bool twice);

}  // namespace hexr::cli
