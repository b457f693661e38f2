#include "config/crew.h"

#include <yaml-cpp/yaml.h>

#include <set>

#include "base/limits/agents.h"
#include "config/reader.h"

namespace hexr::config {
namespace {

CrewRole ReadCrewRole(MapReader& m, const IdSegment& agent, const std::set<std::string>& earlier) {
  CrewRole r{.agent = agent, .role = IdSegment::Parse("main").value()};
  m.Parsed("agent", r.agent, IdSegment::Parse);
  m.Required("role");
  m.Parsed("role", r.role, IdSegment::Parse);
  if (earlier.contains(r.role.value()))
    m.Fail("role", "'" + r.role.value() + "' stands above already; names are given once");
  m.Required("command");
  m.Words("command", r.command);
  if (m.Has("command") && (r.command.empty() || r.command[0].empty())) m.Fail("command", "names no program");
  m.String("dir", r.dir);
  m.StringMap("env", r.env);
  for (const auto& [name, value] : r.env) {
    if (name.empty() || name.find('=') != std::string::npos) m.Fail("env", "'" + name + "' is not a variable's name");
  }
  m.Strings("ro", r.read_only);
  m.Strings("rw", r.read_write);
  m.Strings("hide", r.hidden);
  m.Strings("keep_env", r.keep_env);
  m.Strings("after", r.after);
  for (const std::string& name : r.after) {
    if (earlier.contains(name)) continue;
    const std::string near = Nearest(name, earlier);
    m.Fail("after",
           "'" + name + "' is no role above this one" + (near.empty() ? "" : "; did you mean '" + near + "'?"));
  }
  m.String("ready", r.ready);
  return r;
}

void ReadCrew(MapReader& m, Crew& crew) {
  IdSegment agent = IdSegment::Parse("crew").value();
  m.Parsed("agent", agent, IdSegment::Parse);
  m.Parsed("tenant", crew.tenant, [](const std::string& text) -> Result<std::optional<IdSegment>> {
    ASSIGN_OR_RETURN(IdSegment s, IdSegment::Parse(text));
    return std::optional<IdSegment>(std::move(s));
  });
  m.Choice<CrewStop>("stop", crew.stop,
                     {{"failure", CrewStop::kFailure}, {"any", CrewStop::kAny}, {"never", CrewStop::kNever}});
  m.Required("roles");
  std::set<std::string> earlier;
  m.Each("roles", [&](MapReader& r) {
    if (crew.roles.size() == limits::kMaxCrewRoles) {
      return r.Fail("role", "a crew has at most " + std::to_string(limits::kMaxCrewRoles) + " roles");
    }
    crew.roles.push_back(ReadCrewRole(r, agent, earlier));
    earlier.insert(crew.roles.back().role.value());
  });
  if (m.Has("roles") && crew.roles.empty()) m.Fail("roles", "names no role");
}

}  // namespace

CrewOutcome ParseCrew(const std::string& text, const std::string& file) {
  CrewOutcome outcome;
  Problems problems(file);
  Crew crew;
  if (text.size() > limits::kMaxCrewFileBytes) {
    outcome.problems.push_back({file, 0, 0, "larger than " + std::to_string(limits::kMaxCrewFileBytes) + " bytes"});
    return outcome;
  }
  try {  // yaml-cpp speaks in exceptions; this is the one place that hears them
    const YAML::Node document = LoadDocument(text, problems);
    if (problems.empty()) {
      MapReader root(document, "", problems);
      ReadCrew(root, crew);
      root.Finish();
    }
  } catch (const YAML::Exception& e) {
    problems.Add(e.mark, "not YAML: " + e.msg);
  }
  outcome.problems = problems.Take();
  if (outcome.problems.empty()) outcome.crew = std::move(crew);
  return outcome;
}

}  // namespace hexr::config
