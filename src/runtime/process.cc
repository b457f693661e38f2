#include "runtime/process.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace hexr::runtime {
namespace {

// linux/pidfd.h of 6.15; Debian 12's headers are older. Layout is kernel ABI.
struct KernelPidfdInfo {
  uint64_t mask, cgroupid;
  uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
  int32_t exit_code;
  uint32_t coredump_mask, spare;
};
constexpr unsigned long kPidfdGetInfo = _IOWR(0xFF, 11, KernelPidfdInfo);
constexpr decltype(statfs::f_type) kPidfsMagic = 0x50494446;  // "PIDF", linux/magic.h
constexpr uint64_t kInfoPid = 1, kInfoCreds = 2, kInfoCgroup = 4, kInfoExit = 8;

Result<std::string> ReadSmallFile(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError("open " + path, errno);
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t n = read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("read " + path, errno);
    if (n == 0) return text;
    text.append(buffer, static_cast<size_t>(n));
  }
}

}  // namespace

Result<UniqueFd> OpenPidfd(pid_t pid) {
  UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!fd) return ErrnoError("pidfd_open", errno);
  return fd;
}

Status SignalPidfd(int pidfd, int signal) {
  if (syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) != 0) return ErrnoError("pidfd_send_signal", errno);
  return Ok();
}

Result<uint64_t> PidfdInode(int pidfd) {
  struct stat st {};
  if (fstat(pidfd, &st) != 0) return ErrnoError("fstat pidfd", errno);
  // Before pidfs every pidfd is the one anonymous inode: its number would say nothing.
  struct statfs fs {};
  if (fstatfs(pidfd, &fs) != 0) return ErrnoError("fstatfs pidfd", errno);
  return fs.f_type == kPidfsMagic ? uint64_t{st.st_ino} : uint64_t{0};
}

Result<PidfdInfo> GetPidfdInfo(int pidfd) {
  KernelPidfdInfo k{};
  k.mask = kInfoPid | kInfoCreds | kInfoCgroup | kInfoExit;
  if (ioctl(pidfd, kPidfdGetInfo, &k) != 0) {
    if (errno == ENOTTY || errno == EINVAL) return Unimplemented("PIDFD_GET_INFO: kernel 6.13 is needed");
    return ErrnoError("PIDFD_GET_INFO", errno);
  }
  PidfdInfo info;
  info.has_ids = (k.mask & kInfoPid) != 0 && (k.mask & kInfoCreds) != 0 && k.pid != 0;
  info.pid = k.pid;
  info.tgid = k.tgid;
  info.ppid = k.ppid;
  info.ruid = k.ruid;
  info.rgid = k.rgid;
  info.euid = k.euid;
  info.egid = k.egid;
  info.cgroup_id = k.cgroupid;
  if ((k.mask & kInfoExit) != 0) info.exit_status = k.exit_code;
  return info;
}

Result<pid_t> PidfdPid(int pidfd) {
  ASSIGN_OR_RETURN(const std::string text, ReadSmallFile("/proc/self/fdinfo/" + std::to_string(pidfd)));
  const size_t at = text.find("\nPid:");
  if (at == std::string::npos) return InvalidArgument("not a pidfd");
  size_t begin = at + 5;
  while (begin < text.size() && (text[begin] == ' ' || text[begin] == '\t')) ++begin;
  pid_t pid = -1;
  std::from_chars(text.data() + begin, text.data() + text.size(), pid);
  if (pid <= 0) return NotFound("the process has ended, or is not in this PID namespace");
  return pid;
}

Result<uint64_t> ProcessStartTime(pid_t pid) {
  ASSIGN_OR_RETURN(const std::string stat, ReadSmallFile("/proc/" + std::to_string(pid) + "/stat"));
  // The command name may hold spaces and parentheses: fields are counted from behind the last ')'.
  const size_t paren = stat.rfind(')');
  if (paren == std::string::npos) return DataLoss("malformed /proc/PID/stat");
  size_t at = paren + 1;
  for (int field = 3; field <= 22; ++field) {
    at = stat.find(' ', at);
    if (at == std::string::npos) return DataLoss("malformed /proc/PID/stat");
    ++at;
  }
  uint64_t start = 0;
  const auto r = std::from_chars(stat.data() + at, stat.data() + stat.size(), start);
  if (r.ec != std::errc()) return DataLoss("malformed /proc/PID/stat");
  return start;
}

