// What the gateway counts. The composing process exports it. Belongs to the loop's thread.
#pragma once

#include <array>
#include <cstdint>

#include "gateway/denial.h"
#include "hexr/node/v1/node.pb.h"

namespace hexr::gateway {

struct Metrics {
  uint64_t connections_accepted = 0;
  uint64_t connections_open = 0;
  uint64_t connections_revoked = 0;  // closed because their instance ended or was quarantined
  uint64_t calls_allowed = 0;
  std::array<uint64_t, 6> calls_denied{};  // by DenialKind
  uint64_t bytes_to_upstream = 0;
  uint64_t bytes_from_upstream = 0;
  uint64_t dns_answered = 0;
  uint64_t dns_refused = 0;
  uint64_t dns_dropped = 0;  // malformed, or over the rate
  uint64_t record_failures = 0;
  uint64_t owners_found = 0;
  uint64_t owners_unknown = 0;
  uint64_t instances = 0;

  void Denied(DenialKind kind) { ++calls_denied[static_cast<size_t>(kind)]; }
  // As families named hexr_gateway_…; whose gateway it is the keeper adds.
  ::hexr::node::v1::Metrics ToMessage() const;
};

}  // namespace hexr::gateway
