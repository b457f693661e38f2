#include "gateway/egress/address.h"

#include <sys/socket.h>

#include "base/check.h"
#include "runtime/unique_fd.h"

namespace hexr::gateway {
namespace {

struct Special {
  std::string_view range;
  AddressClass kind;
};

// The first match wins.
constexpr Special kSpecialV4[] = {
    {"169.254.169.254/32", AddressClass::kMetadata},  // AWS, Azure, Google Cloud, OpenStack, …
    {"169.254.170.0/24", AddressClass::kMetadata},    // AWS container and pod credentials
    {"168.63.129.16/32", AddressClass::kMetadata},    // Azure's host agent, on a public address
    {"100.100.100.200/32", AddressClass::kMetadata},  // Alibaba Cloud
    {"192.0.0.192/32", AddressClass::kMetadata},      // Oracle Cloud (classic)
    {"0.0.0.0/8", AddressClass::kReserved},           // "this network": Linux connects 0.0.0.0 to itself
    {"10.0.0.0/8", AddressClass::kPrivate},
    {"100.64.0.0/10", AddressClass::kPrivate},  // carrier-grade NAT
    {"127.0.0.0/8", AddressClass::kLoopback},
    {"169.254.0.0/16", AddressClass::kLinkLocal},
    {"172.16.0.0/12", AddressClass::kPrivate},
    {"192.0.0.0/24", AddressClass::kReserved},
    {"192.0.2.0/24", AddressClass::kReserved},    // documentation
    {"192.88.99.0/24", AddressClass::kReserved},  // 6to4 relays, deprecated
    {"192.168.0.0/16", AddressClass::kPrivate},
    {"198.18.0.0/15", AddressClass::kReserved},    // benchmarking; our own synthetic addresses
    {"198.51.100.0/24", AddressClass::kReserved},  // documentation
    {"203.0.113.0/24", AddressClass::kReserved},   // documentation
    {"224.0.0.0/4", AddressClass::kMulticast},
    {"240.0.0.0/4", AddressClass::kReserved},
};
constexpr Special kSpecialV6[] = {
    {"fd00:ec2::254/128", AddressClass::kMetadata},  // AWS over IPv6
    {"fd00:ec2::23/128", AddressClass::kMetadata},   // AWS pod credentials over IPv6
    {"fd20:ce::254/128", AddressClass::kMetadata},   // Google Cloud over IPv6
    {"::1/128", AddressClass::kLoopback},
    {"fc00::/7", AddressClass::kPrivate},
    {"fe80::/10", AddressClass::kLinkLocal},
    {"fec0::/10", AddressClass::kPrivate},  // site-local, deprecated
    {"ff00::/8", AddressClass::kMulticast},
    {"64:ff9b:1::/48", AddressClass::kPrivate},  // local-use translation, RFC 8215
    {"2001::/23", AddressClass::kReserved},      // protocol assignments: Teredo, ORCHID, benchmarking
    {"2001:db8::/32", AddressClass::kReserved},  // documentation
    {"2002::/16", AddressClass::kReserved},      // 6to4, deprecated: wraps any IPv4 address
    {"3fff::/20", AddressClass::kReserved},      // documentation
    {"2000::/3", AddressClass::kPublic},         // global unicast; all the rest is unassigned or special
};

struct ParsedSpecial {
  IpRange range;
  AddressClass kind;
};

template <size_t N>
std::vector<ParsedSpecial> ParseTable(const Special (&table)[N]) {
  std::vector<ParsedSpecial> out;
  for (const Special& s : table) {
    Result<IpRange> range = IpRange::Parse(s.range);
    HEXR_CHECK(range.ok());
    out.push_back({std::move(range).value(), s.kind});
  }
  return out;
}

AddressClass Find(const std::vector<ParsedSpecial>& table, const IpAddress& address, AddressClass otherwise) {
  for (const ParsedSpecial& s : table) {
    if (s.range.Contains(address)) return s.kind;
  }
  return otherwise;
}

}  // namespace

AddressClass Classify(const IpAddress& address) {
  static const std::vector<ParsedSpecial> v4 = ParseTable(kSpecialV4);
  static const std::vector<ParsedSpecial> v6 = ParseTable(kSpecialV6);
  static const IpRange nat64 = *IpRange::Parse("64:ff9b::/96");
  if (address.v4()) return Find(v4, address, AddressClass::kPublic);
  if (nat64.Contains(address)) {
    // RFC 6052: the packet goes to the IPv4 address in the last four bytes, so that address decides.
    return Find(v4, *IpAddress::FromBytes(address.bytes().subspan(12)), AddressClass::kPublic);
  }
  return Find(v6, address, AddressClass::kReserved);
}

std::string_view AddressClassName(AddressClass c) {
  switch (c) {
    case AddressClass::kPublic: return "public";
    case AddressClass::kPrivate: return "private";
    case AddressClass::kLoopback: return "loopback";
    case AddressClass::kLinkLocal: return "link-local";
    case AddressClass::kMulticast: return "multicast";
    case AddressClass::kMetadata: return "cloud metadata";
    case AddressClass::kReserved: return "reserved";
  }
  return "unknown";
}

Result<CheckedEndpoint> AddressPolicy::Check(const Endpoint& endpoint) const {
  const AddressClass kind = Classify(endpoint.address);
  for (const IpRange& range : open_) {
    if (range.Contains(endpoint.address) && (kind != AddressClass::kMetadata || range.single())) {
      return CheckedEndpoint(endpoint);
    }
  }
  if (kind == AddressClass::kPublic && !IsOwnAddress(endpoint.address)) return CheckedEndpoint(endpoint);
  const std::string what = kind == AddressClass::kPublic ? "an address of this machine"
                                                         : "a " + std::string(AddressClassName(kind)) + " address";
  return PermissionDenied(endpoint.address.ToString() + " is " + what +
                          "; agents reach it only where egress.allow_private names it");
}

bool IsOwnAddress(const IpAddress& address) {
  sockaddr_storage to;
  const socklen_t size = Endpoint{address, 9}.ToSockaddr(to);  // the port does not matter
  const runtime::UniqueFd probe(socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!probe || connect(probe.get(), reinterpret_cast<const sockaddr*>(&to), size) != 0) return false;
  // Only an address of its own does the kernel reach from that same address.
  const auto source = Endpoint::OfSocket(probe.get());
  return source.ok() && source->address == address;
}

}  // namespace hexr::gateway
