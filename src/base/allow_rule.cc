#include "base/allow_rule.h"

namespace hexr {

Result<AllowRule::Pattern> AllowRule::ParsePattern(std::string_view host) {
  if (host == "*") return Pattern(AnyName{});
  if (host.starts_with("*.")) {
    ASSIGN_OR_RETURN(const HostName name, HostName::Parse(host.substr(2)));
    return Pattern(Below{"." + name.value()});
  }
  if (host.starts_with('[') && host.ends_with(']')) {
    ASSIGN_OR_RETURN(const IpRange range, IpRange::Parse(host.substr(1, host.size() - 2)));
    return Pattern(range);
  }
  if (host.find('*') != std::string_view::npos) {
    return InvalidArgument("a * stands alone, or for the leftmost labels as in *.example.org");
  }
  if (host.find('/') != std::string_view::npos) {
    ASSIGN_OR_RETURN(const IpRange range, IpRange::Parse(host));
    return Pattern(range);
  }
  if (Result<IpRange> range = IpRange::Parse(host); range.ok()) return Pattern(std::move(range).value());
  ASSIGN_OR_RETURN(HostName name, HostName::Parse(host));
  return Pattern(std::move(name));
}

Result<AllowRule> AllowRule::Parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || text.find(']', colon) != std::string_view::npos) {
    return InvalidArgument("a rule is host:port, the port a number or *");
  }
  const std::string_view host = text.substr(0, colon);
  if (host.find(':') != std::string_view::npos && !host.starts_with('[')) {
    return InvalidArgument("an IPv6 address or range stands in brackets: [2001:db8::/32]:443");
  }
  ASSIGN_OR_RETURN(Pattern pattern, ParsePattern(host));
  const std::string_view port_text = text.substr(colon + 1);
  if (port_text == "*") return AllowRule(std::string(text), std::move(pattern), std::nullopt);
  ASSIGN_OR_RETURN(const uint16_t port, ParsePort(port_text));
  return AllowRule(std::string(text), std::move(pattern), port);
}

bool AllowRule::AllowsHost(const Host& host) const {
  if (const HostName* name = host.name()) {
    if (const auto* exact = std::get_if<HostName>(&pattern_)) return *exact == *name;
    if (const auto* below = std::get_if<Below>(&pattern_)) return name->value().ends_with(below->suffix);
    return std::holds_alternative<AnyName>(pattern_);
  }
  const auto* range = std::get_if<IpRange>(&pattern_);
  return range != nullptr && range->Contains(*host.address());
}

}  // namespace hexr
