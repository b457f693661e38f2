#include "gateway/denial.h"

#include "base/log.h"
#include "wire/json.h"

namespace hexr::gateway {

int Denial::http_status() const {
  switch (kind) {
    case DenialKind::kDenied: return 403;
    case DenialKind::kMalformed: return 400;
    case DenialKind::kLimit: return 429;
    case DenialKind::kUnavailable: return 503;
    case DenialKind::kUpstream: return 502;
    case DenialKind::kTimeout: return 504;
  }
  return 503;
}

std::string_view Denial::code() const {
  switch (kind) {
    case DenialKind::kDenied:
    case DenialKind::kMalformed: return "hexr_denied";
    case DenialKind::kLimit: return "hexr_budget";
    case DenialKind::kUnavailable: return "hexr_unavailable";
    case DenialKind::kUpstream:
    case DenialKind::kTimeout: return "hexr_upstream";
  }
  return "hexr_unavailable";
}

std::string Denial::ToProblemJson() const {
  wire::JsonObject o;
  o.Set("type", "about:blank");
  o.Set("status", http_status());
  o.Set("code", code());
  o.Set("detail", message);
  if (!decision_id.empty()) o.Set("decision_id", decision_id);
  return wire::ToJson(wire::Json(std::move(o))) + "\n";
}

Denial DenialFromError(const Error& error, std::string_view step) {
  switch (error.code()) {
    case ErrorCode::kPermissionDenied: return {DenialKind::kDenied, std::string(step), error.message()};
    case ErrorCode::kInvalidArgument: return {DenialKind::kMalformed, std::string(step), error.message()};
    case ErrorCode::kResourceExhausted: return {DenialKind::kLimit, std::string(step), error.message()};
    default: break;
  }
  return {DenialKind::kUnavailable, std::string(step),
          "hexr cannot decide about this call (" + std::string(step) + "): " + error.message()};
}

}  // namespace hexr::gateway
