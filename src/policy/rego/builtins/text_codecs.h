// Text encodings with the leniency and the error texts of Go's libraries. Stateless.
#pragma once

#include <string>
#include <string_view>

namespace hexr::rego {

// encoding/base64: line breaks are skipped; unused trailing bits are ignored.
bool GoBase64Decode(std::string_view s, bool url, bool padded, std::string& out, std::string& error);
// base64url with or without padding (RFC 7515 appendix C).
bool GoBase64UrlDecodeLax(std::string_view s, std::string& out, std::string& error);
// net/url QueryEscape and QueryUnescape: space is +.
std::string QueryEscape(std::string_view s);
bool QueryUnescape(std::string_view s, std::string& out, std::string& error);
// Percent-decoding alone.
bool PercentDecode(std::string_view s, bool plus_is_space, std::string& out, std::string& error);

}  // namespace hexr::rego
