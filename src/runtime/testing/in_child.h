// Attempts of a process that gives something up: confinement cannot be undone, so each runs in a child.
#pragma once

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <string>

namespace hexr::runtime::testing {

// What `attempt` returns: "" when all is as it should be.
inline std::string InChild(const std::function<std::string()>& attempt) {
  int p[2];
  if (pipe(p) != 0) return "pipe";
  const pid_t pid = fork();
  if (pid == 0) {
    const std::string said = attempt();
    (void)!write(p[1], said.data(), said.size());
    _exit(0);
  }
  close(p[1]);
  std::string out;
  char buffer[256];
  for (ssize_t n = 0; (n = read(p[0], buffer, sizeof buffer)) > 0;) out.append(buffer, static_cast<size_t>(n));
  close(p[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? out : out + " died of signal " + std::to_string(WTERMSIG(status));
}

// Landlock's of this kernel, 0 without it. Asked before any attempt: what is confined may no longer ask, and what it
// was confined with is what is tested.
inline const long kLandlockAbi = [] {
  constexpr long kCreateRuleset = 444, kVersion = 1;
  const long abi = syscall(kCreateRuleset, nullptr, 0, kVersion);
  return abi > 0 ? abi : 0;
}();

}  // namespace hexr::runtime::testing

// In an attempt.
#define EXPECT_REFUSED(call, e) \
  if ((call) >= 0 || errno != (e)) return std::string(#call " was not refused with " #e)
#define EXPECT_DONE(call) \
  if ((call) < 0) return std::string(#call " failed: ") + strerror(errno)
