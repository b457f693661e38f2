// Operator commands over the node's admin socket.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
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

}  // namespace hexr::cli
