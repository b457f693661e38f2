#include "cli/node.h"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/admin_client.h"
#include "cli/output.h"
#include "config/config.h"
#include "runtime/process.h"

namespace hexr::cli {
namespace {

using runtime::UniqueFd;

Result<std::string> ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return ErrnoError(path, errno);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

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

Result<config::Config> LoadConfig(const std::string& path) {
  const auto text = ReadFile(path);
  if (!text.ok())
    return InvalidArgument(text.error().message() + "; `hexr up` writes a first one, --config FILE names another");
  return config::ParseOrError(*text, path);
}

std::string DaemonPath() {
  std::error_code e;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", e);
  return (self.parent_path() / "hexrd").string();
}

// The pid of the node that holds this run folder's lock, or 0 when none does.
Result<pid_t> RunningNode(const config::Paths& paths) {
  const UniqueFd fd(open(paths.PidFile().c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    if (errno == ENOENT) return pid_t{0};
    return ErrnoError(paths.PidFile(), errno);
  }
  if (flock(fd.get(), LOCK_SH | LOCK_NB) == 0) return pid_t{0};
  char text[32] = {};
  const ssize_t n = read(fd.get(), text, sizeof text - 1);
  pid_t pid = 0;
  std::from_chars(text, text + (n > 0 ? n : 0), pid);
  if (pid <= 1) return DataLoss(paths.PidFile() + " does not hold a pid");
  return pid;
}

}  // namespace

int RunUp(const Invocation& in) {
  const auto running = RunningNode(in.paths);
  if (!running.ok()) return Fail(running.error());
  if (*running != 0) {
    PrintLine("already up: pid " + std::to_string(*running) + ", " + in.paths.run_dir);
    return kYes;
  }
  if (const Status s = WriteStarter(in.paths.config_file); !s.ok()) return Fail(s.error());
  if (const auto c = LoadConfig(in.paths.config_file); !c.ok()) return Fail(c.error());

  const std::string daemon = DaemonPath();
  std::vector<std::string> argv = {daemon, "--config", in.paths.config_file};
  if (in.Has("--foreground")) {
    std::vector<char*> raw;
    for (std::string& a : argv) raw.push_back(a.data());
    raw.push_back(nullptr);
    execv(daemon.c_str(), raw.data());
    return Fail(ErrnoError("start " + daemon, errno));
  }
  std::error_code e;
  std::filesystem::create_directories(in.paths.state_dir, e);
  if (!e) (void)chmod(in.paths.state_dir.c_str(), 0700);
  const UniqueFd log(open(in.paths.LogFile().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!log) return Fail(ErrnoError(in.paths.LogFile(), errno));
  const off_t log_start = lseek(log.get(), 0, SEEK_END);
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) return Fail(ErrnoError("pipe", errno));
  UniqueFd ready_read(ready[0]), ready_write(ready[1]);
  argv.insert(argv.end(), {"--ready-fd", "3", "--detach"});
  std::vector<std::string> env;
  for (char** x = environ; *x != nullptr; ++x) env.emplace_back(*x);
  const auto child =
      runtime::SpawnChild({argv, env, {{0, null.get()}, {1, null.get()}, {2, log.get()}, {3, ready_write.get()}}, {}});
  if (!child.ok()) return Fail(child.error());
  ready_write.reset();
  char word[16] = {};
  pollfd p{ready_read.get(), POLLIN, 0};
  const int n = poll(&p, 1, 30'000);
  const ssize_t got = n > 0 ? read(ready_read.get(), word, sizeof word - 1) : -1;
  if (got <= 0) {
    PrintError(n == 0 ? "the node is not ready after 30 s" : "the node did not start");
    // What the daemon said since we started it is the reason.
    std::ifstream in_log(in.paths.LogFile());
    in_log.seekg(log_start);
    for (std::string line; std::getline(in_log, line);) PrintError(line);
    return kFault;
  }
  if (in.output == Output::kJson) {
    PrintJson(wire::JsonObject{{"run_dir", in.paths.run_dir}, {"pid", child->pid}});
  } else {
    PrintLine("up: " + in.paths.run_dir + " (configuration " + in.paths.config_file + ", log " + in.paths.LogFile() +
              ")");
  }
  return kYes;
}

int RunDown(const Invocation& in) {
  const auto pid = RunningNode(in.paths);
  if (!pid.ok()) return Fail(pid.error());
  if (*pid == 0) {
    PrintError("no node is running on " + in.paths.run_dir);
    return kUnreachable;
  }
  const auto pidfd = runtime::OpenPidfd(*pid);
  if (!pidfd.ok()) return Fail(pidfd.error());
  if (const Status s = runtime::SignalPidfd(pidfd->get(), SIGTERM); !s.ok()) return Fail(s.error());
  pollfd p{pidfd->get(), POLLIN, 0};
  if (poll(&p, 1, 30'000) != 1) {
    PrintError("the node is still ending after 30 s (pid " + std::to_string(*pid) + ")");
    return kFault;
  }
  if (in.output == Output::kJson)
    PrintJson(wire::JsonObject{{"stopped", *pid}});
  else
    PrintLine("down: pid " + std::to_string(*pid));
  return kYes;
}

int RunConfigShow(const Invocation& in) {
  const auto c = LoadConfig(in.paths.config_file);
  if (!c.ok()) return Fail(c.error());
  if (in.output == Output::kJson) {
    PrintJson(wire::JsonObject{{"file", in.paths.config_file}, {"yaml", config::ToYaml(*c)}});
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

}  // namespace hexr::cli
