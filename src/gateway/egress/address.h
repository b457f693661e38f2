// Which IP addresses an agent may never reach by accident. Values, thread-compatible.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/ip_address.h"
#include "base/result.h"

namespace hexr::gateway {

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
  explicit AddressPolicy(std::vector<IpRange> allow_private) : open_(std::move(allow_private)) {}
  // PERMISSION_DENIED, with the kind of address and what to configure, for everything that is not public, and for
  // public addresses of this very machine, behind whose firewall we are. Cloud metadata is open only where its one
  // address is named: whoever opens a wide range has not thought of what lies in it.
  Result<CheckedEndpoint> Check(const Endpoint& endpoint) const;
  // For an address that the operator wrote down for one name (egress.resolve): naming it is the permission.
  static CheckedEndpoint NamedByOperator(const Endpoint& endpoint) { return CheckedEndpoint(endpoint); }

 private:
  std::vector<IpRange> open_;
};

}  // namespace hexr::gateway
