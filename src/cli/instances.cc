#include "cli/instances.h"

#include "cli/admin_client.h"
#include "cli/output.h"

namespace hexr::cli {
namespace {

// One method on a target (an instance or a SPIFFE ID prefix) that answers {"instances": [ids]}.
int OnTarget(const Invocation& in, const char* method, const char* done) {
  const auto r = Admin(in.paths, method, {{"target", in.Get("TARGET")}});
  if (!r.ok()) return Fail(r.error());
  if (in.output == Output::kJson) {
    PrintJson(r->json);
  } else if (const wire::JsonArray* ids = r->json.FindArray("instances")) {
    for (const wire::Json& id : *ids)
      PrintLine(std::string(done) + " " + (id.as_string() != nullptr ? *id.as_string() : ""));
  }
  return kYes;
}

Colour StateColour(std::string_view state) {
  if (state == "running") return Colour::kGreen;
  return state == "quarantined" ? Colour::kRed : Colour::kYellow;
}

int RunPs(const Invocation& in) {
  const auto r = Admin(in.paths, "ps", {{"tenant", in.Get("--tenant")}});
  if (!r.ok()) return Fail(r.error());
  if (in.output == Output::kJson) {
    PrintJson(r->json);
    return kYes;
  }
  std::vector<std::vector<std::string>> rows;
  if (const wire::JsonArray* instances = r->json.FindArray("instances")) {
    for (const wire::Json& i : *instances) {
      const std::string state = Text(i, "state");
      rows.push_back({Text(i, "instance"), Text(i, "spiffe_id"), Text(i, "pid"), Paint(StateColour(state), state),
                      Text(i, "assurance"), Text(i, "user"), Text(i, "started"), Text(i, "calls"), Text(i, "denials"),
                      Text(i, "parent")});
    }
  }
  PrintTable({"INSTANCE", "SPIFFE ID", "PID", "STATE", "ASSURANCE", "USER", "STARTED", "CALLS", "DENIALS", "PARENT"},
             rows);
  return kYes;
}

int RunShow(const Invocation& in) {
  const auto r = Admin(in.paths, "show", {{"instance", in.Get("INSTANCE")}});
  if (!r.ok()) return Fail(r.error());
  if (in.output == Output::kJson || r->json.as_object() == nullptr) {
    PrintJson(r->json);
    return kYes;
  }
  std::vector<std::pair<std::string, std::string>> fields;
  for (const wire::JsonMember& m : *r->json.as_object()) fields.emplace_back(m.key, Text(r->json, m.key));
  PrintFields(fields);
  return kYes;
}

int RunKill(const Invocation& in) { return OnTarget(in, "kill", "ended"); }
int RunQuarantine(const Invocation& in) { return OnTarget(in, "quarantine", "quarantined"); }
int RunRelease(const Invocation& in) { return OnTarget(in, "release", "released"); }

}  // namespace

std::vector<Command> InstanceCommands() {
  return {
      {"ps", "List the instances that run now", "hexr ps", {{"--tenant", "TENANT", "only this tenant's"}}, {}, RunPs},
      {"show",
       "Show one instance whole",
       "hexr show 6ab5…",
       {},
       {{"INSTANCE", "an instance, as `hexr ps` prints it"}},
       RunShow},
      {"kill",
       "End instances: processes, identities and connections",
       "hexr kill spiffe://example.org/agent/default/crew",
       {},
       {{"TARGET", "an instance, or a SPIFFE ID and all below it"}},
       RunKill},
      {"quarantine",
       "Take identity and connections from instances that keep running",
       "hexr quarantine spiffe://example.org/agent/default/crew/main",
       {},
       {{"TARGET", "an instance, or a SPIFFE ID and all below it"}},
       RunQuarantine},
      {"release",
       "Give identity back to quarantined instances",
       "hexr release spiffe://example.org/agent/default/crew/main",
       {},
       {{"TARGET", "an instance, or a SPIFFE ID and all below it"}},
       RunRelease},
  };
}

}  // namespace hexr::cli
