// Operator commands over the node's admin socket.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "base/unique_function.h"
#include "config/paths.h"
#include "crypto/secret.h"
#include "wire/json.h"

namespace hexr::cli {

struct AdminReply {
  wire::Json json;
  crypto::Secret secret = {};  // vault get alone
};

// One call, one answer. UNAVAILABLE says how to start the node.
Result<AdminReply> Admin(const config::Paths& paths, const std::string& method,
                         const std::map<std::string, std::string>& args, const crypto::Secret& secret = {});
// A call with a stream of answers: `each` returns false to stop.
Status AdminStream(const config::Paths& paths, const std::string& method,
                   const std::map<std::string, std::string>& args, UniqueFunction<bool(const wire::Json&)> each);

}  // namespace hexr::cli
