// Claims that every token has to keep, whoever issued it (RFC 7519 4.1). Stateless functions; thread-safe.
#pragma once

#include <chrono>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/jws.h"
#include "wire/json.h"

namespace hexr::identity {

// The payload as a JSON object. UNAUTHENTICATED when it is none.
Result<wire::Json> ParseClaims(std::string_view payload);

// NumericDate (RFC 7519 2): an integer or a fraction of seconds, up to the year 2200.
Result<WallTime> NumericDate(const wire::Json& value);
int64_t ToUnixSeconds(WallTime t);

// Whether `audience` is the "aud" of these claims, or one of them.
bool HasAudience(const wire::Json& claims, std::string_view audience);

// exp is there and not over; nbf and iat, where they are there, have begun. UNAUTHENTICATED otherwise. Returns exp.
Result<WallTime> CheckTimes(const wire::Json& claims, WallTime now, std::chrono::seconds leeway);

}  // namespace hexr::identity
