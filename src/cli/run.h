// `hexr run`: asks the spawner for an agent and stands in for it until it ends, as if hexr were not there.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace hexr::cli {

struct RunRequest {
  std::string launch_socket;  // of the node; inside an agent its own is used instead
  std::string tenant;         // empty: the node's default
  std::string agent;
  std::string role = "main";
  std::vector<std::string> command;
  std::vector<std::string> read_only;   // --ro
  std::vector<std::string> read_write;  // --rw
  std::vector<std::string> hidden;      // --hide
  std::vector<std::string> keep_env;    // --keep-env
  std::string token_file;               // --on-behalf-of: a user's token
  int started_fd = -1;                  // gets "INSTANCE SPIFFE-ID" once it runs
};

// The command's exit code; 125 when hexr failed or refused, 126 when the command cannot be executed, 127 when it is not
// found. A command that a signal ended ends this process by the same signal.
int RunAgent(const RunRequest& request);

// Its entry in the table of commands.
const Command& RunCommand();

}  // namespace hexr::cli
