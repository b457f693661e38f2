#include "runtime/confine.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/netlink.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "runtime/unique_fd.h"

namespace hexr::runtime {
namespace {

// ---- capabilities

Status SetCapabilities(uint64_t mask) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  for (int i = 0; i < 2; ++i) {
    data[i].effective = data[i].permitted = static_cast<uint32_t>(mask >> (32 * i));
  }
  if (syscall(SYS_capset, &header, data) != 0) return ErrnoError("capset", errno);
  return Ok();
}

Result<uint64_t> PermittedCapabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (syscall(SYS_capget, &header, data) != 0) return ErrnoError("capget", errno);
  return uint64_t{data[0].permitted} | uint64_t{data[1].permitted} << 32;
}

Status DropCapabilities(const Confinement& c) {
  ASSIGN_OR_RETURN(const uint64_t had, PermittedCapabilities());
  uint64_t keep = 0;
  for (const int cap : c.keep_capabilities) keep |= uint64_t{1} << cap;
  keep &= had;
  RETURN_IF_ERROR(SetCapabilities(had));  // a change of user has cleared the effective set
  // The bounding set first: it needs CAP_SETPCAP, which may be on its way out.
  if ((had & (uint64_t{1} << CAP_SETPCAP)) != 0) {
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; ++cap) {
      if ((keep & (uint64_t{1} << cap)) == 0 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
        return ErrnoError("drop bounding set", errno);
    }
  }
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return ErrnoError("clear ambient set", errno);
  return SetCapabilities(keep);
}

Status BecomeUser(uid_t uid) {
  const gid_t gid = uid;
  if (setgroups(0, nullptr) != 0) return ErrnoError("setgroups", errno);
  if (setresgid(gid, gid, gid) != 0) return ErrnoError("setresgid", errno);
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return ErrnoError("keepcaps", errno);  // until DropCapabilities
  if (setresuid(uid, uid, uid) != 0) return ErrnoError("setresuid", errno);
  return Ok();
}

// ---- Landlock (kernel ABI; Debian 12's header stops at ABI 2)

constexpr uint64_t kExecute = 1, kWriteFile = 2, kReadFile = 4, kReadDir = 8, kTruncate = 1 << 14;
constexpr uint64_t kFileOnly = kExecute | kWriteFile | kReadFile | kTruncate;
struct LandlockAttributes {
  uint64_t files, net, scoped;
};

Result<int> LimitFiles(const Confinement& c) {
  const long abi = syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (abi < 0) return 0;
  uint64_t handled = (uint64_t{1} << 13) - 1;  // ABI 1
  if (abi >= 2) handled |= 1 << 13;            // refer
  if (abi >= 3) handled |= kTruncate;
  if (abi >= 5) handled |= 1 << 15;  // ioctl on devices
  LandlockAttributes attributes{handled, 0, 0};
  size_t size = sizeof(uint64_t);
  if (abi >= 6) {
    attributes.scoped = 1;                         // no abstract socket of a process outside
    if (!c.signal_others) attributes.scoped |= 2;  // and no signal to one
    size = sizeof attributes;
  }
  const UniqueFd rules(static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, size, 0)));
  if (!rules) return ErrnoError("landlock_create_ruleset", errno);
  const auto allow = [&](const std::string& path, uint64_t access) -> Status {
    const UniqueFd fd(open(path.c_str(), O_PATH | O_CLOEXEC));
    if (!fd) return errno == ENOENT ? Ok() : Status(ErrnoError("open " + path, errno));
    struct stat st {};
    if (fstat(fd.get(), &st) != 0) return ErrnoError("stat " + path, errno);
    if (!S_ISDIR(st.st_mode)) access &= kFileOnly;
    struct [[gnu::packed]] {
      uint64_t access;
      int32_t fd;
    } rule{access & handled, fd.get()};
    if (syscall(SYS_landlock_add_rule, rules.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0) {
      return ErrnoError("landlock rule " + path, errno);
    }
    return Ok();
  };
  for (const std::string& p : c.readable) RETURN_IF_ERROR(allow(p, kReadFile | kReadDir));
  for (const std::string& p : c.writable) RETURN_IF_ERROR(allow(p, handled & ~kExecute));
  if (syscall(SYS_landlock_restrict_self, rules.get(), 0) != 0) return ErrnoError("landlock_restrict_self", errno);
  return static_cast<int>(abi);
}

// ---- seccomp

using Filter = std::unique_ptr<void, decltype(&seccomp_release)>;

