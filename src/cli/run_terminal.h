// The caller's terminal while an agent runs on one of its own: raw, relayed, given back in every way out.
#pragma once

#include <termios.h>

#include <optional>
#include <string>

#include "runtime/unique_fd.h"

namespace hexr::cli {

// One thread.
class TerminalRelay {
 public:
  // `terminal`: the caller's; `input`: whether what is typed there goes to the agent.
  TerminalRelay(int terminal, bool input) : terminal_(terminal), input_(input) {}
  ~TerminalRelay() { Restore(); }
  TerminalRelay(const TerminalRelay&) = delete;
  TerminalRelay& operator=(const TerminalRelay&) = delete;

  void Begin(runtime::UniqueFd master);
  bool running() const { return static_cast<bool>(master_); }
  int master() const { return master_.get(); }
  // The descriptor to watch for typing, or -1: not ours to read now (in the background, or input is no terminal).
  int typing() const { return raw_ && pending_.empty() ? terminal_ : -1; }
  // Something typed is still to be taken by the agent's terminal.
  bool blocked() const { return !pending_.empty(); }

  // Raw, when this process is in the terminal's foreground.
  void Enter();
  void Restore();
  void CopySize();
  void FromTerminal();
  void ToAgent();
  // False at the end of the agent's terminal.
  bool FromAgent();

 private:
  int terminal_;
  bool input_;
  bool raw_ = false;
  termios saved_{};
  std::string pending_;
  runtime::UniqueFd master_;
};

}  // namespace hexr::cli
