#include "base/ip_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/decimal.h"

namespace hexr {
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
  const auto number = ParseDecimal<unsigned>(digits);
  const bool leading_zero = digits.size() > 1 && digits.front() == '0';
  if (!number || leading_zero || *number > width) {
    return InvalidArgument("the prefix of an IP range is 0 to " + std::to_string(width));
  }
  const unsigned prefix = *number;
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

}  // namespace hexr