Result<Restrictions> RestrictionsOf(pid_t pid) {
  ASSIGN_OR_RETURN(const std::string status, ReadSmallFile("/proc/" + std::to_string(pid) + "/status"));
  const auto line = [&](const std::string& key) -> std::string_view {
    const size_t at = status.find("\n" + key + ":\t");
    if (at == std::string::npos) return {};
    const size_t from = at + key.size() + 3;
    return std::string_view(status).substr(from, status.find('\n', from) - from);
  };
  Restrictions c;
  const std::string_view filters = line("Seccomp_filters");
  if (filters.empty())
    c.filters = line("Seccomp") == "2" ? 1 : 0;  // SECCOMP_MODE_FILTER
  else
    std::from_chars(filters.data(), filters.data() + filters.size(), c.filters);
  c.no_new_privs = line("NoNewPrivs") == "1";
  const std::string_view pids = line("NSpid");
  if (pids.empty()) return DataLoss("malformed /proc/PID/status");
  c.pid_namespaces = 1 + static_cast<size_t>(std::count(pids.begin(), pids.end(), '\t'));
  c.namespace_init = c.pid_namespaces > 1 && pids.ends_with("\t1");
  return c;
}

Result<std::string> BootId() {
  ASSIGN_OR_RETURN(std::string id, ReadSmallFile("/proc/sys/kernel/random/boot_id"));
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

std::map<std::string, std::string> Environment() {
  std::map<std::string, std::string> out;
  for (char** e = environ; *e != nullptr; ++e) {
    const std::string_view line(*e);
    const size_t eq = line.find('=');
    if (eq != std::string_view::npos) out.emplace(line.substr(0, eq), line.substr(eq + 1));
  }
  return out;
}

Result<Child> SpawnChild(const ChildSpec& spec) {
  HEXR_CHECK(!spec.argv.empty());
  // Everything that allocates happens before the fork: the child may only make system calls.
  std::vector<char*> argv, env;
  for (const std::string& a : spec.argv) argv.push_back(const_cast<char*>(a.c_str()));
  for (const std::string& e : spec.env) env.push_back(const_cast<char*>(e.c_str()));
  argv.push_back(nullptr);
  env.push_back(nullptr);
  int highest = 2;
  for (const auto& [child, ours] : spec.fds) highest = std::max({highest, child, ours});
  int error_pipe[2];
  if (pipe2(error_pipe, O_CLOEXEC) != 0) return ErrnoError("pipe", errno);
  UniqueFd error_read(error_pipe[0]), error_write(error_pipe[1]);

  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  const pid_t parent = getpid();
  const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof args));
  if (pid < 0) return ErrnoError("clone3", errno);
  if (pid == 0) {
    const auto fail = [&]() {
      const int e = errno;
      (void)!write(error_write.get(), &e, sizeof e);
      _exit(127);
    };
    if (spec.parent_death_signal) {
      if (prctl(PR_SET_PDEATHSIG, *spec.parent_death_signal) != 0 || getppid() != parent) fail();
    }
    // Two steps, so that no target number overwrites a source that is still needed.
    const int base = std::max(highest, error_write.get()) + 1;
    for (size_t i = 0; i < spec.fds.size(); ++i) {
      if (dup3(spec.fds[i].second, base + static_cast<int>(i), O_CLOEXEC) < 0) fail();
    }
    const int error_fd = base + static_cast<int>(spec.fds.size());
    if (dup3(error_write.get(), error_fd, O_CLOEXEC) < 0) fail();
    error_write = UniqueFd(error_fd);
    for (size_t i = 0; i < spec.fds.size(); ++i) {
      if (dup2(base + static_cast<int>(i), spec.fds[i].first) < 0) fail();
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    for (int s = 1; s < NSIG; ++s) signal(s, SIG_DFL);
    execve(argv[0], argv.data(), env.data());
    fail();
  }
  Child child{pid, UniqueFd(pidfd)};
  error_write.reset();
  int error = 0;
  ssize_t n = 0;
  do {
    n = read(error_read.get(), &error, sizeof error);
  } while (n < 0 && errno == EINTR);
  if (n == 0) return child;
  siginfo_t info{};
  waitid(P_PIDFD, static_cast<id_t>(child.pidfd.get()), &info, WEXITED);
  return ErrnoError("start " + spec.argv[0], n == sizeof error ? error : EIO);
}

Result<std::optional<int>> ReapChild(int pidfd) {
  siginfo_t info{};
  if (waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG) != 0) return ErrnoError("waitid", errno);
  if (info.si_pid == 0) return std::optional<int>();
  const int status = info.si_status;
  return std::optional<int>(info.si_code == CLD_EXITED ? (status & 0xFF) << 8
                                                       : (status & 0x7F) | (info.si_code == CLD_DUMPED ? 0x80 : 0));
}

Result<uint64_t> RaiseFileLimit() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return ErrnoError("limit of open files", errno);
  files.rlim_cur = files.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) return ErrnoError("limit of open files", errno);
  return files.rlim_cur;
}

std::string DescribeWaitStatus(int status) {
  if (WIFEXITED(status)) return "exit code " + std::to_string(WEXITSTATUS(status));
  const int s = WTERMSIG(status);
  return "signal " + std::to_string(s) + " (" + strsignal(s) + ")";
}

}  // namespace hexr::runtime
