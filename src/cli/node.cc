#include "cli/node.h"

#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <sstream>

#include "cli/files.h"
#include "cli/node_process.h"
#include "cli/output.h"
#include "config/config.h"
#include "policy/node_policy.h"
#include "policy/rego/value/arena.h"
#include "policy/rego/value/json.h"
#include "policy/rego/value/yaml.h"

namespace hexr::cli {
namespace {

using runtime::UniqueFd;

std::string UserName() {
  const passwd* p = getpwuid(geteuid());
  return p == nullptr ? std::to_string(geteuid()) : p->pw_name;
}

// Writes the starter configuration where no file is there. Says so: nothing is decided behind anyone's back.
Status WriteStarter(const std::string& path) {
  if (std::filesystem::exists(path)) return Ok();
  std::error_code e;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), e);
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return ErrnoError("write " + path, errno);
  const std::string text = config::StarterYaml(UserName());
  if (write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return ErrnoError("write " + path, errno);
  PrintError("no configuration was there: wrote " + path + " (you may start any agent; nothing may leave the node)");
  return Ok();
}

}  // namespace

Result<config::Config> LoadConfig(const std::string& path) {
  const auto text = ReadFile(path);
  if (!text.ok())
    return InvalidArgument(text.error().message() + "; `hexr up` writes a first one, --config FILE names another");
  return config::ParseOrError(*text, path);
}

namespace {

// What the gateways will take, said here with file and line: they are far away when they refuse.
Status CheckPolicy(const std::string& config_file) {
  ASSIGN_OR_RETURN(const config::Config config, LoadConfig(config_file));
  if (!config.policy) return Ok();
  auto files = policy::ReadNodePolicy(*config.policy);
  Status s = files.ok() ? Ok() : Status(files.error());
  if (s.ok()) {
    const auto taken = policy::TakeNodePolicy(*config.policy, std::move(files).value());
    if (!taken.ok()) s = taken.error();
  }
  return s.ok() ? s : Status(InvalidArgument(config_file + ": " + s.error().message()));
}

int RunUp(const Invocation& in) {
  const auto running = RunningNode(in.paths);
  if (!running.ok()) return Fail(running.error());
  if (*running) {
    if (in.output == Output::kJson)
      PrintJson(wire::JsonObject{{"run_dir", in.paths.run_dir}, {"pid", **running}, {"already", true}});
    else
      PrintLine("already up: pid " + std::to_string(**running) + ", " + in.paths.run_dir);
    return kYes;
  }
  if (const Status s = WriteStarter(in.paths.config_file); !s.ok()) return Fail(s.error());
  if (const Status s = CheckPolicy(in.paths.config_file); !s.ok()) return Fail(s.error());

  if (in.Has("--foreground")) {
    const std::string daemon = DaemonPath();
    execl(daemon.c_str(), daemon.c_str(), "--config", in.paths.config_file.c_str(), nullptr);
    return Fail(ErrnoError("start " + daemon, errno));
  }
  const auto node = StartNode(in.paths, runtime::Environment());
  if (!node.ok()) {
    std::istringstream lines(node.error().message());
    for (std::string line; std::getline(lines, line);) PrintError(line);
    return ExitCodeOf(node.error());
  }
  if (in.output == Output::kJson) {
    PrintJson(wire::JsonObject{{"run_dir", in.paths.run_dir}, {"pid", node->process.pid}});
  } else {
    PrintLine("up: " + in.paths.run_dir + " (configuration " + in.paths.config_file + ", log " + in.paths.LogFile() +
              ")");
  }
  return kYes;
}

int RunDown(const Invocation& in) {
  const auto pid = RunningNode(in.paths);
  if (!pid.ok()) return Fail(pid.error());
  if (!*pid) {
    PrintError("no node is running on " + in.paths.run_dir);
    return kUnreachable;
  }
  if (const Status s = StopNode(**pid); !s.ok()) {
    PrintError(s.error());
    return kFault;
  }
  if (in.output == Output::kJson)
    PrintJson(wire::JsonObject{{"stopped", **pid}});
  else
    PrintLine("down: pid " + std::to_string(**pid));
  return kYes;
}

int RunConfigShow(const Invocation& in) {
  const auto c = LoadConfig(in.paths.config_file);
  if (!c.ok()) return Fail(c.error());
  if (in.output == Output::kJson) {
    const std::string yaml = config::ToYaml(*c);
    rego::Arena arena;
    const auto value = rego::ParseYaml(arena, yaml);
    if (!value.ok()) return Fail(value.error());
    const auto json = wire::ParseJson(rego::ToJson(*value));
    if (!json.ok()) return Fail(json.error());
    PrintJson(wire::JsonObject{{"file", in.paths.config_file}, {"config", *json}, {"yaml", yaml}});
  } else {
    std::fputs(config::ToYaml(*c).c_str(), stdout);
  }
  return kYes;
}

int RunConfigCheck(const Invocation& in) {
  const std::string path = in.Has("FILE") ? in.Get("FILE") : in.paths.config_file;
  const auto text = ReadFile(path);
  if (!text.ok()) {
    PrintError(text.error().message());
    return kUsage;
  }
  const config::ParseOutcome outcome = config::Parse(*text, path);
  if (in.output == Output::kJson) {
    wire::JsonArray problems;
    for (const config::Problem& p : outcome.problems) {
      problems.push_back(
          wire::JsonObject{{"file", p.file}, {"line", p.line}, {"column", p.column}, {"message", p.message}});
    }
    PrintJson(wire::JsonObject{{"valid", outcome.problems.empty()}, {"problems", std::move(problems)}});
  } else {
    for (const config::Problem& p : outcome.problems) PrintError(p.ToString());
    if (outcome.problems.empty()) PrintLine(path + ": valid");
  }
  return outcome.problems.empty() ? kYes : kUsage;
}

}  // namespace

std::vector<Command> NodeCommands() {
  return {
      {"up",
       "Start a node here, as root or as yourself",
       "hexr up",
       {{"--foreground", "", "stay in this terminal and log to it"}},
       {},
       RunUp,
       false,
       true},
      {"down", "Stop the node that runs here", "hexr down", {}, {}, RunDown},
      {"doctor", "Say what this machine gives each layer, and what is weaker here", "hexr doctor", {}, {}, RunDoctor},
      {"config show",
       "Print the configuration in force, with every default",
       "hexr config show",
       {},
       {},
       RunConfigShow,
       false,
       true},
      {"config check",
       "Check a configuration file",
       "hexr config check /etc/hexr/hexr.yaml",
       {},
       {{"FILE", "the file (the node's own)", false}},
       RunConfigCheck,
       false,
       true},
  };
}

}  // namespace hexr::cli
