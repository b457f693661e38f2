#include "gateway/egress/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/check.h"
#include "runtime/unique_fd.h"

namespace hexr::gateway {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool SamePrefix(ByteView a, ByteView b, unsigned bits) {
  const size_t whole = bits / 8;
  if (!std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(whole), b.begin())) return false;
  const unsigned rest = bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff << (8 - rest));
  return (a[whole] & mask) == (b[whole] & mask);
}

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

Result<IpAddress> IpAddress::Parse(std::string_view text) {
  // inet_pton takes exactly the strict forms, but wants a terminated string.
  char buffer[INET6_ADDRSTRLEN + 1] = {};
  const auto bad = [&] { return InvalidArgument("not an IP address"); };
  if (text.empty() || text.size() >= sizeof buffer || text.find('\0') != std::string_view::npos) return bad();
  std::memcpy(buffer, text.data(), text.size());
  std::array<uint8_t, 16> raw{};
  if (inet_pton(AF_INET, buffer, raw.data()) == 1) return FromBytes(ByteView(raw).first(4));
  if (inet_pton(AF_INET6, buffer, raw.data()) == 1) return FromBytes(raw);
  return bad();
}

Result<IpAddress> IpAddress::FromBytes(ByteView bytes) {
  IpAddress a;
  if (bytes.size() == 4) {
    a.v4_ = true;
    std::copy(bytes.begin(), bytes.end(), a.bytes_.begin() + 12);
    return a;
  }
  if (bytes.size() != 16) return InvalidArgument("an IP address has 4 or 16 bytes");
  if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin())) return FromBytes(bytes.subspan(12));
  std::copy(bytes.begin(), bytes.end(), a.bytes_.begin());
  return a;
}

std::string IpAddress::ToString() const {
  char buffer[INET6_ADDRSTRLEN];
  HEXR_CHECK(inet_ntop(v4_ ? AF_INET : AF_INET6, bytes().data(), buffer, sizeof buffer) != nullptr);
  return buffer;
}

Result<Endpoint> Endpoint::FromSockaddr(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, &storage, sizeof in);
    uint8_t raw[4];
    std::memcpy(raw, &in.sin_addr, 4);
    ASSIGN_OR_RETURN(IpAddress address, IpAddress::FromBytes(raw));
    return Endpoint{address, ntohs(in.sin_port)};
  }
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 in;
    std::memcpy(&in, &storage, sizeof in);
    uint8_t raw[16];
    std::memcpy(raw, &in.sin6_addr, 16);
    ASSIGN_OR_RETURN(IpAddress address, IpAddress::FromBytes(raw));
    return Endpoint{address, ntohs(in.sin6_port)};
  }
  return InvalidArgument("not an IP socket address");
}

namespace {

using GetName = int(int, sockaddr*, socklen_t*);

Result<Endpoint> Named(int socket, GetName get_name) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (get_name(socket, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return ErrnoError("socket address", errno);
  return Endpoint::FromSockaddr(storage);
}

}  // namespace

Result<Endpoint> Endpoint::OfSocket(int socket) { return Named(socket, getsockname); }
Result<Endpoint> Endpoint::OfPeer(int socket) { return Named(socket, getpeername); }

socklen_t Endpoint::ToSockaddr(sockaddr_storage& out) const {
  out = {};
  if (address.v4()) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    std::memcpy(&in.sin_addr, address.bytes().data(), 4);
    std::memcpy(&out, &in, sizeof in);
    return sizeof in;
  }
  sockaddr_in6 in{};
  in.sin6_family = AF_INET6;
  in.sin6_port = htons(port);
  std::memcpy(&in.sin6_addr, address.bytes().data(), 16);
  std::memcpy(&out, &in, sizeof in);
  return sizeof in;
}

std::string Endpoint::ToString() const {
  const std::string host = address.v4() ? address.ToString() : "[" + address.ToString() + "]";
  return host + ":" + std::to_string(port);
}

Result<IpRange> IpRange::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  ASSIGN_OR_RETURN(const IpAddress base, IpAddress::Parse(text.substr(0, slash)));
  const unsigned width = base.v4() ? 32 : 128;
  if (slash == std::string_view::npos) return IpRange(base, width);
  const std::string_view digits = text.substr(slash + 1);
  unsigned prefix = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
  const bool leading_zero = digits.size() > 1 && digits.front() == '0';
  if (error != std::errc() || end != digits.data() + digits.size() || leading_zero || prefix > width) {
    return InvalidArgument("the prefix of an IP range is 0 to " + std::to_string(width));
  }
  const ByteView bytes = base.bytes();
  for (unsigned bit = prefix; bit < width; ++bit) {
    if ((bytes[bit / 8] >> (7 - bit % 8)) & 1) {
      return InvalidArgument("the address of a range has bits beyond its prefix: write " + base.ToString() +
                             " alone, or the first address of the range");
    }
  }
  return IpRange(base, prefix);
}

bool IpRange::Contains(const IpAddress& address) const {
  return address.v4() == base_.v4() && SamePrefix(address.bytes(), base_.bytes(), prefix_);
}

std::string IpRange::ToString() const {
  return prefix_ == (base_.v4() ? 32u : 128u) ? base_.ToString() : base_.ToString() + "/" + std::to_string(prefix_);
}

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

Result<AddressPolicy> AddressPolicy::Create(const std::vector<std::string>& allow_private) {
  std::vector<IpRange> open;
  for (const std::string& text : allow_private) {
    Result<IpRange> range = IpRange::Parse(text);
    if (!range.ok()) return range.error().WithContext("egress.allow_private: \"" + text + "\"");
    open.push_back(std::move(range).value());
  }
  return AddressPolicy(std::move(open));
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
