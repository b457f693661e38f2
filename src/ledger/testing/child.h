// Starts ledger_child, which stands beside the test binary.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "runtime/unique_fd.h"

namespace hexr::ledger::testing {

class Child {
 public:
  Child(std::string command, std::string path, std::string first = "0") {
    std::string program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "ledger_child";
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    out_ = runtime::UniqueFd(ends[0]);
    const runtime::UniqueFd in(ends[1]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in.get(), STDOUT_FILENO);
    char* argv[] = {program.data(), command.data(), path.data(), first.data(), nullptr};
    EXPECT_EQ(::posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv, environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  ~Child() {
    if (pid_ > 0) Kill();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Eight bytes of its output; false at its end.
  bool Read(uint64_t& number) {
    return ::read(out_.get(), &number, sizeof number) == static_cast<ssize_t>(sizeof number);
  }
  void Kill() {
    ::kill(pid_, SIGKILL);
    Wait();
  }
  // Its exit code, or -1.
  int Wait() {
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t pid_ = -1;
  runtime::UniqueFd out_;
};

}  // namespace hexr::ledger::testing
