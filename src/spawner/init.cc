#include "spawner/init.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

namespace hexr::spawner {
namespace {

// Exit code of PID 1 itself; the agent's own status travels in kEnded.
constexpr int kDone = 0;
constexpr int kNodeGone = 1;

void Send(int control, const InitMessage& m, int fd = -1) {
  iovec part{const_cast<InitMessage*>(&m), sizeof m};
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  // Blocking: while the spawner is away the messages wait in the queue, and nothing else needs this process.
  while (sendmsg(control, &message, MSG_NOSIGNAL) < 0 && errno == EINTR) {
  }
}

bool ForGroup(int signal) {
  switch (signal) {
    case SIGINT:
    case SIGQUIT:
    case SIGHUP:
    case SIGTSTP:
    case SIGCONT:
    case SIGWINCH: return true;
    default: return false;
  }
}

// True when the agent has ended.
bool Reap(pid_t agent, int control) {
  for (;;) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED);
    if (pid < 0 && errno == EINTR) continue;
    if (pid <= 0) return false;
    if (pid != agent) continue;
    if (WIFSTOPPED(status)) {
      Send(control, {InitMessage::Kind::kStopped, WSTOPSIG(status), 0});
    } else if (WIFCONTINUED(status)) {
      Send(control, {InitMessage::Kind::kContinued, 0, 0});
    } else {
      Send(control, {InitMessage::Kind::kEnded, status, 0});
      return true;
    }
  }
}

// The exit of a session leader hangs its terminal up, and the kernel then throws away what the agent wrote last and
// nobody has read yet. Without a controlling terminal nothing is hung up: the master reads everything, then end of
// file.
void LetGoOfTerminal(int terminal) {
  if (terminal >= 0) ioctl(terminal, TIOCNOTTY);
}

[[noreturn]] void End(int terminal) {
  LetGoOfTerminal(terminal);
  _exit(kDone);
}

void Obey(pid_t agent, int control, const InitMessage& m) {
  if (m.kind == InitMessage::Kind::kSignal && m.value > 0 && m.value < NSIG) {
    if (ForGroup(m.value))
      kill(-agent, m.value);
    else
      kill(agent, m.value);
  } else if (m.kind == InitMessage::Kind::kSocket && (m.value == AF_INET || m.value == AF_INET6)) {
    const int s = socket(m.value, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    Send(control, {InitMessage::Kind::kSocket, s < 0 ? -errno : 0, m.serial}, s);
    if (s >= 0) close(s);
  }
}

}  // namespace

void RunInit(pid_t agent, int control, int terminal) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  for (int s = 1; s < NSIG; ++s) signal(s, SIG_DFL);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  const int children = signalfd(-1, &child, SFD_CLOEXEC);
  if (children < 0) _exit(kNodeGone);
  // An agent that ended before SIGCHLD was blocked sent none that anybody keeps: the kernel drops what its default
  // ignores. Whatever ends from here on is queued.
  if (Reap(agent, control)) End(terminal);
  for (;;) {
    pollfd ready[2] = {{control, POLLIN, 0}, {children, POLLIN, 0}};
    if (poll(ready, 2, -1) < 0 && errno != EINTR) _exit(kNodeGone);
    if ((ready[1].revents & POLLIN) != 0) {
      signalfd_siginfo info;
      (void)!read(children, &info, sizeof info);
      if (Reap(agent, control)) End(terminal);
    }
    if (ready[0].revents != 0) {
      InitMessage m{};
      const ssize_t n = recv(control, &m, sizeof m, MSG_DONTWAIT);
      if (n == 0) _exit(kNodeGone);
      if (n < 0 && errno != EINTR && errno != EAGAIN) _exit(kNodeGone);
      if (n == sizeof m) Obey(agent, control, m);
    }
  }
}

}  // namespace hexr::spawner