constexpr std::array kServerCalls = {
    // what is open already, and files to read
    "read", "write", "readv", "writev", "pread64", "preadv", "preadv2", "close", "close_range", "fstat", "stat",
    "lstat", "newfstatat", "statx", "statfs", "fstatfs", "lseek", "open", "openat", "openat2", "access", "faccessat",
    "faccessat2", "readlink", "readlinkat", "getdents64", "getcwd", "fsync", "fdatasync", "dup", "dup2", "dup3",
    "pipe2", "fadvise64",
    // memory
    "mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "mlock", "mlock2", "munlock", "memfd_create",
    "memfd_secret", "membarrier",
    // sockets
    "socketpair", "accept", "accept4", "bind", "listen", "connect", "getsockname", "getpeername", "getsockopt",
    "setsockopt", "sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "shutdown",
    // waiting and time
    "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2", "timerfd_create",
    "timerfd_settime", "timerfd_gettime", "signalfd4", "inotify_init1", "inotify_add_watch", "poll", "ppoll", "select",
    "pselect6", "nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday", "time",
    "restart_syscall",
    // threads and the process itself
    "futex", "futex_waitv", "set_robust_list", "get_robust_list", "rseq", "set_tid_address", "arch_prctl",
    "sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn", "rt_sigtimedwait", "sigaltstack", "tgkill", "exit", "exit_group", "getpid", "getppid", "gettid",
    "getuid", "geteuid", "getgid", "getegid", "getrandom", "getrusage", "capget", "prlimit64", "getrlimit", "uname",
    "sysinfo", "prctl", "getpriority", "times", "getcpu",
    // other processes, by handle only
    "pidfd_open", "pidfd_send_signal", "kcmp"};

// What changes files other than by appending. A server has none of it: its journal is open for appending, and what it
// has recorded must stay recorded whoever has taken it over. For the same reason it may not take O_APPEND off.
constexpr std::array kFileCalls = {
    "pwrite64", "pwritev",   "pwritev2",  "ftruncate",       "fallocate", "sync_file_range", "rename",
    "renameat", "renameat2", "link",      "linkat",          "unlink",    "unlinkat",        "mkdir",
    "mkdirat",  "rmdir",     "chmod",     "fchmod",          "fchmodat",  "fchown",          "flock",
    "fcntl",    "umask",     "utimensat", "copy_file_range", "sendfile",  "splice"};

// Of files and sockets. Everything else that a driver may offer is refused, the terminal's first of all: characters
// put into the input of an operator's shell (TIOCSTI) are commands.
constexpr std::array<uint64_t, 4> kIoctls = {FIONBIO, FIONREAD, FIOCLEX, TCGETS};
constexpr uint64_t kPidfdIoctl = 0xff0b;  // PIDFD_GET_INFO without the size of its structure
constexpr std::array<uint64_t, 3> kTerminalTakeover = {TIOCSTI, TIOCLINUX, TIOCSETD};

// What no process of a node, and no agent, has any business with.
constexpr std::array kKernelInterfaces = {"init_module",
                                          "finit_module",
                                          "delete_module",
                                          "create_module",
                                          "kexec_load",
                                          "kexec_file_load",
                                          "reboot",
                                          "swapon",
                                          "swapoff",
                                          "acct",
                                          "settimeofday",
                                          "clock_settime",
                                          "clock_adjtime",
                                          "adjtimex",
                                          "bpf",
                                          "perf_event_open",
                                          "userfaultfd",
                                          "io_uring_setup",
                                          "io_uring_enter",
                                          "io_uring_register",
                                          "add_key",
                                          "request_key",
                                          "keyctl",
                                          "iopl",
                                          "ioperm",
                                          "lookup_dcookie",
                                          "quotactl",
                                          "quotactl_fd",
                                          "nfsservctl",
                                          "vhangup",
                                          "syslog",
                                          "open_by_handle_at",
                                          "process_vm_writev",
                                          "personality",
                                          "modify_ldt",
                                          "uselib",
                                          "ustat",
                                          "sysfs",
                                          "fanotify_init"};

Status Check(int result, const char* what) {
  // A name that this libseccomp or architecture does not know cannot be called either.
  if (result == 0 || result == -EEXIST) return Ok();
  return ErrnoError(what, -result);
}

template <size_t N>
Status Add(scmp_filter_ctx filter, uint32_t action, const std::array<const char*, N>& names) {
  for (const char* name : names) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number == __NR_SCMP_ERROR) continue;
    RETURN_IF_ERROR(Check(seccomp_rule_add(filter, action, number, 0), name));
  }
  return Ok();
}

