// A child process for tests that does what it is told and ends when its owner does.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "identity/process.h"
#include "runtime/process.h"
#include "runtime/unique_fd.h"

namespace hexr::identity::testing {

class Puppet {
 public:
  // `body(go, ready)` runs in the child: it reads orders from `go` and writes news to `ready`.
  template <class Body>
  explicit Puppet(Body body) {
    int go[2], ready[2];
    if (::pipe2(go, O_CLOEXEC) != 0 || ::pipe2(ready, O_CLOEXEC) != 0) ::_exit(1);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(go[1]);
      ::close(ready[0]);
      body(go[0], ready[1]);
      ::_exit(0);
    }
    ::close(go[0]);
    ::close(ready[1]);
    go_ = runtime::UniqueFd(go[1]);
    ready_ = runtime::UniqueFd(ready[0]);
  }
  // Forks `N` children, who wait and end with it, and writes their pids to `ready`; then it waits.
  template <size_t N>
  static void Parent(int go, int ready) {
    pid_t children[N];
    for (pid_t& child : children) {
      child = ::fork();
      if (child != 0) continue;
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      for (char c = 0; ::read(go, &c, 1) == 1;) {  // where it has died before
      }
      ::_exit(0);
    }
    if (::write(ready, children, sizeof children) != sizeof children) ::_exit(1);
    char c;
    while (::read(go, &c, 1) == 1) {
    }
  }
  // One that only waits.
  Puppet() : Puppet(Idle) { AwaitReady(); }
  ~Puppet() { End(); }
  Puppet(const Puppet&) = delete;
  Puppet& operator=(const Puppet&) = delete;

  static void Idle(int go, int ready) {
    char c;
    if (::write(ready, "r", 1) != 1) ::_exit(1);
    while (::read(go, &c, 1) == 1) {
    }
  }

  bool AwaitReady() const {
    char c;
    return ::read(ready_.get(), &c, 1) == 1;
  }
  bool Go() const { return ::write(go_.get(), "g", 1) == 1; }
  // Sees end of file when every writer is gone.
  int ready() const { return ready_.get(); }
  pid_t pid() const { return pid_; }
  void End() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  // A zombie until End.
  void KillOnly() const {
    ::kill(pid_, SIGKILL);
    siginfo_t info;
    ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
  }

 private:
  pid_t pid_ = 0;
  runtime::UniqueFd go_, ready_;
};

inline ProcessEvidence EvidenceOf(pid_t pid, bool with_pidfd = true) {
  ProcessEvidence e{pid, {{::geteuid(), ::getegid()}}, {}};
  if (with_pidfd) e.pidfd = std::move(*runtime::OpenPidfd(pid));
  return e;
}

}  // namespace hexr::identity::testing
