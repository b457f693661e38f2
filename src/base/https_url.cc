#include "base/https_url.h"

namespace hexr {
namespace {

constexpr std::string_view kHttps = "https://";
constexpr std::string_view kHttp = "http://";

Status CheckRest(std::string_view url) {
  const std::string_view host = UrlAuthority(url);
  if (host.empty() || host.front() == ':' || host.find_first_of("@?\\") != std::string_view::npos)
    return InvalidArgument("a URL needs a host, and no user");
  for (const char c : url) {
    if (c <= ' ' || c == 0x7f || c == '#')
      return InvalidArgument("a URL has no fragment, white space or control characters");
  }
  return Ok();
}

}  // namespace

Status CheckHttpsUrl(std::string_view url) {
  if (!url.starts_with(kHttps)) return InvalidArgument("a URL has to begin with https://");
  return CheckRest(url);
}

Status CheckHttpUrl(std::string_view url) {
  if (!url.starts_with(kHttps) && !url.starts_with(kHttp))
    return InvalidArgument("a URL has to begin with https:// or http://");
  return CheckRest(url);
}

std::string_view UrlAuthority(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return {};
  const std::string_view rest = url.substr(scheme + 3);
  return rest.substr(0, rest.find('/'));
}

}  // namespace hexr
