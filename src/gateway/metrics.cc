#include "gateway/metrics.h"

#include <iterator>
#include <string>
#include <string_view>

namespace hexr::gateway {
namespace {

constexpr std::string_view kKinds[] = {"denied", "malformed", "limit", "unavailable", "upstream", "timeout"};
static_assert(std::size(kKinds) == std::tuple_size_v<decltype(Metrics::calls_denied)>);

}  // namespace

::hexr::node::v1::Metrics Metrics::ToMessage() const {
  ::hexr::node::v1::Metrics out;
  const auto family = [&](std::string_view name, std::string_view help, bool is_counter) {
    auto* f = out.add_families();
    f->set_name("hexr_gateway_" + std::string(name));
    f->set_help(std::string(help));
    f->set_counter(is_counter);
    return f;
  };
  const auto counter = [&](std::string_view name, std::string_view help, uint64_t v) {
    family(name, help, true)->add_samples()->set_value(static_cast<double>(v));
  };
  const auto gauge = [&](std::string_view name, std::string_view help, uint64_t v) {
    family(name, help, false)->add_samples()->set_value(static_cast<double>(v));
  };
  gauge("instances", "Instances whose listeners are served.", instances);
  gauge("connections_open", "Connections of agents that are open.", connections_open);
  counter("connections_accepted_total", "Connections of agents accepted.", connections_accepted);
  counter("connections_revoked_total", "Connections closed because their instance ended or was quarantined.",
          connections_revoked);
  counter("calls_allowed_total", "Calls allowed.", calls_allowed);
  auto* denied = family("calls_denied_total", "Calls that ended with a denial, by reason.", true);
  for (size_t i = 0; i < calls_denied.size(); ++i) {
    auto* sample = denied->add_samples();
    sample->set_value(static_cast<double>(calls_denied[i]));
    auto* label = sample->add_labels();
    label->set_name("reason");
    label->set_value(std::string(kKinds[i]));
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
