// Decisions per workload: parsed input, warm machine. Heap allocations are counted and shown as `allocs`.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <new>

#include "policy/rego/engine.h"
#include "policy/rego/value/json.h"

// malloc and free are what the counting operators stand on.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace {
size_t g_allocations = 0;
}  // namespace

void* operator new(size_t n) {
  ++g_allocations;
  if (void* p = std::malloc(n)) return p;
  std::abort();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace hexr::rego {
namespace {

constexpr char kRole[] = "package w\ndefault allow := false\nallow if input.role == \"admin\"\n";

// The RBAC policy of OPA's documentation.
constexpr char kRbac[] = R"(package w
default allow := false
allow if user_is_admin
allow if {
	some grant in user_is_granted
	input.action == grant.action
	input.type == grant.type
}
user_is_admin if "admin" in data.user_roles[input.user]
user_is_granted contains grant if {
	some role in data.user_roles[input.user]
	some grant in data.role_grants[role]
}
)";
constexpr char kRbacData[] =
    R"({"user_roles": {"alice": ["admin"], "bob": ["employee", "billing"], "eve": ["customer"]},
"role_grants": {"customer": [{"action": "read", "type": "dog"}, {"action": "read", "type": "cat"}, {"action": "adopt", "type": "dog"},
{"action": "adopt", "type": "cat"}], "employee": [{"action": "read", "type": "dog"}, {"action": "read", "type": "cat"},
{"action": "update", "type": "dog"}, {"action": "update", "type": "cat"}], "billing": [{"action": "read", "type": "finance"},
{"action": "update", "type": "finance"}]}})";

constexpr char kText[] = R"(package w
default allow := false
allow if {
	ns := input.time_ns
	[hour, _, _] := time.clock(ns)
	hour >= 8
	hour < 18
	startswith(input.path, "/api/")
	regex.match("^/api/v[0-9]+/users/[a-z]+$", input.path)
	glob.match("*.example.org", ["."], input.host)
}
)";

void Decide(benchmark::State& state, const std::string& module, const std::string& input, const std::string& data) {
  std::vector<Diagnostic> errors;
  auto policy = Policy::Compile({{"w.rego", module}}, {}, errors);
  if (!policy) return state.SkipWithError(FormatDiagnostics(errors).c_str());
  SystemClock clock;
  SystemRandom random;
  Services services(clock, random);
  Machine machine(policy->program(), services);
  Arena arena;
  auto in = ParseJson(arena, input), base = ParseJson(arena, data);
  int allow = policy->Find("data.w.allow");
  Value v;
  auto once = [&] {
    machine.Begin(*in, *base);
    return machine.Run(allow, v);
  };
  for (int i = 0; i < 100; ++i) once();
  if (!v.is_true()) return state.SkipWithError("the workload is not allowed");
  size_t before = g_allocations;
  for (auto _ : state) benchmark::DoNotOptimize(once());
  state.counters["allocs"] =
      benchmark::Counter(static_cast<double>(g_allocations - before) / static_cast<double>(state.iterations()));
}

void SimpleRole(benchmark::State& s) { Decide(s, kRole, R"({"role": "admin", "user": "alice"})", "{}"); }
void DocsRbac(benchmark::State& s) {
  Decide(s, kRbac, R"({"user": "bob", "action": "update", "type": "finance"})", kRbacData);
}
void TimeTextRegexGlob(benchmark::State& s) {
  Decide(s, kText, R"({"time_ns": 1700042400000000000, "path": "/api/v1/users/alice", "host": "files.example.org"})",
         "{}");
}

void RbacOfManyUsers(benchmark::State& s) {
  std::string data = R"({"user_roles": {)";
  for (int i = 0; i < 200; ++i) {
    data += (i > 0 ? "," : "") + ("\"u" + std::to_string(i)) + "\": [";
    for (int k = 0; k < 10; ++k) data += (k > 0 ? "," : "") + ("\"r" + std::to_string((i + k * 5) % 50)) + "\"";
    data += "]";
  }
  data += R"(}, "role_grants": {)";
  for (int r = 0; r < 50; ++r) {
    data += (r > 0 ? "," : "") + ("\"r" + std::to_string(r)) + "\": [";
    for (int k = 0; k < 20; ++k) {
      data += (k > 0 ? "," : "") + (R"({"action": "a)" + std::to_string(k)) + R"(", "type": "t)" + std::to_string(r) +
              "\"}";
    }
    data += "]";
  }
  Decide(s, kRbac, R"({"user": "u7", "action": "a19", "type": "t2"})", data + "}}");
}

// N rules that compare to different constants; the last one applies.
void Siblings(benchmark::State& s) {
  std::string module = "package w\ndefault allow := false\n";
  auto n = s.range(0);
  for (int64_t i = 0; i < n; ++i)
    module += "allow if { input.tool == \"tool" + std::to_string(i) + "\"; input.role == \"r\" }\n";
  Decide(s, module, "{\"tool\": \"tool" + std::to_string(n - 1) + "\", \"role\": \"r\"}", "{}");
}

BENCHMARK(SimpleRole);
BENCHMARK(DocsRbac);
BENCHMARK(RbacOfManyUsers);
BENCHMARK(TimeTextRegexGlob);
BENCHMARK(Siblings)->Arg(10)->Arg(10000);

}  // namespace
}  // namespace hexr::rego
