// IP addresses, ranges of them, and which of them an agent may never reach by accident. Values, thread-compatible.
#pragma once

#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace hexr::gateway {

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

 private:
  IpRange(IpAddress base, unsigned prefix) : base_(base), prefix_(prefix) {}
  IpAddress base_;
  unsigned prefix_;  // 0 to 32 or 128, in the family of base_
};

// What kind of place an address is, by the IANA special-purpose registries (RFC 6890 and its updates) and by the
// addresses under which clouds serve credentials. Whatever is not known to be public is not.
enum class AddressClass : uint8_t { kPublic, kPrivate, kLoopback, kLinkLocal, kMulticast, kMetadata, kReserved };
AddressClass Classify(const IpAddress& address);
std::string_view AddressClassName(AddressClass c);

// Evidence that an endpoint passed the address rules: the only thing that the connector dials. Since it holds the
// address itself, a name that resolves differently a moment later changes nothing.
class CheckedEndpoint {
 public:
  const Endpoint& endpoint() const { return endpoint_; }

 private:
  friend class AddressPolicy;
  explicit CheckedEndpoint(Endpoint e) : endpoint_(e) {}
  Endpoint endpoint_;
};

// Whether the kernel would deliver to this machine itself. Asks its routes and sends nothing; false on errors, which
// then also keep anything else from being sent there.
bool IsOwnAddress(const IpAddress& address);

class AddressPolicy {
 public:
  // `allow_private`: ranges (egress.allow_private) that are open although they are not public.
  static Result<AddressPolicy> Create(const std::vector<std::string>& allow_private);
  // PERMISSION_DENIED, with the kind of address and what to configure, for everything that is not public, and for
  // public addresses of this very machine, behind whose firewall we are. Cloud metadata is open only where its one
  // address is named: whoever opens a wide range has not thought of what lies in it.
  Result<CheckedEndpoint> Check(const Endpoint& endpoint) const;
  // For an address that the operator wrote down for one name (egress.resolve): naming it is the permission.
  static CheckedEndpoint NamedByOperator(const Endpoint& endpoint) { return CheckedEndpoint(endpoint); }

 private:
  explicit AddressPolicy(std::vector<IpRange> open) : open_(std::move(open)) {}
  std::vector<IpRange> open_;
};

}  // namespace hexr::gateway
