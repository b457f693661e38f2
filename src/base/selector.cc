#include "base/selector.h"

#include <array>

#include "base/decimal.h"
#include "base/limits/identity.h"

namespace hexr {
namespace {

struct KindName {
  SelectorKind kind;
  std::string_view prefix;
};
constexpr std::array<KindName, 10> kKinds{{
    {SelectorKind::kUnixUid, "unix:uid:"},
    {SelectorKind::kUnixUser, "unix:user:"},
    {SelectorKind::kUnixGid, "unix:gid:"},
    {SelectorKind::kUnixGroup, "unix:group:"},
    {SelectorKind::kUnixSupplementaryGid, "unix:supplementary_gid:"},
    {SelectorKind::kUnixSupplementaryGroup, "unix:supplementary_group:"},
    {SelectorKind::kUnixPath, "unix:path:"},
    {SelectorKind::kUnixSha256, "unix:sha256:"},
    {SelectorKind::kSystemdId, "systemd:id:"},
    {SelectorKind::kCgroup, "cgroup:"},
}};

bool IsCanonicalNumber(std::string_view v) {
  const auto n = ParseDecimal<uint32_t>(v);
  return n && std::to_string(*n) == v;
}

bool IsAbsolutePath(std::string_view v) { return v.starts_with('/') && v.find('\0') == std::string_view::npos; }

bool IsName(std::string_view v) { return v.find_first_of(std::string_view("\0\n:/", 4)) == std::string_view::npos; }

std::string_view ValueProblem(SelectorKind kind, std::string_view v) {
  switch (kind) {
    case SelectorKind::kUnixUid:
    case SelectorKind::kUnixGid:
    case SelectorKind::kUnixSupplementaryGid:
      return IsCanonicalNumber(v) ? "" : "the value is a number without leading zeros";
    case SelectorKind::kUnixUser:
    case SelectorKind::kUnixGroup:
    case SelectorKind::kUnixSupplementaryGroup:
    case SelectorKind::kSystemdId: return IsName(v) ? "" : "the value is a name without ':' or '/'";
    case SelectorKind::kUnixPath:
    case SelectorKind::kCgroup: return IsAbsolutePath(v) ? "" : "the value is an absolute path";
    case SelectorKind::kUnixSha256:
      return v.size() == 64 && v.find_first_not_of("0123456789abcdef") == std::string_view::npos
                 ? ""
                 : "the value has 64 lower-case hexadecimal digits";
  }
  return "unknown kind";
}

}  // namespace

Result<Selector> Selector::Parse(std::string_view text) {
  if (text.size() > limits::kMaxSelectorBytes) return InvalidArgument("selector: too long");
  for (const KindName& k : kKinds) {
    if (!text.starts_with(k.prefix)) continue;
    const std::string_view value = text.substr(k.prefix.size());
    if (value.empty()) return InvalidArgument("selector " + std::string(text) + ": the value is missing");
    const std::string_view problem = ValueProblem(k.kind, value);
    if (!problem.empty()) return InvalidArgument("selector " + std::string(text) + ": " + std::string(problem));
    return Selector(k.kind, std::string(value));
  }
  return InvalidArgument(
      "selector " + std::string(text.substr(0, 64)) +
      ": unknown kind; known are unix:{uid,user,gid,group,supplementary_gid,supplementary_group,path,"
      "sha256}, systemd:id and cgroup");
}

std::string Selector::ToString() const {
  for (const KindName& k : kKinds) {
    if (k.kind == kind_) return std::string(k.prefix) + value_;
  }
  return value_;
}

}  // namespace hexr
