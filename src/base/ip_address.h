// IP addresses, ranges of them, and an address with a port. Values, thread-compatible.
#pragma once

#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace hexr {

// IPv4 or IPv6. An IPv4-mapped IPv6 address (::ffff:a.b.c.d) is that IPv4 address from the start, so that no check
// sees another address than connect(2) will use.
class IpAddress {
 public:
  // Strict texts only: four decimal numbers without leading zeros, or RFC 4291 section 2.2 without a zone.
  // Decimal, octal, hexadecimal and shortened IPv4 forms are INVALID_ARGUMENT: resolvers disagree on them.
  static Result<IpAddress> Parse(std::string_view text);
  // 4 or 16 bytes in network order; INVALID_ARGUMENT otherwise.
  static Result<IpAddress> FromBytes(ByteView bytes);

  bool v4() const { return v4_; }
  // 4 or 16 bytes in network order.
  ByteView bytes() const { return v4_ ? ByteView(bytes_).subspan(12) : ByteView(bytes_); }
  // RFC 5952 for IPv6.
  std::string ToString() const;
  auto operator<=>(const IpAddress&) const = default;

 private:
  friend class IpRange;
  IpAddress() = default;
  bool v4_ = false;
  std::array<uint8_t, 16> bytes_{};  // IPv4 lies in the last four, behind zeros
};

struct Endpoint {
  IpAddress address;
  uint16_t port = 0;

  // INVALID_ARGUMENT for another family than AF_INET and AF_INET6.
  static Result<Endpoint> FromSockaddr(const sockaddr_storage& storage);
  // Our end of a socket, and the other one; also an error once the connection has been reset.
  static Result<Endpoint> OfSocket(int socket);
  static Result<Endpoint> OfPeer(int socket);
  // The length that connect(2) and sendto(2) want beside it.
  socklen_t ToSockaddr(sockaddr_storage& out) const;
  // "192.0.2.1:443", "[2001:db8::1]:443".
  std::string ToString() const;
  auto operator<=>(const Endpoint&) const = default;
};

// "10.0.0.0/8", "2001:db8::/32", or one address.
class IpRange {
 public:
  // INVALID_ARGUMENT also for bits beyond the prefix: 10.0.0.1/8 does not say what was meant.
  static Result<IpRange> Parse(std::string_view text);
  bool Contains(const IpAddress& address) const;
  bool single() const { return prefix_ == base_.bytes().size() * 8; }
  std::string ToString() const;
  bool operator==(const IpRange&) const = default;

 private:
  IpRange(IpAddress base, unsigned prefix) : base_(base), prefix_(prefix) {}
  IpAddress base_;
  unsigned prefix_;  // 0 to 32 or 128, in the family of base_
};

}  // namespace hexr
