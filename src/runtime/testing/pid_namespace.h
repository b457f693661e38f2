// A PID namespace of a test's own, in which it says what number the next process gets.
#pragma once

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>

namespace hexr::runtime::testing {

inline constexpr int kNoPidNamespace = 77;

// Runs `inside` as the namespace's first process, with a /proc of its own. The code that it ends with, 0 where it
// returns; kNoPidNamespace: whoever runs the test may not make one; -1: it ended by a signal, or there is no process.
inline int InPidNamespace(const std::function<void()>& inside) {
  const auto code = [](pid_t pid) {
    int status = 0;
    return pid > 0 && ::waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  const pid_t outer = ::fork();
  if (outer != 0) return code(outer);
  if (::unshare((::geteuid() == 0 ? 0 : CLONE_NEWUSER) | CLONE_NEWPID | CLONE_NEWNS) != 0) ::_exit(kNoPidNamespace);
  if (const pid_t init = ::fork(); init != 0) {
    const int ended = code(init);
    ::_exit(ended >= 0 ? ended : 1);
  }
  ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  if (::mount("proc", "/proc", "proc", 0, nullptr) != 0) ::_exit(kNoPidNamespace);
  inside();
  ::_exit(0);
}

// The next process gets `pid`, if it is free. In InPidNamespace.
inline void ChooseNextPid(pid_t pid) { std::ofstream("/proc/sys/kernel/ns_last_pid") << (pid - 1); }

}  // namespace hexr::runtime::testing