Status Allow(scmp_filter_ctx filter, int call, const char* what, std::initializer_list<scmp_arg_cmp> when) {
  return Check(
      seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, static_cast<unsigned>(when.size()), std::data(when)), what);
}

// Only the low 32 bits of a request or command count in the kernel: a filter that compared all 64 would be evaded.
scmp_arg_cmp Low32(unsigned argument, uint64_t value) {
  return SCMP_CMP(argument, SCMP_CMP_MASKED_EQ, 0xffffffffU, value);
}

Status AllowSockets(scmp_filter_ctx filter, SyscallProfile profile) {
  // On a path there are the node's own doors and those of the host: a server has no business with either.
  if (profile == SyscallProfile::kLocal) return Allow(filter, SCMP_SYS(socket), "socket", {Low32(0, AF_UNIX)});
  for (const int family : {AF_INET, AF_INET6}) {
    RETURN_IF_ERROR(Allow(filter, SCMP_SYS(socket), "socket", {Low32(0, static_cast<uint64_t>(family))}));
  }
  // The C library asks the kernel for its addresses when it sorts those of a name.
  return Allow(filter, SCMP_SYS(socket), "socket", {Low32(0, AF_NETLINK), Low32(2, NETLINK_ROUTE)});
}

Status InstallFilter(SyscallProfile profile) {
  const bool deny_list = profile == SyscallProfile::kParent;
  const Filter filter(seccomp_init(deny_list ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM)), &seccomp_release);
  if (!filter) return Internal("seccomp_init");
  if (deny_list) {
    RETURN_IF_ERROR(Add(filter.get(), SCMP_ACT_ERRNO(EPERM), kKernelInterfaces));
    for (const uint64_t request : kTerminalTakeover) {
      const scmp_arg_cmp when = Low32(1, request);
      RETURN_IF_ERROR(
          Check(seccomp_rule_add_array(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1, &when), "ioctl"));
    }
  } else {
    RETURN_IF_ERROR(Add(filter.get(), SCMP_ACT_ALLOW, kServerCalls));
    if (profile == SyscallProfile::kLocal) RETURN_IF_ERROR(Add(filter.get(), SCMP_ACT_ALLOW, kFileCalls));
    RETURN_IF_ERROR(AllowSockets(filter.get(), profile));
    for (const uint64_t request : kIoctls) {
      RETURN_IF_ERROR(Allow(filter.get(), SCMP_SYS(ioctl), "ioctl", {Low32(1, request)}));
    }
    RETURN_IF_ERROR(
        Allow(filter.get(), SCMP_SYS(ioctl), "ioctl", {SCMP_CMP(1, SCMP_CMP_MASKED_EQ, 0xffffU, kPidfdIoctl)}));
    for (const int command : {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL}) {
      if (profile == SyscallProfile::kLocal) break;  // has all of fcntl
      RETURN_IF_ERROR(Allow(filter.get(), SCMP_SYS(fcntl), "fcntl", {Low32(1, static_cast<uint64_t>(command))}));
    }
    // Threads, not processes. clone3's flags lie in memory, where a filter cannot look: the C library falls back.
    RETURN_IF_ERROR(
        Allow(filter.get(), SCMP_SYS(clone), "clone", {SCMP_CMP(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)}));
    RETURN_IF_ERROR(Check(seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0), "clone3"));
  }
  RETURN_IF_ERROR(Check(seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1), "tsync"));
  // A binary tree instead of a chain: the filter runs on every system call.
  (void)seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  return Check(seccomp_load(filter.get()), "seccomp_load");
}

}  // namespace

Status ForbidDumps() {
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return ErrnoError("PR_SET_DUMPABLE", errno);
  const rlimit none{0, 0};
  if (setrlimit(RLIMIT_CORE, &none) != 0) return ErrnoError("RLIMIT_CORE", errno);
  return Ok();
}

Result<Confined> Confine(const Confinement& c) {
  Confined out;
  if (c.become) RETURN_IF_ERROR(BecomeUser(*c.become));
  RETURN_IF_ERROR(DropCapabilities(c));
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return ErrnoError("PR_SET_NO_NEW_PRIVS", errno);
  out.no_new_privs = true;
  RETURN_IF_ERROR(ForbidDumps());  // after the change of user, which resets it
  if (c.limit_files) {
    ASSIGN_OR_RETURN(out.landlock_abi, LimitFiles(c));
  }
  RETURN_IF_ERROR(InstallFilter(c.syscalls));
  out.seccomp = true;
  return out;
}

}  // namespace hexr::runtime
