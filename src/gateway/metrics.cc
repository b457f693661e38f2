#include "gateway/metrics.h"

#include <fmt/format.h>

#include <iterator>

namespace hexr::gateway {
namespace {

constexpr std::string_view kKinds[] = {"denied", "malformed", "limit", "unavailable", "upstream", "timeout"};
static_assert(std::size(kKinds) == std::tuple_size_v<decltype(Metrics::calls_denied)>);

}  // namespace

std::string Metrics::ToPrometheus(std::string_view tenant) const {
  std::string out;
  const auto head = [&](std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(std::back_inserter(out), "# HELP hexr_gateway_{0} {2}\n# TYPE hexr_gateway_{0} {1}\n", name, type,
                   help);
  };
  // A tenant is an IdSegment: it holds nothing that a label value would have to escape.
  const auto value = [&](std::string_view name, std::string_view labels, uint64_t v) {
    fmt::format_to(std::back_inserter(out), "hexr_gateway_{}{{tenant=\"{}\"{}}} {}\n", name, tenant, labels, v);
  };
  const auto counter = [&](std::string_view name, std::string_view help, uint64_t v) {
    head(name, "counter", help);
    value(name, "", v);
  };
  const auto gauge = [&](std::string_view name, std::string_view help, uint64_t v) {
    head(name, "gauge", help);
    value(name, "", v);
  };
  gauge("instances", "Instances whose listeners are served.", instances);
  gauge("connections_open", "Connections of agents that are open.", connections_open);
  counter("connections_accepted_total", "Connections of agents accepted.", connections_accepted);
  counter("connections_revoked_total", "Connections closed because their instance ended or was quarantined.",
          connections_revoked);
  counter("calls_allowed_total", "Calls allowed.", calls_allowed);
  head("calls_denied_total", "counter", "Calls that ended with a denial, by reason.");
  for (size_t i = 0; i < calls_denied.size(); ++i) {
    value("calls_denied_total", fmt::format(",reason=\"{}\"", kKinds[i]), calls_denied[i]);
  }
  counter("bytes_to_upstream_total", "Bytes sent to destinations.", bytes_to_upstream);
  counter("bytes_from_upstream_total", "Bytes received from destinations.", bytes_from_upstream);
  counter("dns_answered_total", "DNS queries answered with a synthetic address.", dns_answered);
  counter("dns_refused_total", "DNS queries for names that are not allowed.", dns_refused);
  counter("dns_dropped_total", "DNS queries dropped: malformed or over the rate.", dns_dropped);
  counter("record_failures_total", "Records that the journal did not take.", record_failures);
  counter("owners_found_total", "Connections whose process was found.", owners_found);
  counter("owners_unknown_total", "Connections whose process was not found.", owners_unknown);
  return out;
}

}  // namespace hexr::gateway
