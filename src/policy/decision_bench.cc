// A whole decision as the gateway asks for it: the call becomes an input, allow, deny and obligations are evaluated,
// and what decided is noted. And what a change of the policy costs who decides.
#include <benchmark/benchmark.h>

#include <string>

#include "policy/decision.h"

namespace hexr::policy {
namespace {

constexpr char kAgents[] = R"(package hexr.authz

default allow := false

allow if {
	some grant in data.grants[input.role]
	grant.server == input.tool.server
	grant.name == input.tool.name
}

deny contains {"code": "tainted", "message": "no mail after untrusted text"} if {
	"untrusted" in input.labels
	input.tool.name == "send_mail"
}

deny contains {"code": "path", "message": "outside of the reports"} if not startswith(input.tool.args.path, "/reports/")
deny contains {"code": "host", "message": "not that host"} if input.destination.host in {"a.test", "b.test"}
deny contains {"code": "assurance", "message": "not attested"} if input.assurance != "attested"
deny contains {"code": "budget", "message": "too many calls"} if input.budget.calls > 1000
deny contains {"code": "cost", "message": "too expensive"} if input.budget.cost_usd > 5
deny contains {"code": "turns", "message": "too many turns"} if input.session.turn > 50
deny contains {"code": "depth", "message": "too deep a lineage"} if count(input.lineage) > 4
deny contains {"code": "model", "message": "not that model"} if startswith(input.model, "old-")

obligations["max_ttl"] := "15m" if input.assurance == "attested"
obligations["label"] := "reports" if startswith(input.tool.args.path, "/reports/")
)";
constexpr char kRole[] = "package hexr.authz\nallow if input.role == \"researcher\"\n";
constexpr char kData[] =
    R"({"grants": {"researcher": [{"server": "files", "name": "list"}, {"server": "files", "name": "read_file"}]}})";

Call ToolCall() {
  Call call;
  call.spiffe_id = "spiffe://example.org/agent/default/crew/researcher";
  call.tenant = "default";
  call.agent = "crew";
  call.role = "researcher";
  call.instance = "6ab5c0de";
  call.assurance = "attested";
  call.lineage = {"spiffe://example.org/agent/default/crew/main", "spiffe://example.org/agent/default/crew/researcher"};
  call.process = Call::Process{true, 4711, "/usr/bin/python3", "sha256:00112233445566778899aabbccddeeff", true};
  call.service = "mcp";
  call.action = "tools/call";
  call.resource = "files/read_file";
  call.tool = Call::Tool{"files", "read_file", R"({"path": "/reports/q3", "limit": 100})", true, ""};
  call.destination = Call::Destination{"files.example.org", 443, "https", "files.example.org", "POST", "/mcp"};
  call.labels = {"source:https://example.org/page"};
  call.budget = Call::Budget{12, 3400, 900, 0.02, 3600};
  call.session = Call::Session{"6ab5c0de", 4};
  call.unix_seconds = 1772443800;
  return call;
}

void Decide(benchmark::State& state, const char* policy) {
  auto set = PolicySet::Compile({{"authz.rego", policy}}, kData, "r1");
  if (!set.ok()) return state.SkipWithError(set.error().message().c_str());
  SystemClock clock;
  SystemRandom random;
  Authorizer authorizer(*set, clock, random);
  const Call call = ToolCall();
  if (!authorizer.Decide(call).allow) return state.SkipWithError("the call is not allowed");
  for (auto _ : state) benchmark::DoNotOptimize(authorizer.Decide(call));
}
void DecideByRole(benchmark::State& s) { Decide(s, kRole); }
void DecideByAgentPolicy(benchmark::State& s) { Decide(s, kAgents); }

// The decision that meets a new policy: what it takes more than others is what activations cost who decides.
void TakeUpANewPolicy(benchmark::State& state) {
  auto one = PolicySet::Compile({{"authz.rego", kAgents}}, kData, "r1");
  auto two = PolicySet::Compile({{"authz.rego", kRole}}, kData, "r2");
  if (!one.ok() || !two.ok()) return state.SkipWithError("a policy does not compile");
  SystemClock clock;
  SystemRandom random;
  Authorizer authorizer(*one, clock, random);
  for (bool odd = false; auto _ : state) {
    authorizer.Use(odd ? *one : *two);
    odd = !odd;
  }
}

BENCHMARK(DecideByRole);
BENCHMARK(DecideByAgentPolicy);
BENCHMARK(TakeUpANewPolicy);

}  // namespace
}  // namespace hexr::policy
