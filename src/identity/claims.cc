#include "identity/claims.h"

#include <algorithm>
#include <cmath>

#include "base/limits/keys.h"

namespace hexr::identity {
namespace {

using wire::Json;

Error BadClaims(std::string_view what) { return Unauthenticated("token: " + std::string(what)); }

}  // namespace

Result<Json> ParseClaims(std::string_view payload) {
  auto claims = wire::ParseJson(payload, {.max_bytes = limits::kMaxJwtBytes, .max_depth = 16, .max_values = 4096});
  if (!claims.ok() || !claims->is_object()) return BadClaims("the payload is no JSON object");
  return claims;
}

Result<WallTime> NumericDate(const Json& value) {
  const auto seconds = value.ToDouble();
  constexpr double kYear2200 = 7258118400;
  if (!seconds.has_value() || !std::isfinite(*seconds) || *seconds < 0 || *seconds > kYear2200)
    return BadClaims("a time is no NumericDate");
  return WallTime(std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(*seconds)));
}

int64_t ToUnixSeconds(WallTime t) { return std::chrono::floor<std::chrono::seconds>(t).time_since_epoch().count(); }

bool HasAudience(const Json& claims, std::string_view audience) {
  const Json* aud = claims.Find("aud");
  if (aud == nullptr || audience.empty()) return false;
  if (const std::string* one = aud->as_string()) return *one == audience;
  const wire::JsonArray* list = aud->as_array();
  if (list == nullptr) return false;
  return std::any_of(list->begin(), list->end(),
                     [audience](const Json& a) { return a.is_string() && *a.as_string() == audience; });
}

Result<WallTime> CheckTimes(const Json& claims, WallTime now, std::chrono::seconds leeway) {
  const Json* exp = claims.Find("exp");
  if (exp == nullptr) return BadClaims("\"exp\" is missing");
  ASSIGN_OR_RETURN(const WallTime expires, NumericDate(*exp));
  if (now >= expires + leeway) return BadClaims("has expired");
  for (const std::string_view name : {"nbf", "iat"}) {
    const Json* begin = claims.Find(name);
    if (begin == nullptr) continue;
    ASSIGN_OR_RETURN(const WallTime begins, NumericDate(*begin));
    if (now + leeway < begins) return BadClaims("is not valid yet");
  }
  return expires;
}

}  // namespace hexr::identity
