#include "spawner/child.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/limits/agents.h"
#include "spawner/init.h"
#include "spawner/landlock.h"
#include "spawner/mounts.h"
#include "spawner/sys.h"

namespace hexr::spawner {
namespace {

using Stage = ChildError::Stage;

constexpr size_t kMaxSentFds = limits::kMaxAgentListeners + 4;

class ChildProcess {
 public:
  explicit ChildProcess(ChildPlan& plan) : plan_(plan) {}

  [[noreturn]] void Run() {
    // A parent that goes away shows as end of file on `sync`, not as a signal: an agent outlives a restart of its
    // spawner.
    ResetSignals();
    EnterCgroups();
    CloseEverythingElse();
    // We are a copy of a spawner that is not dumpable, so our entries of /proc belong to root: a spawner that is not
    // root could not write our maps. Nobody else has our user's rights over a namespace that is not theirs, and the
    // spawner's memory holds no keys.
    if (plan_.asks_for_maps) {
      if (prctl(PR_SET_DUMPABLE, 1) != 0) Fail(Stage::kIdentity, errno);
      Send(kSyncBorn, nullptr, 0);
    }
    if (!WaitForGo()) _exit(0);
    if (prctl(PR_SET_DUMPABLE, 0) != 0) Fail(Stage::kIdentity, errno);
    // Inner uid 0 is not mapped, so capabilities survive this; without it the files of the host's root would be ours.
    // The bare calls: glibc's would signal threads that only the parent has.
    if (syscall(SYS_setresgid, plan_.gid, plan_.gid, plan_.gid) != 0 ||
        syscall(SYS_setresuid, plan_.uid, plan_.uid, plan_.uid) != 0) {
      Fail(Stage::kIdentity, errno);
    }
    int sent[kMaxSentFds];
    size_t count = OpenNetwork(sent);
    size_t index = 0;
    if (const int e = BuildRoot(plan_.mounts, index))
      Fail(index < plan_.mounts.size() ? Stage::kMount : Stage::kPivot, e, index);
    if (sethostname(plan_.hostname.data(), plan_.hostname.size()) != 0) Fail(Stage::kHostname, errno);
    for (const auto& [resource, limit] : plan_.rlimits) {
      if (setrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0)
        Fail(Stage::kLimits, errno, static_cast<size_t>(resource));
    }
    const int slave = plan_.WantsTerminal() ? OpenTerminal(sent[count++]) : -1;
    Send(kSyncBuilt, sent, count);
    for (size_t i = 0; i < count; ++i) close(sent[i]);
    // Nobody in the agent looks into this process, whatever uid it shares with them.
    if (prctl(PR_SET_DUMPABLE, 0) != 0) Fail(Stage::kFork, errno);
    LeadSession(slave);
    // Not fork(3), which takes locks that a thread of the parent may have held.
    const auto agent = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    if (agent < 0) Fail(Stage::kFork, errno);
    if (agent == 0) BecomeAgent(slave);
    BecomeInit(agent, slave);
  }

 private:
  [[noreturn]] void Fail(Stage stage, int errnum, size_t index = 0) {
    const ChildError error{stage, errnum, static_cast<uint32_t>(index)};
    (void)!write(plan_.errors.get(), &error, sizeof error);
    _exit(125);
  }

