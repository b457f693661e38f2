#include "keeper/metrics.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/limits/courier.h"

namespace hexr::keeper {
namespace {

constexpr std::string_view kGatewayPrefix = "hexr_gateway_";
constexpr std::string_view kTenant = "tenant";
constexpr size_t kMaxNameBytes = 64, kMaxValueBytes = 256, kMaxHelpBytes = 512, kMaxLabels = 4;

bool IsName(std::string_view text) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto fits = [&](char c) { return (c >= 'a' && c <= 'z') || digit(c) || c == '_'; };
  return !text.empty() && text.size() <= kMaxNameBytes && !digit(text.front()) && std::ranges::all_of(text, fits);
}

void AddLabel(::hexr::node::v1::Metrics::Sample& sample, std::string_view name, std::string_view value) {
  auto& label = *sample.add_labels();
  label.set_name(std::string(name));
  label.set_value(std::string(value));
}

bool Believable(const ::hexr::node::v1::Metrics::Sample& sample) {
  if (static_cast<size_t>(sample.labels_size()) > kMaxLabels) return false;
  return std::ranges::all_of(sample.labels(), [](const auto& label) {
    return IsName(label.name()) && label.name() != kTenant && label.value().size() <= kMaxValueBytes;
  });
}

}  // namespace

MetricsGathering::~MetricsGathering() {
  runtime::Envelope e;
  for (auto& [name, family] : families_) *e.mutable_metrics()->add_families() = std::move(family);
  e.mutable_metrics();
  reply_.Send(std::move(e));
}

MetricsGathering::Family& MetricsGathering::Of(const std::string& name, const std::string& help, bool counter) {
  Family& family = families_[name];
  if (family.name().empty()) {
    family.set_name(name);
    family.set_help(help);
    family.set_counter(counter);
  }
  return family;
}

void MetricsGathering::Add(const char* name, const char* help, bool counter, double value, const MetricLabels& labels) {
  auto& sample = *Of(name, help, counter).add_samples();
  sample.set_value(value);
  for (const auto& [label, text] : labels) AddLabel(sample, label, text);
}

void MetricsGathering::AddFromSupervisor(const Result<runtime::Message>& answer) {
  if (!answer.ok() || !answer->body.has_metrics()) return;
  for (const Family& family : answer->body.metrics().families()) families_[family.name()].MergeFrom(family);
}

void MetricsGathering::AddFromGateway(const IdSegment& tenant, const Result<runtime::Message>& answer) {
  if (!answer.ok() || !answer->body.has_metrics()) return;
  size_t families = 0;
  for (const Family& family : answer->body.metrics().families()) {
    if (!family.name().starts_with(kGatewayPrefix) || !IsName(family.name()) || family.help().size() > kMaxHelpBytes) {
      continue;
    }
    if (++families > limits::kMaxMetricFamilies) return;
    Family& ours = Of(family.name(), family.help(), family.counter());
    for (const auto& sample : family.samples()) {
      if (static_cast<size_t>(ours.samples_size()) >= limits::kMaxMetricSamples) break;
      if (!Believable(sample)) continue;
      auto& copy = *ours.add_samples();
      copy.set_value(sample.value());
      AddLabel(copy, kTenant, tenant.value());
      for (const auto& label : sample.labels()) AddLabel(copy, label.name(), label.value());
    }
  }
}

}  // namespace hexr::keeper
