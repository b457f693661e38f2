#include "cli/node.h"

#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <sstream>

#include "base/bytes.h"
#include "cli/admin_client.h"
#include "cli/files.h"
#include "cli/node_process.h"
#include "cli/output.h"
#include "config/config.h"
#include "crypto/digest.h"
#include "policy/rego/value/arena.h"
#include "policy/rego/value/json.h"
#include "policy/rego/value/yaml.h"

namespace hexr::cli {
namespace {

using runtime::UniqueFd;

std::string UserName() {
  const passwd* p = getpwuid(geteuid());
  return p == nullptr ? "uid:" + std::to_string(geteuid()) : p->pw_name;  // as callers are known
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

Result<std::string> ReadConfig(const std::string& path) {
  auto text = ReadFile(path);
  if (text.ok()) return text;
  const bool missing = text.error().code() == ErrorCode::kNotFound;
  return InvalidArgument(
      text.error().message() +
      (missing ? "; `hexr up` without --config writes a first one, --config FILE names another" : ""));
}

// What the node was started with. Nothing where none runs, or it is not this user's to ask.
struct Running {
  std::string file, sha256;
};

std::optional<Running> ConfigOfRunning(const config::Paths& paths) {
  const auto status = Admin(paths, "status", {});
  if (!status.ok()) return std::nullopt;
  return Running{Text(status->json, "config_file"), Text(status->json, "config_sha256")};
}

int AlreadyUp(const Invocation& in, pid_t node) {
  const std::string up = "already up: pid " + std::to_string(node) + ", " + in.paths.run_dir;
  const auto with = in.config_named ? ConfigOfRunning(in.paths) : std::nullopt;
  std::error_code e;
  if (in.config_named && (!with || !std::filesystem::equivalent(with->file, in.paths.config_file, e))) {
    PrintError(up + (with ? ", with " + with->file : "") + "; `hexr down` first, to start it with " +
               in.paths.config_file);
    return kNo;
  }
  if (in.Has("--foreground")) {
    PrintError(up + "; `hexr down` ends it");
    return kNo;
  }
  if (in.output == Output::kJson)
    PrintJson(wire::JsonObject{{"run_dir", in.paths.run_dir}, {"pid", node}, {"already", true}});
  else
    PrintLine(up);
  return kYes;
}

}  // namespace

Result<config::Config> LoadConfig(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadConfig(path));
  return config::ParseOrError(text, path);
}

namespace {

int RunUp(const Invocation& in) {
  const auto running = RunningNode(in.paths);
  if (!running.ok()) return Fail(running.error());
  if (*running) return AlreadyUp(in, **running);
  // A name that was mistyped is no wish for a node that lets its user start any agent.
  if (!in.config_named) {
    if (const Status s = WriteStarter(in.paths.config_file); !s.ok()) return Fail(s.error());
  }
  if (const auto c = LoadConfig(in.paths.config_file); !c.ok()) return Fail(c.error());

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

// Of the text that the node which runs was started with, where it is another.
void SayIfNotRunning(const config::Paths& paths, const std::string& text) {
  const auto running = ConfigOfRunning(paths);
  if (!running || running->sha256 == HexEncode(crypto::Sha256(AsBytes(text)))) return;
  std::error_code e;
  const bool same_file = std::filesystem::equivalent(running->file, paths.config_file, e);
  PrintError("the node that runs has " + (same_file ? "an earlier text of this file" : running->file) +
             "; `hexr down && hexr up` takes a change");
}

int RunConfigShow(const Invocation& in) {
  const auto text = ReadConfig(in.paths.config_file);
  if (!text.ok()) return Fail(text.error());
  const auto c = config::ParseOrError(*text, in.paths.config_file);
  if (!c.ok()) return Fail(c.error());
  SayIfNotRunning(in.paths, *text);
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
  const auto text = ReadConfig(path);
  if (!text.ok()) return Fail(text.error());
  const config::ParseOutcome outcome = config::Parse(*text, path, config::CheckLocalUser);
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
       "Print the configuration file as a node reads it, with every default",
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