  // The spawner ignores and blocks signals that a program expects to find untouched.
  static void ResetSignals() {
    for (int s = 1; s < NSIG; ++s) signal(s, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
  }

  // Before any other process of the agent is there, and by itself: a move by another takes a lock of the whole machine.
  void EnterCgroups() {
    for (const UniqueFd& tasks : plan_.cgroup.tasks()) {
      if (write(tasks.get(), "0", 1) != 1) Fail(Stage::kCgroup, errno);
    }
    // The agent sees its own group as the root of all.
    if (unshare(CLONE_NEWCGROUP) != 0) Fail(Stage::kCgroup, errno);
  }

  // PID 1 never execs, so close-on-exec would not close what it inherits of the spawner: listeners of others among it.
  void CloseEverythingElse() {
    int keep[kMaxMountSteps + 8];
    size_t n = 0;
    keep[n++] = plan_.sync.get();
    keep[n++] = plan_.errors.get();
    keep[n++] = plan_.control.get();
    for (const UniqueFd& fd : plan_.stdio) keep[n++] = fd.get();
    for (size_t i = 0; i < plan_.mounts.size() && n < std::size(keep); ++i) {
      if (plan_.mounts[i].tree) keep[n++] = plan_.mounts[i].tree.get();
    }
    CloseAllBut(keep, n);
  }

  static void CloseAllBut(int* keep, size_t n) {
    std::sort(keep, keep + n);
    unsigned from = 0;
    for (size_t i = 0; i < n; ++i) {
      if (keep[i] < 0) continue;
      const auto fd = static_cast<unsigned>(keep[i]);
      if (fd > from) close_range(from, fd - 1, 0);
      from = fd + 1;
    }
    close_range(from, ~0U, 0);
  }

  bool WaitForGo() {
    char byte = 0;
    ssize_t n = 0;
    do {
      n = read(plan_.sync.get(), &byte, 1);
    } while (n < 0 && errno == EINTR);
    return n == 1 && byte == kSyncGo;
  }

  void Send(char kind, const int* fds, size_t count, const char* text = nullptr) {
    iovec parts[2] = {{&kind, 1}, {const_cast<char*>(text), text != nullptr ? strlen(text) : 0}};
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int) * kMaxSentFds)] = {};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = text != nullptr ? 2 : 1;
    if (count > 0) {
      message.msg_control = space;
      message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int) * count);
      memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
    }
    if (sendmsg(plan_.sync.get(), &message, MSG_NOSIGNAL) < 0) Fail(Stage::kSync, errno);
  }

  size_t OpenNetwork(int* fds) {
    int step = 0;
    if (const int e = SetUpLoopback(step)) Fail(Stage::kNetwork, e, static_cast<size_t>(step));
    size_t n = 0;
    for (const ListenerSpec& listener : plan_.listeners) {
      fds[n] = OpenListener(listener);
      if (fds[n] < 0) Fail(Stage::kListener, errno, n);
      ++n;
    }
    // Whoever holds this socket can ask who owns a connection in here, from outside (owner.h).
    fds[n] = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fds[n] < 0) Fail(Stage::kNetwork, errno, 0);
    return n + 1;
  }

  // The agent's own terminal, from its own devpts. Returns the slave.
  int OpenTerminal(int& master) {
    master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0) Fail(Stage::kTerminal, errno);
    const int unlock = 0;
    if (ioctl(master, TIOCSPTLCK, &unlock) != 0) Fail(Stage::kTerminal, errno);
    const int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0) Fail(Stage::kTerminal, errno);
    return slave;
  }

  // PID 1 leads the session and the agent runs in the foreground group of its own: were the agent the leader, its group
  // would be orphaned and Ctrl-Z would do nothing.
  void LeadSession(int slave) {
    if (setsid() < 0) Fail(Stage::kTerminal, errno);
    if (slave >= 0 && ioctl(slave, TIOCSCTTY, 0) != 0) Fail(Stage::kTerminal, errno);
  }

  static bool DropCapabilities() {
    for (int c = 0; c <= 63 && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) == 0; ++c) {  // EINVAL past the kernel's last one
    }
    if (prctl(PR_CAPBSET_READ, 0, 0, 0, 0) != 0) return false;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2] = {};
    return syscall(SYS_capset, &header, none) == 0;
  }

  [[noreturn]] void BecomeInit(pid_t agent, int slave) {
    int keep[] = {plan_.control.get(), slave};
    CloseAllBut(keep, 2);
    if (!DropCapabilities()) _exit(125);
    RunInit(agent, plan_.control.get(), slave);
  }

  [[noreturn]] void BecomeAgent(int slave) {
    if (slave >= 0) {
      signal(SIGTTOU, SIG_IGN);  // tcsetpgrp from a background group would stop us; reset below
      if (setpgid(0, 0) != 0 || tcsetpgrp(slave, getpid()) != 0) Fail(Stage::kTerminal, errno);
    } else if (setsid() < 0) {
      Fail(Stage::kTerminal, errno);
    }
    ResetSignals();
    PlaceStdio(slave);
    umask(plan_.umask);
    if (!DropCapabilities()) Fail(Stage::kCapabilities, errno);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) Fail(Stage::kCapabilities, errno);
    if (chdir(plan_.working_folder.c_str()) != 0) Fail(Stage::kWorkingFolder, errno);
    size_t index = 0;
    // Landlock first: its calls are among those that a stricter filter would refuse.
    if (const int e = RestrictWithLandlock(plan_, index)) Fail(Stage::kLandlock, e, index);
    const int listener = InstallFilter();
    const char* program = FindProgram();
    Announce(listener, program);
    if (!WaitForGo()) _exit(125);
    execve(program, plan_.argv_pointers.data(), plan_.env_pointers.data());
    if (errno == ENOEXEC) {
      // A script without "#!": what execvp(3) and every shell do with it.
      plan_.shell_pointers[1] = const_cast<char*>(program);
      execve("/bin/sh", plan_.shell_pointers.data(), plan_.env_pointers.data());
    }
    Fail(Stage::kExec, errno);
  }

  void PlaceStdio(int slave) {
    int from[3];
    for (int i = 0; i < 3; ++i) {
      // Copies above the three, so that none is overwritten before it has been placed.
      from[i] = fcntl(plan_.terminal[i] ? slave : plan_.stdio[i].get(), F_DUPFD_CLOEXEC, 3);
      if (from[i] < 0) Fail(Stage::kTerminal, errno);
    }
    for (int i = 0; i < 3; ++i) {
      if (dup2(from[i], i) < 0) Fail(Stage::kTerminal, errno);
    }
  }

  int InstallFilter() {
    const sock_fprog program{static_cast<unsigned short>(plan_.filter.size()),
                             const_cast<sock_filter*>(plan_.filter.data())};
    long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, plan_.filter_flags, &program);
    if (listener < 0 && errno == EINVAL && (plan_.filter_flags & kSeccompWaitKillableRecv) != 0) {
      listener =
          syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, plan_.filter_flags & ~kSeccompWaitKillableRecv, &program);
    }
    if (listener < 0) Fail(Stage::kFilter, errno);
    return static_cast<int>(listener);
  }

  const char* FindProgram() {
    int error = ENOENT;
    for (const std::string& candidate : plan_.candidates) {
      struct stat st {};
      if (stat(candidate.c_str(), &st) != 0) {
        if (errno == EACCES) error = EACCES;
        continue;
      }
      if (access(candidate.c_str(), X_OK) == 0 && S_ISREG(st.st_mode)) return candidate.c_str();
      error = EACCES;
    }
    Fail(Stage::kFindProgram, error);
  }

  void Announce(int listener, const char* program) {
    int fds[2] = {listener, open(program, O_RDONLY | O_CLOEXEC)};
    if (fds[1] < 0) fds[1] = open(program, O_PATH | O_CLOEXEC);  // executable, not readable
    if (fds[1] < 0) Fail(Stage::kFindProgram, errno);
    Send(kSyncReady, fds, 2, program);
    close(fds[0]);
    close(fds[1]);
  }

  ChildPlan& plan_;
};

}  // namespace

void RunChild(ChildPlan& plan) { ChildProcess(plan).Run(); }

}  // namespace hexr::spawner
