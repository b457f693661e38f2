// Byte strings and their text forms. Stateless functions, thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hexr {

using Bytes = std::vector<uint8_t>;
using ByteView = std::span<const uint8_t>;

inline ByteView AsBytes(std::string_view s) { return {reinterpret_cast<const uint8_t*>(s.data()), s.size()}; }
inline std::string_view AsText(ByteView b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }
inline Bytes ToBytes(std::string_view s) { return {s.begin(), s.end()}; }

// Lower-case hexadecimal.
std::string HexEncode(ByteView bytes);
// Either case, even length; anything else is INVALID_ARGUMENT.
Result<Bytes> HexDecode(std::string_view text);

// RFC 4648 section 4, padded. Decoding is strict: right padding, no white space, zero trailing bits.
std::string Base64Encode(ByteView bytes);
Result<Bytes> Base64Decode(std::string_view text);

// RFC 4648 section 5 without padding (RFC 7515 appendix C). Decoding refuses padding and non-zero trailing bits.
std::string Base64UrlEncode(ByteView bytes);
Result<Bytes> Base64UrlDecode(std::string_view text);

// Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
bool IsUtf8(std::string_view text);

}  // namespace hexr
