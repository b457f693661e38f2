// Envoy's secret discovery service v3: state of the world, delta and unary. Belongs to one loop.
//
// One name that cannot be served is an error of that name, not of the stream. What was sent and is gone is taken back:
// by removed_resources in delta, by an authority that trusts no one in state of the world. A stream ends when the
// process behind it has lost its identity.
#pragma once

#include "identity/core.h"
#include "identity/sds_resources.h"
#include "wire/grpc_server.h"

namespace hexr::identity {

// Adds the three methods of envoy.service.secret.v3.SecretDiscoveryService. All references outlive the router. Envoy
// sends no security header, and none is asked for.
void AddSecretDiscovery(wire::GrpcRouter& router, Core& core, SdsResources& resources, const EvidenceSource& evidence);

}  // namespace hexr::identity
