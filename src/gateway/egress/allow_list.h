// `egress.allow`: where agents may go while no policy says more. Immutable; thread-safe.
//
// A rule is host:port. The host is
//   example.org        this name alone
//   *.example.org      every name below it, at any depth, but not example.org itself
//   *                  every name; never an address
//   192.0.2.7          this address, where the agent names the address itself; never a name that resolves to it
//   10.0.0.0/8         every address of the range, likewise
//   [2001:db8::1]      IPv6, and ranges of it, in brackets
// and the port a number or * for every port. What no rule names is denied.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/limits/gateway.h"
#include "base/result.h"
#include "gateway/egress/host.h"

namespace hexr::gateway {

class AllowRule {
 public:
  static Result<AllowRule> Parse(std::string_view text);
  bool Allows(const HostPort& destination) const {
    return AllowsHost(destination.host) && (!port_ || *port_ == destination.port);
  }
  // On some port at least.
  bool AllowsHost(const Host& host) const;
  // As it was written.
  const std::string& text() const { return text_; }

 private:
  friend class AllowList;
  struct AnyName {};
  struct Below {
    std::string suffix;  // ".example.org"
  };
  using Pattern = std::variant<HostName, Below, AnyName, IpRange>;
  static Result<Pattern> ParsePattern(std::string_view host);
  AllowRule(std::string text, Pattern pattern, std::optional<uint16_t> port)
      : text_(std::move(text)), pattern_(std::move(pattern)), port_(port) {}

  std::string text_;
  Pattern pattern_;
  std::optional<uint16_t> port_;  // absent: every port
};

class AllowList {
 public:
  // INVALID_ARGUMENT names the rule and what to write; RESOURCE_EXHAUSTED beyond limits::kMaxEgressRules.
  static Result<AllowList> Create(const std::vector<std::string>& rules);
  // The first rule that allows it; null when none does.
  const AllowRule* Find(const HostPort& destination) const;
  // The first rule that allows this name on any port: whether DNS knows it.
  const AllowRule* FindHost(const Host& host) const;

 private:
  using Numbers = std::vector<size_t>;  // of rules, ascending
  using ByName = std::map<std::string, Numbers, std::less<>>;

  explicit AllowList(std::vector<AllowRule> rules);
  template <class Fits>
  const AllowRule* FirstOf(const Host& host, Fits fits) const;

  std::vector<AllowRule> rules_;
  // Which rules a host has to be held against: an agent chooses the names, and asks as often as it likes.
  ByName exact_, below_;  // below_ by suffix, as in AllowRule::Below
  Numbers any_, ranges_;
};

}  // namespace hexr::gateway
