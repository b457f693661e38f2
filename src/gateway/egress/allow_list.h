// `egress.allow`: where agents may go while no policy says more. Immutable; thread-safe.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/allow_rule.h"

namespace hexr::gateway {

class AllowList {
 public:
  explicit AllowList(std::vector<AllowRule> rules);
  // The first rule that allows it; null when none does.
  const AllowRule* Find(const HostPort& destination) const;
  // The first rule that allows this name on any port: whether DNS knows it.
  const AllowRule* FindHost(const Host& host) const;

 private:
  using Numbers = std::vector<size_t>;  // of rules, ascending
  using ByName = std::map<std::string, Numbers, std::less<>>;

  template <class Fits>
  const AllowRule* FirstOf(const Host& host, Fits fits) const;

  std::vector<AllowRule> rules_;
  // Which rules a host has to be held against: an agent chooses the names, and asks as often as it likes.
  ByName exact_, below_;  // below_ by suffix, as in AllowRule::Below
  Numbers any_, ranges_;
};

}  // namespace hexr::gateway
