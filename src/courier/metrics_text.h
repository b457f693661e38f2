// Prometheus text exposition format 0.0.4. Stateless, thread-safe.
#pragma once

#include <string>

#include "hexr/node/v1/node.pb.h"

namespace hexr::courier {

inline constexpr char kMetricsContentType[] = "text/plain; version=0.0.4; charset=utf-8";

// Families in their order, one HELP and TYPE each. Values and help texts are escaped; names are the keeper's to check.
std::string ToPrometheusText(const ::hexr::node::v1::Metrics& metrics);

}  // namespace hexr::courier
