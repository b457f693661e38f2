// Files that the configuration names. Stateless, thread-safe.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"
#include "base/wiped.h"

namespace hexr::keeper {

// A regular file, whole. NOT_FOUND and PERMISSION_DENIED with its name; RESOURCE_EXHAUSTED over `max_bytes`.
// The same for what is a secret.
Result<WipedBytes> ReadConfiguredBytes(const std::string& path, size_t max_bytes);
Result<std::string> ReadConfiguredFile(const std::string& path, size_t max_bytes);

}  // namespace hexr::keeper
