#include "policy/tools/bench.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "policy/rego/engine.h"
#include "policy/rego/value/json.h"
#include "policy/tools/json_text.h"

namespace hexr::policy {
namespace {

using Outcome = rego::Machine::Outcome;

std::string Rounded(double d) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", d);
  return text;
}

}  // namespace

Result<BenchFigures> Bench(const Documents& documents, const std::string& input_json, const std::string& query,
                           std::chrono::nanoseconds duration, rego::Version version, uint64_t (*allocations)(),
                           const Clock& clock, Random& random) {
  std::vector<rego::Diagnostic> errors;
  auto policy = rego::Policy::Compile(documents.sources, {.version = version}, errors);
  if (!policy) return InvalidArgument(rego::FormatDiagnostics(errors));
  // A document is asked for as the gateway does; any other query by its bindings.
  const int place = policy->FindDocument(query);
  int function = -1;
  if (place < 0) {
    function = policy->AddQuery(query, errors);
    if (function < 0) return InvalidArgument(rego::FormatDiagnostics(errors));
  }
  rego::Arena arena;
  rego::Value input;
  if (!input_json.empty()) {
    ASSIGN_OR_RETURN(input, rego::ParseJson(arena, input_json));
  }
  rego::Services services(clock, random);
  rego::Machine machine(policy->program(), services);
  rego::Value value;
  auto decide = [&] {
    machine.Begin(input, documents.data);
    return place >= 0 ? machine.RunDocument(place, value) : machine.Run(function, value);
  };
  for (int i = 0; i < 200; ++i) {
    if (decide() == Outcome::kError) return FailedPrecondition(machine.error().ToString());
  }
  // A sample is as many decisions as outweigh the reading of the clock.
  uint64_t batch = 1;
  for (MonoTime start; batch < (1u << 20); batch *= 2) {
    start = clock.Mono();
    for (uint64_t i = 0; i < batch; ++i) decide();
    if (clock.Mono() - start >= std::chrono::microseconds(20)) break;
  }
  constexpr size_t kSamples = 1 << 16;
  std::vector<double> samples;
  samples.reserve(kSamples);
  BenchFigures out;
  const MonoTime begin = clock.Mono();
  const uint64_t before = allocations();
  MonoTime now = begin;
  while (samples.size() < kSamples && now - begin < duration) {
    const MonoTime start = now;
    for (uint64_t i = 0; i < batch; ++i) decide();
    now = clock.Mono();
    samples.push_back(static_cast<double>((now - start).count()) / static_cast<double>(batch));
    out.evals += batch;
  }
  out.allocs = static_cast<double>(allocations() - before) / static_cast<double>(out.evals);
  out.ns_mean = static_cast<double>((now - begin).count()) / static_cast<double>(out.evals);
  std::sort(samples.begin(), samples.end());
  out.ns_p50 = samples[samples.size() / 2];
  out.ns_p99 = samples[std::min(samples.size() - 1, samples.size() * 99 / 100)];
  return out;
}

std::string BenchJson(const BenchFigures& f) {
  JsonText j;
  j.BeginObject();
  j.Key("ns_p50");
  j.Plain(Rounded(f.ns_p50));
  j.Key("ns_p99");
  j.Plain(Rounded(f.ns_p99));
  j.Key("ns_mean");
  j.Plain(Rounded(f.ns_mean));
  j.Key("allocs");
  j.Plain(f.allocs == std::floor(f.allocs) ? std::to_string(static_cast<uint64_t>(f.allocs)) : Rounded(f.allocs));
  j.Member("evals", static_cast<int64_t>(f.evals));
  j.EndObject();
  return j.Take() + "\n";
}

}  // namespace hexr::policy
