#include "cli/node_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/output.h"
#include "wire/json.h"

namespace hexr::cli {

using runtime::UniqueFd;

namespace {

constexpr int kPatienceMs = 30'000;

// What the daemon has complained of since it was started is the reason; that a process has ended because of it is none.
std::string ComplaintsSince(const std::string& log, off_t start) {
  std::ifstream in(log);
  in.seekg(start);
  std::string reasons, rest;
  for (std::string line; std::getline(in, line);) {
    const auto json = wire::ParseJson(line);
    if (!json.ok()) {
      reasons += "\n" + line;
      continue;
    }
    const std::string level = Text(*json, "level"), error = Text(*json, "error");
    if (level != "error") continue;
    (error.empty() ? rest : reasons) +=
        "\n" + Text(*json, "process") + ": " + (error.empty() ? Text(*json, "event") : error);
  }
  return (reasons.empty() ? rest : reasons) + "\nmore in " + log;
}

}  // namespace

std::string DaemonPath() {
  std::error_code e;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", e);
  return (self.parent_path() / "hexrd").string();
}

Result<StartedNode> StartNode(const config::Paths& paths, const std::map<std::string, std::string>& environment,
                              bool end_with_us) {
  std::error_code e;
  std::filesystem::create_directories(paths.state_dir, e);
  if (!e) (void)chmod(paths.state_dir.c_str(), 0700);
  const UniqueFd log(open(paths.LogFile().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!log) return ErrnoError(paths.LogFile(), errno);
  const off_t log_start = lseek(log.get(), 0, SEEK_END);
  const UniqueFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) return ErrnoError("pipe", errno);
  UniqueFd ready_read(ready[0]), ready_write(ready[1]);

  runtime::ChildSpec spec;
  spec.argv = {DaemonPath(), "--config", paths.config_file, "--ready-fd", "3", "--detach"};
  spec.env.reserve(environment.size());
  for (const auto& [name, value] : environment) spec.env.push_back(name + "=" + value);
  spec.fds = {{0, null.get()}, {1, null.get()}, {2, log.get()}, {3, ready_write.get()}};
  if (end_with_us) spec.parent_death_signal = SIGTERM;
  const SystemClock clock;
  const MonoTime begin = clock.Mono();
  ASSIGN_OR_RETURN(runtime::Child child, runtime::SpawnChild(spec));
  ready_write.reset();
  pollfd p{ready_read.get(), POLLIN, 0};
  const int n = poll(&p, 1, kPatienceMs);
  char word[16] = {};
  if (n > 0 && read(ready_read.get(), word, sizeof word - 1) > 0)
    return StartedNode{std::move(child), clock.Mono() - begin};
  // hexrd has said what is wrong; whether with the configuration or with us is its exit code.
  pollfd ended{child.pidfd.get(), POLLIN, 0};
  if (n > 0 && poll(&ended, 1, kPatienceMs) == 1) {
    const auto status = runtime::ReapChild(child.pidfd.get());
    if (status.ok() && *status && WIFEXITED(**status) && WEXITSTATUS(**status) == kUsage) {
      return InvalidArgument("the node did not start" + ComplaintsSince(paths.LogFile(), log_start));
    }
  }
  return Internal((n == 0 ? "the node is not ready after 30 s" : "the node did not start") +
                  ComplaintsSince(paths.LogFile(), log_start));
}

Result<std::optional<pid_t>> RunningNode(const config::Paths& paths) {
  const UniqueFd fd(open(paths.PidFile().c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    if (errno == ENOENT) return std::optional<pid_t>();
    return ErrnoError(paths.PidFile(), errno);
  }
  if (flock(fd.get(), LOCK_SH | LOCK_NB) == 0) return std::optional<pid_t>();
  char text[32] = {};
  const ssize_t n = read(fd.get(), text, sizeof text - 1);
  pid_t pid = 0;
  std::from_chars(text, text + (n > 0 ? n : 0), pid);
  if (pid <= 1) return DataLoss(paths.PidFile() + " does not hold a pid");
  return std::optional<pid_t>(pid);
}

Status StopNode(pid_t pid) {
  ASSIGN_OR_RETURN(const UniqueFd pidfd, runtime::OpenPidfd(pid));
  RETURN_IF_ERROR(runtime::SignalPidfd(pidfd.get(), SIGTERM));
  pollfd p{pidfd.get(), POLLIN, 0};
  if (poll(&p, 1, kPatienceMs) != 1)
    return DeadlineExceeded("the node is still ending after 30 s (pid " + std::to_string(pid) + ")");
  return Ok();
}

}  // namespace hexr::cli
