// The door of this room for who enforces: a PolicyStore holds what is in force, an Authorizer per thread decides, Audit
// and Both say what follows from a decision.
#pragma once

#include "policy/decision.h"
#include "policy/policy_store.h"
#include "policy/types.h"

namespace hexr::policy {

enum class Mode : uint8_t { kEnforce, kAudit };

// In audit mode what would be denied is allowed, and says so.
Decision Apply(Mode mode, Decision decision);

// What two policies allow both: `narrow` can take away and demand, never grant. Obligations are joined: lists are, of
// `max_ttl` the shorter stands; where they contradict each other the answer is deny.
Decision Both(const Decision& node, const Decision& narrow);

}  // namespace hexr::policy
