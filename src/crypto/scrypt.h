// Keys from passphrases: scrypt (RFC 7914). Stateless function, thread-safe.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"
#include "crypto/secret.h"

namespace hexr::crypto {

// Memory used is about 128·n·r bytes: 128 MiB as set here, about half a second.
struct ScryptCost {
  uint64_t n = 1U << 17;  // a power of two
  uint32_t r = 8;
  uint32_t p = 1;
};

// INVALID_ARGUMENT: a cost that is no cost, or one beyond 1 GiB, so that a damaged file cannot ask for all memory.
Result<Secret> Scrypt(const Secret& passphrase, ByteView salt, const ScryptCost& cost, size_t size);

}  // namespace hexr::crypto
