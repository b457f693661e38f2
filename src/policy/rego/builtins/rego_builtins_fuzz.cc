// Any built-in on any operands: a result or an error, the same when it is asked again, within the memory that it was
// given. The first line names the built-in; each operand follows a line of "---", as text, or as JSON behind a "=".
#include <cstdlib>
#include <string>
#include <vector>

#include "policy/rego/builtins/registry.h"
#include "policy/rego/value/json.h"

namespace {

namespace rego = hexr::rego;

struct Answer {
  std::string result, code, message;
  bool operator==(const Answer&) const = default;
};

Answer Ask(const rego::Builtin& builtin, const std::vector<rego::Value>& operands) {
  hexr::ManualClock clock(hexr::WallTime{});
  hexr::SeededRandom random(1);
  rego::Services services(clock, random);
  services.memory_limit = 4 << 20;
  services.BeginQuery();
  rego::Arena arena;
  rego::Call call(arena, services, operands);
  const rego::Value v = builtin.fn(call);
  if (arena.used() > size_t{64} << 20) std::abort();
  if (call.failed()) return {"", call.code(), call.message()};
  return {v.defined() ? rego::ToJson(v) : "", "", ""};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  constexpr std::string_view kLine = "\n---\n";
  std::vector<std::string_view> parts;
  while (parts.size() < 8) {
    const size_t at = text.find(kLine);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) break;
    text.remove_prefix(at + kLine.size());
  }
  const rego::Builtin* builtin = rego::FindBuiltin(parts[0]);
  if (builtin == nullptr || builtin->only_cases) return 0;
  rego::Arena arena;
  std::vector<rego::Value> operands;
  for (size_t i = 1; i < parts.size(); ++i) {
    auto json = parts[i].starts_with('=') ? rego::ParseJson(arena, parts[i].substr(1))
                                          : hexr::Result<rego::Value>(rego::Value());
    operands.push_back(json.ok() && json->defined() ? *json : rego::Value::String(arena, parts[i]));
  }
  if (!builtin->variadic) operands.resize(builtin->arity, rego::Value::Null());
  const Answer answer = Ask(*builtin, operands);
  if (!builtin->nondeterministic && !(answer == Ask(*builtin, operands))) std::abort();
  return 0;
}
