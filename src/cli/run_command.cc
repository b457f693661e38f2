#include "cli/run.h"

namespace hexr::cli {
namespace {

int RunRun(const Invocation& in) {
  return RunAgent({.launch_socket = in.paths.LaunchSocket(),
                   .tenant = in.Get("--tenant"),
                   .agent = in.Get("--agent"),
                   .role = in.Get("--role"),
                   .command = in.All("CMD"),
                   .read_only = in.All("--ro"),
                   .read_write = in.All("--rw"),
                   .hidden = in.All("--hide"),
                   .keep_env = in.All("--keep-env"),
                   .token_file = in.Get("--on-behalf-of")});
}

}  // namespace

const Command& RunCommand() {
  static const Command command = {
      "run",
      "Run a command as an agent, under an identity of its own",
      "hexr run --agent content-crew --role researcher -- python3 researcher.py",
      {{"--agent", "NAME", "the agent", "", true},
       {"--role", "NAME", "its role", "main"},
       {"--tenant", "TENANT", "whose agent it is (the node's own tenant)"},
       {"--ro", "PATH", "give this folder or file, read-only", "", false, true},
       {"--rw", "PATH", "give this folder, writable", "", false, true},
       {"--hide", "PATH", "hide this folder or file", "", false, true},
       {"--keep-env", "NAME", "keep this variable although it looks like a secret", "", false, true},
       {"--on-behalf-of", "FILE", "act for the user of the token in it (an issuer of `users:`)"}},
      {{"CMD", "the command and its arguments, after --", true, true}},
      RunRun};
  return command;
}

}  // namespace hexr::cli
