// Figures of a scan: 4 KiB texts, whole streams, 16-byte chunks. `hexr guard bench` reports the same ones beside peers.
#include <benchmark/benchmark.h>

#include "guard/guard.h"

namespace hexr::guard {
namespace {

const std::shared_ptr<const Engine>& BenchEngine() {
  static const std::shared_ptr<const Engine> engine = Engine::Create({}).value();
  return engine;
}

std::string Prose(size_t size) {
  constexpr std::string_view kText =
      "The committee met on Tuesday to review the budget for the coming year. Several members asked whether the "
      "figures for travel "
      "could be lowered, since most of the talks will take place online. Ms. Hartmann, who keeps the accounts, said "
      "that she would "
      "send a new draft to everybody by the end of the month. In the afternoon a short tour of the new building was "
      "given; the "
      "library on the second floor opens in March 2024, with room for about 340 readers. Questions can be sent to the "
      "office.\n";
  std::string out;
  while (out.size() < size) out += kText;
  out.resize(size);
  return out;
}

std::string Code(size_t size) {
  constexpr std::string_view kText =
      "def load(path: str, limit: int = 4096) -> dict:\n    with open(path, encoding=\"utf-8\") as handle:\n        "
      "data = "
      "json.load(handle)\n"
      "    for key, value in data.items():\n        if key.startswith(\"_\") or value is None:\n            continue\n"
      "        table[key] = value[:limit]\n    return {\"rows\": table, \"count\": len(table), \"version\": "
      "\"1.4.2\"}\n\n";
  std::string out;
  while (out.size() < size) out += kText;
  out.resize(size);
  return out;
}

void Run(benchmark::State& state, const std::string& text, size_t chunk) {
  const auto worker = Worker::Create(BenchEngine()).value();
  const SystemClock clock;
  for (auto _ : state) {
    StreamOptions o;
    o.channel = Channel::kOutput;
    o.policy = DefaultPolicy(Channel::kOutput);
    Stream s(*worker, clock, o);
    for (size_t i = 0; i < text.size(); i += chunk) {
      auto out = s.Feed(std::string_view(text).substr(i, chunk));
      benchmark::DoNotOptimize(out);
    }
    auto out = s.Finish();
    benchmark::DoNotOptimize(out);
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
}

void BM_Prose4KiB(benchmark::State& s) { Run(s, Prose(4096), 4096); }
void BM_Code4KiB(benchmark::State& s) { Run(s, Code(4096), 4096); }
void BM_ProseStream(benchmark::State& s) { Run(s, Prose(1 << 18), 1 << 16); }
void BM_Prose16ByteChunks(benchmark::State& s) { Run(s, Prose(1 << 16), 16); }
BENCHMARK(BM_Prose4KiB);
BENCHMARK(BM_Code4KiB);
BENCHMARK(BM_ProseStream);
BENCHMARK(BM_Prose16ByteChunks);

}  // namespace
}  // namespace hexr::guard
