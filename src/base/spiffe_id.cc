#include "base/spiffe_id.h"

#include <algorithm>
#include <array>

#include "base/limits/names.h"

namespace hexr {
namespace {

constexpr std::string_view kScheme = "spiffe://";

bool IsTrustDomainChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}
bool IsSegmentChar(char c) { return IsTrustDomainChar(c) || (c >= 'A' && c <= 'Z'); }

Status CheckSegment(std::string_view s) {
  if (s.empty()) return InvalidArgument("SPIFFE ID: empty path segment");
  if (s == "." || s == "..") return InvalidArgument("SPIFFE ID: '.' and '..' are not path segments");
  if (!std::ranges::all_of(s, IsSegmentChar)) {
    return InvalidArgument("SPIFFE ID: a path segment holds letters, digits, '.', '-' and '_' only");
  }
  return Ok();
}

// `path` is "" or starts with '/'.
Status CheckPath(std::string_view path) {
  while (!path.empty()) {
    path.remove_prefix(1);
    const size_t end = std::min(path.find('/'), path.size());
    RETURN_IF_ERROR(CheckSegment(path.substr(0, end)));
    path.remove_prefix(end);
  }
  return Ok();
}

Status CheckTrustDomain(std::string_view name) {
  if (name.empty()) return InvalidArgument("trust domain: empty");
  if (name.size() > limits::kMaxTrustDomainBytes) return InvalidArgument("trust domain: longer than 255 bytes");
  if (!std::ranges::all_of(name, IsTrustDomainChar)) {
    return InvalidArgument("trust domain: lower-case letters, digits, '.', '-' and '_' only");
  }
  return Ok();
}

// Where its trust domain ends.
Result<size_t> CheckUri(std::string_view uri) {
  if (uri.size() > limits::kMaxSpiffeIdBytes) return InvalidArgument("SPIFFE ID: longer than 2048 bytes");
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  // The scheme alone compares without case (SPIFFE-ID.md 2); everything else is as written.
  if (uri.size() < kScheme.size() || !std::ranges::equal(uri.substr(0, kScheme.size()), kScheme, {}, lower)) {
    return InvalidArgument("SPIFFE ID: has to start with spiffe://");
  }
  const size_t slash = std::min(uri.find('/', kScheme.size()), uri.size());
  RETURN_IF_ERROR(CheckTrustDomain(uri.substr(kScheme.size(), slash - kScheme.size())));
  RETURN_IF_ERROR(CheckPath(uri.substr(slash)));
  return slash;
}

}  // namespace

Result<TrustDomain> TrustDomain::Parse(std::string_view name) {
  RETURN_IF_ERROR(CheckTrustDomain(name));
  return TrustDomain(std::string(name));
}

Status IdSegment::Check(std::string_view text) {
  if (!CheckSegment(text).ok() || text.size() > limits::kMaxIdSegmentBytes)
    return InvalidArgument("a name has 1 to 128 letters, digits, '.', '-' and '_', and is not '.' or '..'");
  return Ok();
}

Result<IdSegment> IdSegment::Parse(std::string_view text) {
  RETURN_IF_ERROR(Check(text));
  return IdSegment(std::string(text));
}

Status SpiffeId::CheckCanonical(std::string_view uri) {
  const Result<size_t> end = CheckUri(uri);
  if (!end.ok()) return end.error();
  if (!uri.starts_with(kScheme)) return InvalidArgument("SPIFFE ID: the scheme is written in lower case");
  return Ok();
}

Result<SpiffeId> SpiffeId::Parse(std::string_view uri) {
  ASSIGN_OR_RETURN(const size_t slash, CheckUri(uri));
  ASSIGN_OR_RETURN(TrustDomain td, TrustDomain::Parse(uri.substr(kScheme.size(), slash - kScheme.size())));
  return SpiffeId(std::move(td), std::string(uri.substr(slash)));
}

SpiffeId SpiffeId::ForAgent(const TrustDomain& td, const IdSegment& tenant, const IdSegment& agent,
                            const IdSegment& role) {
  return {td, "/agent/" + tenant.value() + "/" + agent.value() + "/" + role.value()};
}
SpiffeId SpiffeId::ForService(const TrustDomain& td, const IdSegment& name) { return {td, "/service/" + name.value()}; }
SpiffeId SpiffeId::ForTrustDomain(const TrustDomain& td) { return {td, ""}; }

Result<SpiffeId> SpiffeId::Child(std::string_view suffix) const {
  const std::string path = path_ + "/" + std::string(suffix);
  RETURN_IF_ERROR(CheckPath(path));
  if (path.size() + td_.Uri().size() > limits::kMaxSpiffeIdBytes)
    return InvalidArgument("SPIFFE ID: longer than 2048 bytes");
  return SpiffeId(td_, path);
}

bool SpiffeId::IsUnder(const SpiffeId& prefix) const {
  return td_ == prefix.td_ && path_.starts_with(prefix.path_) &&
         (path_.size() == prefix.path_.size() || path_[prefix.path_.size()] == '/');
}

std::string_view AssuranceName(Assurance a) {
  switch (a) {
    case Assurance::kAttested: return "attested";
    case Assurance::kMatched: return "matched";
    case Assurance::kAsserted: return "asserted";
  }
  return "asserted";
}

namespace {
constexpr std::string_view kBase32 = "abcdefghijklmnopqrstuvwxyz234567";
constexpr size_t kInstanceChars = 26;
}  // namespace

Status InstanceId::Check(std::string_view text) {
  const auto in_base32 = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '2' && c <= '7'); };
  if (text.size() != kInstanceChars || !std::ranges::all_of(text, in_base32)) {
    return InvalidArgument("instance: 26 characters of a-z and 2-7, as `hexr ps` prints them");
  }
  return Ok();
}

Result<InstanceId> InstanceId::Parse(std::string_view text) {
  RETURN_IF_ERROR(Check(text));
  return InstanceId(std::string(text));
}

InstanceId InstanceId::Make(uint64_t unix_ms, std::string_view random10) {
  HEXR_CHECK(random10.size() >= 10);
  std::array<uint8_t, 16> raw{};
  for (size_t i = 0; i < 6; ++i) raw[i] = static_cast<uint8_t>(unix_ms >> (40 - 8 * i));
  for (size_t i = 0; i < 10; ++i) raw[6 + i] = static_cast<uint8_t>(random10[i]);
  std::string out;
  uint32_t buffer = 0;
  int bits = 0;
  for (const uint8_t b : raw) {
    buffer = buffer << 8 | b;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out += kBase32[(buffer >> bits) & 31];
    }
  }
  out += kBase32[(buffer << (5 - bits)) & 31];
  return InstanceId(std::move(out));
}

}  // namespace hexr
