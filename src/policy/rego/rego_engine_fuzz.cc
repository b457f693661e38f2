// Any text as a policy that is compiled and run, with small budgets as the judge: no crash, no hang, nothing over
// budget.
#include <cstdlib>

#include "policy/rego/engine.h"
#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace rego = hexr::rego;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<rego::Diagnostic> errors;
  auto policy = rego::Policy::Compile({{"f.rego", std::string(text)}}, {}, errors);
  if (!policy) return 0;
  hexr::ManualClock clock(hexr::WallTime{});
  hexr::SeededRandom random(1);
  rego::Services services(clock, random);
  rego::Budget budget;
  budget.steps = 20000;
  budget.memory = 4 << 20;
  budget.depth = 64;
  rego::Machine machine(policy->program(), services, budget);
  rego::Arena arena;
  auto input = rego::ParseJson(arena, R"({"a": [1, "x", {"b": null}], "n": 3, "s": "text"})");
  for (size_t f = 0; f < policy->program().functions.size(); ++f) {
    if (policy->program().functions[f].arguments != 0) continue;
    machine.Begin(*input, *input);
    rego::Value v;
    if (machine.Run(static_cast<int>(f), v) == rego::Machine::Outcome::kValue) rego::ToJson(v);
    // One built-in may overshoot by what it makes at once.
    if (machine.arena().used() > size_t{64} << 20) std::abort();
  }
  return 0;
}
