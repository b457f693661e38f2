#include "gateway/egress/allow_list.h"

#include "base/limits/gateway.h"

namespace hexr::gateway {

Result<AllowRule::Pattern> AllowRule::ParsePattern(std::string_view host) {
  if (host == "*") return Pattern(AnyName{});
  if (host.starts_with("*.")) {
    ASSIGN_OR_RETURN(const HostName name, HostName::Parse(host.substr(2)));
    return Pattern(Below{"." + name.value()});
  }
  if (host.starts_with('[') && host.ends_with(']')) {
    ASSIGN_OR_RETURN(IpRange range, IpRange::Parse(host.substr(1, host.size() - 2)));
    return Pattern(std::move(range));
  }
  if (host.find('*') != std::string_view::npos) {
    return InvalidArgument("a * stands alone, or for the leftmost labels as in *.example.org");
  }
  if (host.find('/') != std::string_view::npos) {
    ASSIGN_OR_RETURN(IpRange range, IpRange::Parse(host));
    return Pattern(std::move(range));
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

Result<AllowList> AllowList::Create(const std::vector<std::string>& rules) {
  if (rules.size() > limits::kMaxEgressRules) return ResourceExhausted("egress.allow has more rules than the limit");
  std::vector<AllowRule> parsed;
  for (const std::string& text : rules) {
    Result<AllowRule> rule = AllowRule::Parse(text);
    if (!rule.ok()) return rule.error().WithContext("egress.allow: \"" + text + "\"");
    parsed.push_back(std::move(rule).value());
  }
  return AllowList(std::move(parsed));
}

AllowList::AllowList(std::vector<AllowRule> rules) : rules_(std::move(rules)) {
  for (size_t i = 0; i < rules_.size(); ++i) {
    const AllowRule::Pattern& pattern = rules_[i].pattern_;
    if (const auto* exact = std::get_if<HostName>(&pattern))
      exact_[exact->value()].push_back(i);
    else if (const auto* below = std::get_if<AllowRule::Below>(&pattern))
      below_[below->suffix].push_back(i);
    else
      (std::holds_alternative<IpRange>(pattern) ? ranges_ : any_).push_back(i);
  }
}

// The rule of the smallest number that allows the host and fits.
template <class Fits>
const AllowRule* AllowList::FirstOf(const Host& host, Fits fits) const {
  size_t first = rules_.size();
  const auto look = [&](const Numbers& numbers) {
    for (const size_t i : numbers) {
      if (i >= first) return;
      if (rules_[i].AllowsHost(host) && fits(rules_[i])) first = i;
    }
  };
  const auto look_at = [&](const ByName& rules, std::string_view name) {
    if (const auto it = rules.find(name); it != rules.end()) look(it->second);
  };
  if (const HostName* name = host.name()) {
    const std::string_view text = name->value();
    look_at(exact_, text);
    for (size_t dot = text.find('.'); dot != std::string_view::npos; dot = text.find('.', dot + 1))
      look_at(below_, text.substr(dot));
    look(any_);
  } else {
    look(ranges_);
  }
  return first == rules_.size() ? nullptr : &rules_[first];
}

const AllowRule* AllowList::Find(const HostPort& destination) const {
  return FirstOf(destination.host, [&](const AllowRule& r) { return r.Allows(destination); });
}

const AllowRule* AllowList::FindHost(const Host& host) const {
  return FirstOf(host, [](const AllowRule&) { return true; });
}

}  // namespace hexr::gateway
