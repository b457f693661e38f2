#include "runtime/confine.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "runtime/testing/in_child.h"

namespace hexr::runtime {
namespace {

using testing::InChild;
using testing::kLandlockAbi;

TEST(Confine, SignalsStayInsideUnlessTheRoleEndsProcesses) {
  for (const bool others : {false, true}) {
    EXPECT_EQ(InChild([&] {
                const int outside = static_cast<int>(syscall(SYS_pidfd_open, getppid(), 0));
                const auto c = Confine({.keep_capabilities = {CAP_KILL}, .limit_files = true, .signal_others = others});
                if (!c.ok()) return c.error().ToString();
                if (kLandlockAbi < 6) return std::string();  // this kernel keeps no signal inside
                const bool sent = syscall(SYS_pidfd_send_signal, outside, 0, nullptr, 0) == 0;
                return sent == others ? std::string() : std::string(sent ? "sent" : "not sent");
              }),
              "")
        << others;
  }
}

TEST(Confine, ServerKeepsFilesSocketsAndThreadsAndNothingElse) {
  EXPECT_EQ(InChild([]() -> std::string {
              const auto c = Confine({});
              if (!c.ok()) return c.error().ToString();
              int threads = 0;
              std::thread([&] { ++threads; }).join();
              if (threads != 1) return "no thread";
              EXPECT_DONE(socket(AF_INET, SOCK_STREAM, 0));
              EXPECT_DONE(open("/dev/null", O_RDONLY));
              EXPECT_DONE(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
              EXPECT_REFUSED(socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT), EPERM);
              EXPECT_REFUSED(socket(AF_UNIX, SOCK_STREAM, 0), EPERM);
              EXPECT_REFUSED(socket(AF_PACKET, SOCK_RAW, 0), EPERM);
              EXPECT_REFUSED(socket(AF_VSOCK, SOCK_STREAM, 0), EPERM);
              EXPECT_REFUSED(fork(), EPERM);
              EXPECT_REFUSED(execl("/bin/true", "true", nullptr), EPERM);
              EXPECT_REFUSED(ptrace(PTRACE_TRACEME, 0, 0, 0), EPERM);
              EXPECT_REFUSED(unshare(CLONE_NEWUSER), EPERM);
              EXPECT_REFUSED(syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, nullptr), EPERM);
              EXPECT_REFUSED(syscall(SYS_bpf, 0, nullptr, 0), EPERM);
              EXPECT_REFUSED(syscall(SYS_kill, getppid(), 0), EPERM);
              if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return "new privileges are possible";
              if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0) return "dumpable";
              return "";
            }),
            "");
}

// What a taken-over gateway could do to the journal that it holds.
TEST(Confine, ServerOnlyAppends) {
  char path[] = "/tmp/hexr-confine-XXXXXX";
  const int made = mkstemp(path);
  EXPECT_EQ(InChild([&]() -> std::string {
              const int journal = open(path, O_WRONLY | O_APPEND);
              EXPECT_DONE(write(journal, "kept", 4));
              const auto c = Confine({});
              if (!c.ok()) return c.error().ToString();
              EXPECT_DONE(write(journal, "more", 4));
              EXPECT_REFUSED(ftruncate(journal, 0), EPERM);
              EXPECT_REFUSED(pwrite(journal, "lies", 4, 0), EPERM);
              EXPECT_REFUSED(fcntl(journal, F_SETFL, 0), EPERM);
              EXPECT_REFUSED(syscall(SYS_fcntl, journal, (uint64_t{1} << 32) | F_SETFL, 0), EPERM);
              EXPECT_REFUSED(unlink(path), EPERM);
              return "";
            }),
            "");
  char text[16] = {};
  EXPECT_EQ(pread(made, text, sizeof text, 0), 8);
  EXPECT_STREQ(text, "keptmore");
  close(made);
  unlink(path);
}

TEST(Confine, NobodyTypesIntoTheOperatorsTerminal) {
  for (const auto profile : {SyscallProfile::kServer, SyscallProfile::kLocal, SyscallProfile::kParent}) {
    EXPECT_EQ(InChild([&]() -> std::string {
                const int terminal = posix_openpt(O_RDWR);
                EXPECT_DONE(setsid());
                EXPECT_DONE(unlockpt(terminal));
                EXPECT_DONE(open(ptsname(terminal), O_RDWR));  // the controlling terminal from now on
                const auto c = Confine({.syscalls = profile});
                if (!c.ok()) return c.error().ToString();
                char letter = 'x';
                EXPECT_REFUSED(ioctl(terminal, TIOCSTI, &letter), EPERM);
                EXPECT_REFUSED(syscall(SYS_ioctl, terminal, (uint64_t{1} << 32) | TIOCSTI, &letter), EPERM);
                EXPECT_REFUSED(ioctl(terminal, TIOCLINUX, &letter), EPERM);
                return "";
              }),
              "");
  }
}

