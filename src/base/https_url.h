// The form of URLs that an operator writes down or a document names. Stateless, thread-safe.
#pragma once

#include <string_view>

#include "base/result.h"

namespace hexr {

// "https://host[:port][/path]" without user, fragment, white space or control characters. INVALID_ARGUMENT otherwise.
Status CheckHttpsUrl(std::string_view url);
// The same with http:// allowed as well, for answers that carry their own proof.
Status CheckHttpUrl(std::string_view url);
// "host[:port]" of a URL that one of the two has passed.
std::string_view UrlAuthority(std::string_view url);

}  // namespace hexr
