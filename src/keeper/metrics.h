// Gathers what the node's processes count into one answer. Belongs to the keeper's loop.
#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "base/spiffe_id.h"
#include "runtime/channel.h"

namespace hexr::keeper {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

// One scrape. It answers when the last who holds it lets go: when everybody has answered, or their time is up.
class MetricsGathering {
 public:
  explicit MetricsGathering(runtime::Channel::Reply reply) : reply_(std::move(reply)) {}
  ~MetricsGathering();
  MetricsGathering(const MetricsGathering&) = delete;
  MetricsGathering& operator=(const MetricsGathering&) = delete;

  // The keeper's own.
  void Add(const char* name, const char* help, bool counter, double value, const MetricLabels& labels = {});
  // The supervisor's: processes. The label `tenant` is its own to set.
  void AddFromSupervisor(const Result<runtime::Message>& answer);
  // A gateway's. It counts for its own tenant and names nothing else: whatever does not look like hexr_gateway_… is
  // dropped, and the tenant is ours to say.
  void AddFromGateway(const IdSegment& tenant, const Result<runtime::Message>& answer);

 private:
  using Family = ::hexr::node::v1::Metrics::Family;
  Family& Of(const std::string& name, const std::string& help, bool counter);

  runtime::Channel::Reply reply_;
  std::map<std::string, Family> families_;
};

}  // namespace hexr::keeper
