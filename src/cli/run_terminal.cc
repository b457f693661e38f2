#include "cli/run_terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

namespace hexr::cli {

void TerminalRelay::Begin(runtime::UniqueFd master) {
  master_ = std::move(master);
  (void)fcntl(master_.get(), F_SETFL, fcntl(master_.get(), F_GETFL) | O_NONBLOCK);
  CopySize();
  Enter();
}

void TerminalRelay::Enter() {
  if (raw_ || !running() || !input_ || tcgetpgrp(terminal_) != getpgrp()) return;
  if (tcgetattr(terminal_, &saved_) != 0) return;
  termios raw = saved_;
  cfmakeraw(&raw);
  raw_ = tcsetattr(terminal_, TCSADRAIN, &raw) == 0;
}

void TerminalRelay::Restore() {
  if (raw_) (void)tcsetattr(terminal_, TCSADRAIN, &saved_);
  raw_ = false;
}

void TerminalRelay::CopySize() {
  winsize size{};
  if (running() && ioctl(terminal_, TIOCGWINSZ, &size) == 0) (void)ioctl(master_.get(), TIOCSWINSZ, &size);
}

void TerminalRelay::FromTerminal() {
  char buffer[4096];
  const ssize_t n = read(terminal_, buffer, sizeof buffer);
  if (n > 0) pending_.append(buffer, static_cast<size_t>(n));
  ToAgent();
}

void TerminalRelay::ToAgent() {
  const ssize_t n = write(master_.get(), pending_.data(), pending_.size());
  if (n > 0)
    pending_.erase(0, static_cast<size_t>(n));
  else if (errno != EAGAIN && errno != EINTR)
    pending_.clear();  // its end shows when reading
}

bool TerminalRelay::FromAgent() {
  char buffer[16384];
  const ssize_t n = read(master_.get(), buffer, sizeof buffer);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (n <= 0) {  // EIO: nobody has the agent's side open any more
    master_.reset();
    return false;
  }
  for (ssize_t done = 0; done < n;) {
    const ssize_t w = write(terminal_, buffer + done, static_cast<size_t>(n - done));
    if (w > 0)
      done += w;
    else if (w < 0 && errno == EAGAIN) {
      pollfd p{terminal_, POLLOUT, 0};
      (void)poll(&p, 1, -1);
    } else if (w < 0 && errno != EINTR) {
      return true;  // nobody looks any more; the agent goes on until it is told
    }
  }
  return true;
}

}  // namespace hexr::cli