TEST(Confine, AbstractSocketsOfOthersAreOutOfReach) {
  sockaddr_un name{AF_UNIX, {}};
  const std::string text = "hexr-confine-" + std::to_string(getpid());
  std::copy(text.begin(), text.end(), name.sun_path + 1);
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  EXPECT_EQ(InChild([&]() -> std::string {
              const auto c = Confine({.syscalls = SyscallProfile::kLocal, .limit_files = true});
              if (!c.ok()) return c.error().ToString();
              if (kLandlockAbi < 6) return "";  // nothing to test on this kernel
              const int s = socket(AF_UNIX, SOCK_STREAM, 0);
              EXPECT_REFUSED(connect(s, reinterpret_cast<const sockaddr*>(&name), sizeof name), EPERM);
              return "";
            }),
            "");
  close(listener);
}

TEST(Confine, CapabilitiesAreGoneForGood) {
  if (geteuid() != 0) return;  // a plain user has none to begin with
  EXPECT_EQ(InChild([]() -> std::string {
              const auto c = Confine({.keep_capabilities = {CAP_DAC_READ_SEARCH}, .become = 12345});
              if (!c.ok()) return c.error().ToString();
              if (getuid() != 12345 || getgid() != 12345) return "still root";
              __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
              __user_cap_data_struct data[2]{};
              syscall(SYS_capget, &header, data);
              if (data[0].effective != (1U << CAP_DAC_READ_SEARCH) || data[1].effective != 0)
                return "other capabilities are left";
              if (prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) != 0)
                return "the bounding set still has CAP_SYS_ADMIN";
              return "";
            }),
            "");
}

TEST(Confine, FilesAreThoseNamed) {
  char folder[] = "/tmp/hexr-confine-XXXXXX";
  const std::string top = mkdtemp(folder);
  std::filesystem::create_directories(top + "/in");
  std::filesystem::create_directories(top + "/out");
  std::ofstream(top + "/out/secret") << "x";
  EXPECT_EQ(InChild([&]() -> std::string {
              const auto c = Confine({.syscalls = SyscallProfile::kLocal,
                                      .limit_files = true,
                                      .readable = {"/etc", "/no/such"},
                                      .writable = {top + "/in"}});
              if (!c.ok()) return c.error().ToString();
              if (kLandlockAbi == 0) return "";  // nothing to test on this kernel; doctor says so
              EXPECT_DONE(open((top + "/in/new").c_str(), O_CREAT | O_RDWR, 0600));
              EXPECT_DONE(unlink((top + "/in/new").c_str()));
              EXPECT_DONE(open("/etc/passwd", O_RDONLY));
              EXPECT_REFUSED(open("/etc/passwd", O_RDWR), EACCES);
              EXPECT_REFUSED(open((top + "/out/secret").c_str(), O_RDONLY), EACCES);
              return "";
            }),
            "");
  std::filesystem::remove_all(top);
}

TEST(Confine, LocalHasNoNetwork) {
  EXPECT_EQ(InChild([]() -> std::string {
              const auto c = Confine({.syscalls = SyscallProfile::kLocal});
              if (!c.ok()) return c.error().ToString();
              EXPECT_DONE(socket(AF_UNIX, SOCK_STREAM, 0));
              EXPECT_REFUSED(socket(AF_INET, SOCK_STREAM, 0), EPERM);
              EXPECT_REFUSED(socket(AF_INET6, SOCK_DGRAM, 0), EPERM);
              return "";
            }),
            "");
}

TEST(Confine, ParentMayMakeNamespacesButNotReachTheKernel) {
  EXPECT_EQ(InChild([]() -> std::string {
              const auto c = Confine({.syscalls = SyscallProfile::kParent});
              if (!c.ok()) return c.error().ToString();
              // Not unshare(): a sanitizer's thread would be in its way.
              const long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
              if (child == 0) _exit(0);
              EXPECT_DONE(child);
              EXPECT_DONE(waitpid(static_cast<pid_t>(child), nullptr, 0));
              EXPECT_REFUSED(syscall(SYS_bpf, 0, nullptr, 0), EPERM);
              EXPECT_REFUSED(syscall(SYS_io_uring_setup, 1, nullptr), EPERM);
              EXPECT_REFUSED(syscall(SYS_delete_module, "x", 0), EPERM);
              return "";
            }),
            "");
}

}  // namespace
}  // namespace hexr::runtime
