// Files that an operator names. Stateless functions; thread-safe.
#pragma once

#include <string>

#include "base/result.h"

namespace hexr::cli {

// All of a file. Errors name it.
Result<std::string> ReadFile(const std::string& path);
// Likewise where the command line names the file: whatever is wrong with it is INVALID_ARGUMENT.
Result<std::string> ReadNamedFile(const std::string& path);

}  // namespace hexr::cli
