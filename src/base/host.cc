#include "base/host.h"

#include <algorithm>

#include "base/decimal.h"

namespace hexr {
namespace {

constexpr size_t kMaxNameBytes = 253;  // RFC 1035 2.3.4, as text
constexpr size_t kMaxLabelBytes = 63;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// What inet_aton(3) would take as the last part of an address: decimal, octal or hexadecimal digits.
bool LooksNumeric(std::string_view label) {
  if (std::all_of(label.begin(), label.end(), IsDigit)) return true;
  if (!label.starts_with("0x")) return false;
  return std::all_of(label.begin() + 2, label.end(), [](char c) { return IsDigit(c) || (c >= 'a' && c <= 'f'); });
}

bool IsLabel(std::string_view label) {
  if (label.empty() || label.size() > kMaxLabelBytes || label.front() == '-' || label.back() == '-') return false;
  return std::all_of(label.begin(), label.end(),
                     [](char c) { return IsDigit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '_'; });
}

}  // namespace

Result<HostName> HostName::Parse(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.empty() || text.size() > kMaxNameBytes) return InvalidArgument("a host name has 1 to 253 bytes");
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  std::string_view rest = lower;
  for (;;) {
    const size_t dot = rest.find('.');
    const std::string_view label = rest.substr(0, dot);
    if (!IsLabel(label)) return InvalidArgument("a host name is made of labels of letters, digits, '-' and '_'");
    if (dot == std::string_view::npos) {
      if (LooksNumeric(label))
        return InvalidArgument("a host name does not end in a number; write addresses in their usual form");
      break;
    }
    rest.remove_prefix(dot + 1);
  }
  return HostName(std::move(lower));
}

Result<Host> Host::Parse(std::string_view text) {
  if (text.starts_with('[')) {
    if (!text.ends_with(']')) return InvalidArgument("an IPv6 address in brackets ends with ']'");
    const std::string_view inner = text.substr(1, text.size() - 2);
    if (inner.find(':') == std::string_view::npos) return InvalidArgument("brackets hold an IPv6 address");
    ASSIGN_OR_RETURN(IpAddress address, IpAddress::Parse(inner));
    return Host(address);
  }
  if (text.find(':') != std::string_view::npos) return InvalidArgument("an IPv6 address stands in brackets");
  if (Result<IpAddress> address = IpAddress::Parse(text); address.ok()) return Host(*address);
  ASSIGN_OR_RETURN(HostName name, HostName::Parse(text));
  return Host(std::move(name));
}

std::string Host::ToString() const {
  if (const HostName* n = name()) return n->value();
  const IpAddress& a = *address();
  return a.v4() ? a.ToString() : "[" + a.ToString() + "]";
}

Result<uint16_t> ParsePort(std::string_view text) {
  const auto port = ParseDecimal<uint16_t>(text);
  if (!port || text.front() == '0') return InvalidArgument("a port is a number from 1 to 65535");
  return *port;
}

Result<HostPort> HostPort::Parse(std::string_view text, uint16_t default_port) {
  const size_t colon = text.rfind(':');
  const bool has_port = colon != std::string_view::npos && text.find(']', colon) == std::string_view::npos;
  if (!has_port && default_port == 0) return InvalidArgument("a port is missing: write host:port");
  ASSIGN_OR_RETURN(Host host, Host::Parse(has_port ? text.substr(0, colon) : text));
  if (!has_port) return HostPort{std::move(host), default_port};
  ASSIGN_OR_RETURN(const uint16_t port, ParsePort(text.substr(colon + 1)));
  return HostPort{std::move(host), port};
}

std::string HostPort::ToString() const { return host.ToString() + ":" + std::to_string(port); }

}  // namespace hexr
