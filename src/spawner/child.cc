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
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/exit_codes.h"
#include "base/limits/agents.h"
#include "base/limits/messages.h"
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
  ChildProcess(Groundwork& ground, SharedPlan& plan) : ground_(ground), plan_(plan) {}

  [[noreturn]] void Run() {
    // A parent that goes away shows as end of file on `sync`, not as a signal: an agent outlives a restart of its
    // spawner.
    ResetSignals();
    EnterCgroups();
    CloseEverythingElse();
    // We are a copy of a spawner that is not dumpable, so our entries of /proc belong to root: a spawner that is not
    // root could not write our maps. Nobody else has our user's rights over a namespace that is not theirs, and the
    // spawner's memory holds no keys.
    if (ground_.asks_for_maps) {
      if (prctl(PR_SET_DUMPABLE, 1) != 0) Fail(Stage::kIdentity, errno);
      Send(ground_.sync.get(), kSyncBorn, nullptr, 0);
    }
    if (!WaitForGo()) _exit(0);
    if (prctl(PR_SET_DUMPABLE, 0) != 0) Fail(Stage::kIdentity, errno);
    Stamp(plan_.times.mapped);
    // Inner uid 0 is not mapped, so capabilities survive this; without it the files of the host's root would be ours.
    // The bare calls: glibc's would signal threads that only the parent has.
    if (syscall(SYS_setresgid, ground_.gid, ground_.gid, ground_.gid) != 0 ||
        syscall(SYS_setresuid, ground_.uid, ground_.uid, ground_.uid) != 0) {
      Fail(Stage::kIdentity, errno);
    }
    int sent[kMaxSentFds];
    const size_t count = OpenNetwork(sent);
    Stamp(plan_.times.listening);
    if (const int e = KeepMountsHere()) Fail(Stage::kPivot, e);
    if (!ground_.sources_by_path) {
      // Nothing of the host's mounts is kept while this process waits but what the agent will see of them.
      MountGround();
      if (const int e = EnterRoot()) Fail(Stage::kPivot, e);
    }
    Stamp(plan_.times.ground);
    // Nobody in the agent looks into this process, whatever uid it shares with them.
    if (prctl(PR_SET_DUMPABLE, 0) != 0) Fail(Stage::kFork, errno);
    // PID 1 leads the session and the agent runs in the foreground group of its own: were the agent the leader, its
    // group would be orphaned and Ctrl-Z would do nothing.
    if (setsid() < 0) Fail(Stage::kTerminal, errno);
    Send(ground_.sync.get(), kSyncBuilt, sent, count);
    for (size_t i = 0; i < count; ++i) close(sent[i]);
    int step = -1;
    pid_t agent = MakeAgent(step);
    FinishRoot();
    int slave = -1;
    if (plan_.WantsTerminal()) {
      slave = OpenTerminal();
      if (ioctl(slave, TIOCSCTTY, 0) != 0) Fail(Stage::kTerminal, errno);
      // A session's terminal is inherited at birth or never: the PID 2 that is there has none.
      close(step);
      while (waitpid(agent, nullptr, 0) < 0 && errno == EINTR) {
      }
      agent = MakeAgent(step);
    }
    Stamp(plan_.times.mounted);
    // PID 2 has its root and its terminal from here on.
    const int given[] = {stdio_[0], stdio_[1], stdio_[2], slave, master_};
    Send(step, kSyncGo, given, slave >= 0 ? 5 : 3);
    BecomeInit(agent, slave);
  }

 private:
  [[noreturn]] void Fail(Stage stage, int errnum, size_t index = 0) {
    const ChildError error{stage, errnum, static_cast<uint32_t>(index)};
    (void)!write(ground_.errors.get(), &error, sizeof error);
    _exit(kRunRefused);
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
    for (const UniqueFd& tasks : ground_.cgroup.tasks()) {
      if (write(tasks.get(), "0", 1) != 1) Fail(Stage::kCgroup, errno);
    }
    // The agent sees its own group as the root of all.
    if (unshare(CLONE_NEWCGROUP) != 0) Fail(Stage::kCgroup, errno);
  }

  // PID 1 never execs, so close-on-exec would not close what it inherits of the spawner: listeners of others among it.
  void CloseEverythingElse() {
    int keep[kMaxMountSteps + 8];
    size_t n = 0;
    keep[n++] = ground_.sync.get();
    keep[n++] = ground_.errors.get();
    keep[n++] = ground_.control.get();
    for (size_t i = 0; i < plan_.ground.size() && n < std::size(keep); ++i) {
      if (plan_.ground[i].brings_tree) keep[n++] = plan_.ground[i].opened;
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
      n = read(ground_.sync.get(), &byte, 1);
    } while (n < 0 && errno == EINTR);
    return n == 1 && byte == kSyncGo;
  }

  static void Stamp(std::atomic<int64_t>& at) { at.store(MonotonicNanos(), std::memory_order_relaxed); }

  void MountGround() {
    size_t index = 0;
    int e = OpenSources(plan_.ground, index);
    if (e == 0) e = BeginRoot();
    if (e == 0) e = TakeSteps(plan_.ground, index);
    if (e != 0) Fail(Stage::kGround, e, index);
  }

  // Waits as long as it takes: whoever goes away without a word ends what it has made.
  void ReceivePlan() {
    int fds[kMaxMountSteps + 3];
    size_t count = 0, next = 0;
    while (ReceiveDescriptors(ground_.sync.get(), fds, std::size(fds), count) == kSyncMore) {
    }
    const auto take = [&] {
      if (next >= count) Fail(Stage::kSync, EPROTO);
      return fds[next++];
    };
    for (int& fd : stdio_) fd = take();
    for (SharedStep& step : plan_.mounts) {
      if (step.brings_tree) step.opened = take();
    }
  }

  // What one agent's plan adds to the ground, and the way into the new root.
  void FinishRoot() {
    ReceivePlan();
    Stamp(plan_.times.planned);
    size_t index = 0;
    if (ground_.sources_by_path) {
      if (const int e = OpenSources(plan_.mounts, index)) Fail(Stage::kMount, e, index);
      MountGround();
    }
    if (const int e = TakeSteps(plan_.mounts, index)) Fail(Stage::kMount, e, index);
    if (ground_.sources_by_path) {
      if (const int e = EnterRoot()) Fail(Stage::kPivot, e);
    }
    if (sethostname(plan_.hostname, plan_.hostname_bytes) != 0) Fail(Stage::kHostname, errno);
  }

  char ReceiveDescriptors(int socket, int* fds, size_t room, size_t& count) {
    char kind = 0;
    iovec part{&kind, 1};
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int) * limits::kMaxMessageFds)];
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    ssize_t n = 0;
    do {
      n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n != 1 || (kind != kSyncPlan && kind != kSyncMore && kind != kSyncGo)) _exit(0);
    if (const cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr && header->cmsg_type == SCM_RIGHTS) {
      const size_t more = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      if (more > room - count) Fail(Stage::kSync, EPROTO);
      memcpy(fds + count, CMSG_DATA(header), more * sizeof(int));
      count += more;
    }
    return kind;
  }

  void Send(int socket, char kind, const int* fds, size_t count, const char* text = nullptr) {
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
    if (sendmsg(socket, &message, MSG_NOSIGNAL) < 0) Fail(Stage::kSync, errno);
  }

  size_t OpenNetwork(int* fds) {
    int step = 0;
    if (const int e = SetUpLoopback(step)) Fail(Stage::kNetwork, e, static_cast<size_t>(step));
    size_t n = 0;
    for (const ListenerSpec& listener : ground_.listeners) {
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
  int OpenTerminal() {
    const int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0) Fail(Stage::kTerminal, errno);
    const int unlock = 0;
    if (ioctl(master, TIOCSPTLCK, &unlock) != 0) Fail(Stage::kTerminal, errno);
    const int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0) Fail(Stage::kTerminal, errno);
    master_ = master;
    return slave;
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
    int keep[] = {ground_.control.get(), slave};
    CloseAllBut(keep, 2);
    ForgetSharedPlan(&plan_);
    if (!DropCapabilities()) _exit(kRunRefused);
    RunInit(agent, ground_.control.get(), slave);
  }

  // PID 2, which waits at the other end of `step` for what it needs of the plan.
  pid_t MakeAgent(int& step) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) Fail(Stage::kFork, errno);
    // Not fork(3), which takes locks that a thread of the parent may have held.
    const auto agent = static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
    if (agent < 0) Fail(Stage::kFork, errno);
    close(pair[agent == 0 ? 0 : 1]);
    if (agent == 0) BecomeAgent(pair[1]);
    step = pair[0];
    return agent;
  }

  // What needs no plan first: the filter is compiled when it is installed, which takes as long as all that follows.
  [[noreturn]] void BecomeAgent(int step) {
    ResetSignals();
    if (!DropCapabilities()) Fail(Stage::kCapabilities, errno);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) Fail(Stage::kCapabilities, errno);
    const int listener = Above(InstallFilter());
    Stamp(plan_.times.guarded);

    int given[5];
    size_t count = 0;
    if (ReceiveDescriptors(step, given, std::size(given), count) != kSyncGo || count < 3) _exit(kRunRefused);
    close(step);
    std::copy(given, given + 3, stdio_);
    const int slave = count == 5 ? given[3] : -1;
    master_ = count == 5 ? Above(given[4]) : -1;
    if (slave >= 0) {
      signal(SIGTTOU, SIG_IGN);  // tcsetpgrp from a background group would stop us
      if (setpgid(0, 0) != 0 || tcsetpgrp(slave, getpid()) != 0) Fail(Stage::kTerminal, errno);
      signal(SIGTTOU, SIG_DFL);
    } else if (setsid() < 0) {
      Fail(Stage::kTerminal, errno);
    }
    for (const auto& [resource, limit] : plan_.rlimits) {
      if (setrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0)
        Fail(Stage::kLimits, errno, static_cast<size_t>(resource));
    }
    PlaceStdio(slave);
    umask(plan_.umask);
    if (chdir(plan_.working_folder) != 0) Fail(Stage::kWorkingFolder, errno);
    size_t index = 0;
    if (const int e = RestrictWithLandlock(plan_, index)) Fail(Stage::kLandlock, e, index);
    Stamp(plan_.times.confined);
    const char* program = FindProgram();
    Announce(listener, program);
    if (!WaitForGo()) _exit(kRunRefused);
    Execute(program);
    if (errno == ENOEXEC) {
      // A script without "#!": what execvp(3) and every shell do with it.
      plan_.shell[1] = const_cast<char*>(program);
      execve("/bin/sh", plan_.shell, plan_.env);
    }
    Fail(Stage::kExec, errno);
  }

  static bool OnlyRootChanges(const char* path) {
    for (const char* folder : {"/usr/", "/bin/", "/sbin/", "/lib"}) {
      if (strncmp(path, folder, strlen(folder)) == 0) return true;
    }
    return false;
  }

  // Where somebody else can put another file at its path meanwhile, what was measured is executed itself. Nowhere else:
  // kernels before 6.14 name such a process by the descriptor's number. And not for "#!", whose interpreter opens a
  // path: there the parent looks at what runs.
  void Execute(const char* program) {
    char head[2] = {};
    const bool script = pread(program_, head, sizeof head, 0) == 2 && head[0] == '#' && head[1] == '!';
    if (script || OnlyRootChanges(program))
      execve(program, plan_.argv, plan_.env);
    else
      syscall(SYS_execveat, program_, "", plan_.argv, plan_.env, AT_EMPTY_PATH);
  }

  // Numbers 0 to 2 are free until stdio is placed: what has to outlast that is moved out of its way.
  int Above(int fd) {
    const int moved = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (moved < 0) Fail(Stage::kTerminal, errno);
    close(fd);
    return moved;
  }

  void PlaceStdio(int slave) {
    int from[3];
    for (int i = 0; i < 3; ++i) {
      // Copies above the three, so that none is overwritten before it has been placed.
      from[i] = fcntl(plan_.terminal[i] ? slave : stdio_[i], F_DUPFD_CLOEXEC, 3);
      if (from[i] < 0) Fail(Stage::kTerminal, errno);
    }
    for (int i = 0; i < 3; ++i) {
      if (dup2(from[i], i) < 0) Fail(Stage::kTerminal, errno);
    }
  }

  int InstallFilter() {
    const sock_fprog program{static_cast<unsigned short>(ground_.filter.size()),
                             const_cast<sock_filter*>(ground_.filter.data())};
    long listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, ground_.filter_flags, &program);
    if (listener < 0 && errno == EINVAL && (ground_.filter_flags & kSeccompWaitKillableRecv) != 0) {
      listener =
          syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, ground_.filter_flags & ~kSeccompWaitKillableRecv, &program);
    }
    if (listener < 0) Fail(Stage::kFilter, errno);
    return static_cast<int>(listener);
  }

  const char* FindProgram() {
    int error = ENOENT;
    for (const char* candidate : plan_.candidates) {
      struct stat st {};
      if (stat(candidate, &st) != 0) {
        if (errno == EACCES) error = EACCES;
        continue;
      }
      if (access(candidate, X_OK) == 0 && S_ISREG(st.st_mode)) return candidate;
      error = EACCES;
    }
    Fail(Stage::kFindProgram, error);
  }

  void Announce(int listener, const char* program) {
    int fds[3] = {listener, open(program, O_RDONLY | O_CLOEXEC), master_};
    if (fds[1] < 0) fds[1] = open(program, O_PATH | O_CLOEXEC);  // executable, not readable
    if (fds[1] < 0) Fail(Stage::kFindProgram, errno);
    const size_t count = master_ >= 0 ? 3 : 2;
    Send(ground_.sync.get(), kSyncReady, fds, count, program);
    for (size_t i = 0; i < count; ++i) {
      if (i != 1) close(fds[i]);
    }
    program_ = fds[1];
  }

  Groundwork& ground_;
  SharedPlan& plan_;
  int stdio_[3] = {-1, -1, -1};
  int master_ = -1;   // of the agent's terminal
  int program_ = -1;  // close-on-exec
};

}  // namespace

void RunChild(Groundwork& ground, SharedPlan& shared) { ChildProcess(ground, shared).Run(); }

}  // namespace hexr::spawner
