#include "spawner/filter.h"

#include <asm/ioctls.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>

#include "base/check.h"
#include "spawner/sys.h"

namespace hexr::spawner {
namespace {

#if !defined(__x86_64__)
#error "the filter's table is written for x86-64"
#endif

// The last call that was looked at (file_setattr of 6.17): what comes later is ENOSYS until somebody has judged it.
constexpr uint32_t kLastKnownCall = 469;
constexpr uint32_t kX32Bit = 0x40000000;
// Every namespace that clone(2) can make; CLONE_NEWTIME is not one of its flags.
constexpr uint32_t kNamespaceFlags =
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

// Give a file the blocks of another while its times stay: what was measured of it would seem to hold still
// (runtime/file_changes.h). EXT4_IOC_MOVE_EXT and XFS_IOC_SWAPEXT, of no header for programs.
constexpr uint32_t kExchangeOfContent[] = {0xC028660F, 0xC0C0586D};

// Callers fall back to an older call when these are missing, and cannot when they are refused.
constexpr long kUnknownCalls[] = {
    SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,  // a second system call table that no filter sees
    SYS_clone3,                                                     // flags lie in memory; glibc falls back to clone
    SYS_openat2,                                                    // mode lies in memory
};
// Whole calls that no agent needs: each either makes or crosses a boundary, or is a rich kernel surface.
constexpr long kRefused[] = {
    // mounts and roots
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_open_tree,
    SYS_move_mount,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
    SYS_mount_setattr,
    kSysOpenTreeAttr,
    SYS_open_by_handle_at,
    SYS_swapon,
    SYS_swapoff,
    SYS_quotactl,
    SYS_quotactl_fd,
    // namespaces
    SYS_setns,
    SYS_unshare,
    // other processes
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_process_madvise,
    SYS_process_mrelease,
    SYS_pidfd_getfd,
    SYS_kcmp,
    SYS_migrate_pages,
    SYS_move_pages,
    // keyrings are not in any namespace
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    // kernel surface
    SYS_bpf,
    SYS_userfaultfd,
    SYS_perf_event_open,
    SYS_fanotify_init,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_uselib,
    SYS_modify_ldt,
    SYS_iopl,
    SYS_ioperm,
    SYS_lookup_dcookie,
    SYS_vhangup,
    // the machine
    SYS_reboot,
    SYS_acct,
    SYS_syslog,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_sethostname,
    SYS_setdomainname,
};
// A file with a setuid bit in an idmapped folder belongs to the folder's owner on the host, who may be root
// (INV-SPAWN-04).
struct ModeRule {
  long call;
  int mode_arg;
};
constexpr ModeRule kModes[] = {
    {SYS_chmod, 1}, {SYS_fchmod, 1}, {SYS_fchmodat, 2}, {kSysFchmodat2, 2},
    {SYS_creat, 1}, {SYS_mknod, 1},  {SYS_mknodat, 2},
};
// open(2) reads a mode only when it makes a file: without these flags the register may hold anything.
struct OpenRule {
  long call;
  int flags_arg, mode_arg;
};
constexpr OpenRule kOpens[] = {{SYS_open, 1, 2}, {SYS_openat, 2, 3}};
constexpr uint32_t kMakesFile = O_CREAT | (O_TMPFILE & ~O_DIRECTORY);
// personality(2): the values that container runtimes allow (Linux, 32-bit uname, no randomisation for debuggers,
// query).
constexpr uint32_t kUname26 = UNAME26, kLinux32 = PER_LINUX32;
constexpr uint32_t kPersonalities[] = {0, kUname26, kLinux32, kUname26 | kLinux32, 0xffffffff};

// SOCK_TYPE_MASK of linux/net.h.
constexpr uint32_t kSocketTypeMask = 0xf;

class Program {
 public:
  void Load(size_t offset) { Add(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)); }
  void LoadCall() { Load(offsetof(seccomp_data, nr)); }
  // The low half: every flag tested here is below 2^32, and the kernel itself ignores the high half of an int argument.
  void LoadArg(int n) { Load(offsetof(seccomp_data, args) + 8 * static_cast<size_t>(n)); }
  // What of argument 1 of socket(2) is the type: the rest of it are flags.
  void LoadSocketType() {
    LoadArg(1);
    Add(BPF_ALU | BPF_AND | BPF_K, kSocketTypeMask);
  }
  void Return(uint32_t action) { Add(BPF_RET | BPF_K, action); }
  void Errno(int e) { Return(SECCOMP_RET_ERRNO | static_cast<uint32_t>(e)); }
  // The next `n` instructions run only when the loaded word is `value`.
  void IfEqual(uint32_t value, uint8_t n) { Jump(BPF_JEQ, value, 0, n); }
  void IfNotEqual(uint32_t value, uint8_t n) { Jump(BPF_JEQ, value, n, 0); }
  void IfAnyBit(uint32_t bits, uint8_t n) { Jump(BPF_JSET, bits, 0, n); }
  void IfAbove(uint32_t value, uint8_t n) { Jump(BPF_JGT, value, 0, n); }
  void IfAtLeast(uint32_t value, uint8_t n) { Jump(BPF_JGE, value, 0, n); }
  void Refuse(long call, int e) {
    IfEqual(static_cast<uint32_t>(call), 1);
    Errno(e);
  }
  std::vector<sock_filter> Take() {
    HEXR_CHECK(code_.size() <= BPF_MAXINSNS);
    return std::move(code_);
  }

