// A URI taken apart as Go's net/url does.
#pragma once

#include <string>
#include <string_view>

namespace hexr::rego {

struct Uri {
  std::string scheme, opaque, hostname, port, path, raw_path, raw_query, fragment;
  std::string host;          // with port and brackets, as written
  std::string escaped_path;  // as written
  bool has_user = false;
};
// False with Go's message in `error`.
bool ParseUri(std::string_view text, Uri& out, std::string& error);

}  // namespace hexr::rego
