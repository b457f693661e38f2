// What a registration entry asks of a process, in SPIRE's words: "unix:uid:110", "unix:path:/usr/bin/db",
// "systemd:id:db.service", "cgroup:/system.slice".
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hexr {

enum class SelectorKind : uint8_t {
  kUnixUid,
  kUnixUser,
  kUnixGid,
  kUnixGroup,
  kUnixSupplementaryGid,
  kUnixSupplementaryGroup,
  kUnixPath,
  kUnixSha256,
  kSystemdId,
  kCgroup,
};

// Value; ordered by kind, then value.
class Selector {
 public:
  // INVALID_ARGUMENT: an unknown kind, an empty value, or a value that no process could have (a uid that is no number,
  // a relative path, a digest that is not 64 lower-case hex digits).
  static Result<Selector> Parse(std::string_view text);
  // For values that come from the kernel; not checked.
  static Selector Of(SelectorKind kind, std::string value) { return Selector(kind, std::move(value)); }

  SelectorKind kind() const { return kind_; }
  const std::string& value() const { return value_; }
  std::string ToString() const;
  auto operator<=>(const Selector&) const = default;

 private:
  Selector(SelectorKind kind, std::string value) : kind_(kind), value_(std::move(value)) {}
  SelectorKind kind_;
  std::string value_;
};

}  // namespace hexr