 private:
  void Add(int op, uint32_t k) { code_.push_back({static_cast<uint16_t>(op), 0, 0, k}); }
  void Jump(int test, uint32_t k, uint8_t yes, uint8_t no) {
    code_.push_back({static_cast<uint16_t>(BPF_JMP | test | BPF_K), yes, no, k});
  }
  std::vector<sock_filter> code_;
};

// A call with rules on its arguments: `rules` ends with the loaded word clobbered, so the call number is loaded again.
template <class Rules>
void ForCall(Program& p, long call, uint8_t length, Rules rules) {
  p.IfEqual(static_cast<uint32_t>(call), static_cast<uint8_t>(length + 1));
  rules();
  p.LoadCall();
}

}  // namespace

std::vector<sock_filter> BuildAgentFilter(ExecCalls exec) {
  Program p;
  p.Load(offsetof(seccomp_data, arch));
  p.IfNotEqual(AUDIT_ARCH_X86_64, 1);
  p.Return(SECCOMP_RET_KILL_PROCESS);
  p.LoadCall();
  p.IfAtLeast(kX32Bit, 1);
  p.Errno(ENOSYS);
  p.IfAbove(kLastKnownCall, 1);
  p.Errno(ENOSYS);

  if (exec == ExecCalls::kNotify) {
    for (const long call : {long{SYS_execve}, long{SYS_execveat}}) {
      p.IfEqual(static_cast<uint32_t>(call), 1);
      p.Return(SECCOMP_RET_USER_NOTIF);
    }
  }
  for (const long call : kUnknownCalls) p.Refuse(call, ENOSYS);
  for (const long call : kRefused) p.Refuse(call, EPERM);
  for (const ModeRule& rule : kModes) {
    ForCall(p, rule.call, 3, [&] {
      p.LoadArg(rule.mode_arg);
      p.IfAnyBit(S_ISUID | S_ISGID, 1);
      p.Errno(EPERM);
    });
  }
  for (const OpenRule& rule : kOpens) {
    ForCall(p, rule.call, 5, [&] {
      p.LoadArg(rule.flags_arg);
      p.IfAnyBit(kMakesFile, 3);
      p.LoadArg(rule.mode_arg);
      p.IfAnyBit(S_ISUID | S_ISGID, 1);
      p.Errno(EPERM);
    });
  }
  ForCall(p, SYS_clone, 3, [&] {
    p.LoadArg(0);
    p.IfAnyBit(kNamespaceFlags, 1);
    p.Errno(EPERM);
  });
  // Limits of others: prlimit(2) asks for the same uid alone, which PID 1 has too. The C library's own use names no
  // process.
  ForCall(p, SYS_prlimit64, 3, [&] {
    p.LoadArg(0);
    p.IfNotEqual(0, 1);
    p.Errno(EPERM);
  });
  // Typing into a terminal for its other readers.
  ForCall(p, SYS_ioctl, 9, [&] {
    p.LoadArg(1);
    for (const uint32_t exchange : kExchangeOfContent) {
      p.IfEqual(exchange, 1);
      p.Errno(EPERM);
    }
    p.IfEqual(TIOCSTI, 1);
    p.Errno(EPERM);
    p.IfEqual(TIOCLINUX, 1);
    p.Errno(EPERM);
  });
  ForCall(p, SYS_personality, static_cast<uint8_t>(2 + std::size(kPersonalities)), [&] {
    p.LoadArg(0);
    for (size_t i = 0; i < std::size(kPersonalities); ++i) {
      p.IfNotEqual(kPersonalities[i], static_cast<uint8_t>(std::size(kPersonalities) - i));
    }
    p.Errno(EPERM);
  });
  // AF_UNIX, TCP and UDP over IP, and netlink routes (getaddrinfo with AI_ADDRCONFIG, Go). AF_VSOCK is in no network
  // namespace. Types too: what the kernel makes of an odd one is up to each family (AF_UNIX makes datagrams of
  // SOCK_RAW).
  const auto unix_type = [&] {  // 6 instructions
    p.LoadSocketType();
    p.IfNotEqual(SOCK_STREAM, 3);
    p.IfNotEqual(SOCK_DGRAM, 2);
    p.IfNotEqual(SOCK_SEQPACKET, 1);
    p.Errno(ESOCKTNOSUPPORT);
  };
  ForCall(p, SYS_socketpair, 9, [&] {
    p.LoadArg(0);
    p.IfNotEqual(AF_UNIX, 1);
    p.Errno(EAFNOSUPPORT);
    unix_type();
  });
  p.IfNotEqual(SYS_socket, 1);
  p.Return(SECCOMP_RET_ALLOW);
  p.LoadArg(0);
  p.IfEqual(AF_UNIX, 7);
  unix_type();
  p.Return(SECCOMP_RET_ALLOW);
  p.IfEqual(AF_NETLINK, 9);
  p.LoadSocketType();
  p.IfNotEqual(SOCK_RAW, 2);  // what the C library and Go open; the same as a datagram there
  p.IfNotEqual(SOCK_DGRAM, 1);
  p.Errno(ESOCKTNOSUPPORT);
  p.LoadArg(2);
  p.IfEqual(0, 1);  // NETLINK_ROUTE
  p.Return(SECCOMP_RET_ALLOW);
  p.Errno(EPROTONOSUPPORT);
  p.IfNotEqual(AF_INET, 2);
  p.IfNotEqual(AF_INET6, 1);
  p.Errno(EAFNOSUPPORT);
  p.LoadSocketType();
  p.IfNotEqual(SOCK_STREAM, 2);
  p.IfNotEqual(SOCK_DGRAM, 1);
  p.Errno(ESOCKTNOSUPPORT);
  // By protocol, since MPTCP (262) passes a test of the family: it would open flows that no listener of ours sees.
  p.LoadArg(2);
  p.IfNotEqual(0, 5);
  p.IfNotEqual(6, 4);   // IPPROTO_TCP
  p.IfNotEqual(17, 3);  // IPPROTO_UDP
  p.IfNotEqual(1, 2);   // IPPROTO_ICMP: ping sockets; local answers only
  p.IfNotEqual(58, 1);  // IPPROTO_ICMPV6
  p.Errno(EPROTONOSUPPORT);
  p.Return(SECCOMP_RET_ALLOW);
  return p.Take();
}

}  // namespace hexr::spawner
