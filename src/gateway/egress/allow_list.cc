#include "gateway/egress/allow_list.h"

namespace hexr::gateway {

AllowList::AllowList(std::vector<AllowRule> rules) : rules_(std::move(rules)) {
  for (size_t i = 0; i < rules_.size(); ++i) {
    const AllowRule::Pattern& pattern = rules_[i].pattern();
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
