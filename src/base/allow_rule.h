// One rule of `egress.allow`: a place, or many, that an agent may reach. Immutable; thread-safe.
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

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/host.h"
#include "base/result.h"

namespace hexr {

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
  bool operator==(const AllowRule& other) const { return text_ == other.text_; }

  struct AnyName {};
  struct Below {
    std::string suffix;  // ".example.org"
  };
  using Pattern = std::variant<HostName, Below, AnyName, IpRange>;
  const Pattern& pattern() const { return pattern_; }

 private:
  static Result<Pattern> ParsePattern(std::string_view host);
  AllowRule(std::string text, Pattern pattern, std::optional<uint16_t> port)
      : text_(std::move(text)), pattern_(std::move(pattern)), port_(port) {}

  std::string text_;
  Pattern pattern_;
  std::optional<uint16_t> port_;  // absent: every port
};

}  // namespace hexr
