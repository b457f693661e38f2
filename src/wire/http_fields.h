// Header fields and request targets of HTTP, any version (RFC 9110, RFC 9112 section 3). Stateless, thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hexr::wire {

struct HttpField {
  std::string name;
  std::string value;
  bool operator==(const HttpField&) const = default;
};

// RFC 9110 5.6.2; also what a method is.
bool IsHttpToken(std::string_view text);
// RFC 9110 5.5: visible characters, blanks and bytes from 80 up, with no blank at either end. No CR, LF or NUL.
bool IsHttpFieldValue(std::string_view text);
// ASCII, as field names and many values compare.
bool EqualsIgnoreCase(std::string_view a, std::string_view b);

// Without blanks and tabs at either end (RFC 9110 5.6.3).
std::string_view TrimBlanks(std::string_view s);

// The only value of `name` (any case); nothing when the field is absent or stands there more than once.
std::optional<std::string_view> OnlyField(const std::vector<HttpField>& fields, std::string_view name);
size_t CountFields(const std::vector<HttpField>& fields, std::string_view name);
// Replaces every `name` by one, or appends it.
void SetField(std::vector<HttpField>& fields, std::string_view name, std::string_view value);
void RemoveField(std::vector<HttpField>& fields, std::string_view name);
// Whether `token` is an element of the comma-separated lists in fields `name` (Connection, Upgrade…).
bool ListHolds(const std::vector<HttpField>& fields, std::string_view name, std::string_view token);
// What belongs to one connection and is not passed on (RFC 9110 7.6.1): Connection, all that it names, and the fields
// that always do. Host stays, whatever Connection says.
void RemoveHopByHop(std::vector<HttpField>& fields);

// A host and port as they stand in a URI or a Host field: "a.example:8080", "[::1]:80". The host is lower case and
// without brackets; a missing port is 0.
struct HttpAuthority {
  std::string host;
  uint16_t port = 0;
  bool ipv6 = false;
  // With brackets where needed; without the port when it is 0.
  std::string ToString() const;
  // INVALID_ARGUMENT for user information, white space, empty host, bytes that are in no host name, a port that is no
  // number from 1 to 65535.
  static Result<HttpAuthority> Parse(std::string_view text);
  bool operator==(const HttpAuthority&) const = default;
};

// RFC 9112 3.2.
struct HttpTarget {
  enum class Form : uint8_t { kOrigin, kAbsolute, kAuthority, kAsterisk };
  Form form = Form::kOrigin;
  std::string scheme;       // kAbsolute: "http" or "https"
  HttpAuthority authority;  // kAbsolute, kAuthority
  std::string path;         // kOrigin, kAbsolute: with the query, begins with '/'

  static Result<HttpTarget> Parse(std::string_view method, std::string_view target);
};

}  // namespace hexr::wire
