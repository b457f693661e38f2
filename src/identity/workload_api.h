// The SPIFFE Workload API (SPIFFE_Workload_API.md): the X.509 and JWT profiles, and the WIT profile of 2026-07-01
// (incubating). Belongs to one loop.
#pragma once

#include "identity/core.h"
#include "wire/grpc_server.h"

namespace hexr::identity {

// Adds the seven methods of /SpiffeWorkloadAPI to the router. All references outlive the router.
//
// Errors, as the standard has them: INVALID_ARGUMENT without the security header or for a mandatory field that is
// missing; PERMISSION_DENIED without an identity, and as the end of a stream whose process has lost it; UNAVAILABLE
// while nothing can be issued; RESOURCE_EXHAUSTED for a caller that asks too often.
void AddWorkloadApi(wire::GrpcRouter& router, Core& core, const EvidenceSource& evidence);

}  // namespace hexr::identity
