// Any text as a policy that is compiled and run on any input and data, with small budgets as the judge: no crash, no
// hang, nothing over budget; asked again, and traced, it gives the same answers. Lines of "---" stand between policy,
// input and data.
#include <cstdlib>
#include <string>
#include <vector>

#include "policy/rego/engine.h"
#include "policy/rego/value/build.h"
#include "policy/rego/value/json.h"

namespace {

namespace rego = hexr::rego;

constexpr std::string_view kInput = R"({"a": [1, "x", {"b": null}], "n": 3, "s": "text"})";

std::string_view NextPart(std::string_view& text) {
  constexpr std::string_view kLine = "\n---\n";
  const size_t at = text.find(kLine);
  const std::string_view part = text.substr(0, at);
  text = at == std::string_view::npos ? std::string_view() : text.substr(at + kLine.size());
  return part;
}

rego::Value ParseOr(rego::Arena& arena, std::string_view text, std::string_view otherwise) {
  auto v = rego::ParseJson(arena, text);
  return v.ok() ? *v : *rego::ParseJson(arena, otherwise);
}

std::vector<std::string> Answers(const rego::Policy& policy, const rego::Value& input, const rego::Value& data,
                                 bool traced) {
  hexr::ManualClock clock(hexr::WallTime{});
  hexr::SeededRandom random(1);
  rego::Services services(clock, random);
  rego::Budget budget;
  budget.steps = 20000;
  budget.memory = 4 << 20;
  budget.depth = 64;
  rego::Machine machine(policy.program(), services, budget);
  rego::Trace trace;
  trace.Reset(policy.program());
  if (traced) machine.trace = &trace;
  std::vector<std::string> out;
  const auto ask = [&](auto run) {
    machine.Begin(input, data);
    rego::Value v;
    switch (run(v)) {
      case rego::Machine::Outcome::kValue: out.push_back(rego::ToJson(v)); break;
      case rego::Machine::Outcome::kUndefined: out.emplace_back(); break;
      case rego::Machine::Outcome::kError: out.push_back(machine.error().ToString()); break;
    }
    // One built-in may overshoot by what it makes at once.
    if (machine.arena().used() > size_t{64} << 20) std::abort();
  };
  for (size_t f = 0; f < policy.program().functions.size(); ++f) {
    if (policy.program().functions[f].arguments != 0) continue;
    ask([&](rego::Value& v) { return machine.Run(static_cast<int>(f), v); });
  }
  ask([&](rego::Value& v) { return machine.RunDocument(0, v); });
  return out;
}

// What draws from the machine's random numbers, or signs with them, differs from run to run.
bool Draws(const rego::Policy& policy) {
  for (const rego::BuiltinSite& site : policy.program().sites) {
    if (site.builtin->nondeterministic) return true;
  }
  for (const rego::WithSite& w : policy.program().withs) {
    for (const rego::WithTarget& t : w.targets) {
      if (t.by_builtin >= 0) return true;
    }
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string module(NextPart(text));
  rego::Arena arena;
  const rego::Value input = ParseOr(arena, NextPart(text), kInput);
  rego::Value base = ParseOr(arena, text, kInput);
  if (!base.is_object()) base = rego::EmptyObject();
  for (auto version : {rego::Version::kV1, rego::Version::kV0}) {
    std::vector<rego::Diagnostic> errors;
    const auto policy = rego::Policy::Compile({{"f.rego", module}}, {.version = version}, errors);
    if (!policy) {
      if (errors.empty()) std::abort();
      continue;
    }
    const auto answers = Answers(*policy, input, base, false);
    if (!Draws(*policy) &&
        (answers != Answers(*policy, input, base, false) || answers != Answers(*policy, input, base, true)))
      std::abort();
  }
  return 0;
}
