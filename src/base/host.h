// Names of places on the network, parsed once. Values, thread-compatible.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/ip_address.h"
#include "base/result.h"

namespace hexr {

// A DNS name in lower case without the final dot: labels of [a-z0-9_-], 1 to 63 bytes, 253 in all. Never something
// that a resolver could read as a number (WHATWG URL, "ends in a number"), so it cannot be an address in disguise.
class HostName {
 public:
  static Result<HostName> Parse(std::string_view text);
  const std::string& value() const { return value_; }
  auto operator<=>(const HostName&) const = default;

 private:
  explicit HostName(std::string v) : value_(std::move(v)) {}
  std::string value_;
};

// A name or an address, as a URL's authority writes it.
class Host {
 public:
  Host(HostName name) : v_(std::move(name)) {}  // NOLINT: implicit by design
  Host(IpAddress address) : v_(address) {}      // NOLINT: implicit by design
  // IPv6 addresses stand in brackets.
  static Result<Host> Parse(std::string_view text);

  const HostName* name() const { return std::get_if<HostName>(&v_); }
  const IpAddress* address() const { return std::get_if<IpAddress>(&v_); }
  std::string ToString() const;
  auto operator<=>(const Host&) const = default;

 private:
  std::variant<HostName, IpAddress> v_;
};

struct HostPort {
  Host host;
  uint16_t port = 0;

  // "host:port", "[v6]:port"; the port is left out only where `default_port` is not 0.
  static Result<HostPort> Parse(std::string_view text, uint16_t default_port = 0);
  std::string ToString() const;
  auto operator<=>(const HostPort&) const = default;
};

// 1 to 65535 in decimal, no sign, no leading zero.
Result<uint16_t> ParsePort(std::string_view text);

}  // namespace hexr
