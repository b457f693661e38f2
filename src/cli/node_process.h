// The node's first process: started until it is ready, found, ended.
#pragma once

#include <signal.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "config/paths.h"
#include "runtime/process.h"

namespace hexr::cli {

// hexrd, beside this program.
std::string DaemonPath();

struct StartedNode {
  runtime::Child process;
  std::chrono::nanoseconds ready_after{};  // from before fork to readiness
};
// Starts a node on these places, whose configuration is there, detached, and waits until it is ready. The error's
// message has what the node said, a line each. With `end_with_us` it ends when the calling thread does.
Result<StartedNode> StartNode(const config::Paths& paths, const std::map<std::string, std::string>& environment,
                              bool end_with_us = false);

// The pid of the node that holds this run folder's lock; nothing when none does.
Result<std::optional<pid_t>> RunningNode(const config::Paths& paths);

// SIGTERM, and waits for the end. DEADLINE_EXCEEDED: it is still ending after 30 s.
Status StopNode(pid_t pid);

}  // namespace hexr::cli
