// The child's side of the supervisor: receives Start, hands over peers, answers Drain, reports Ready.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_function.h"
#include "config/config.h"
#include "runtime/channel.h"
#include "runtime/loop.h"

namespace hexr::daemon {

// What a process does. One object per process; everything runs on the host's loop.
class Role {
 public:
  virtual ~Role() = default;
  // A connection to another process, at the start and again after either end was restarted.
  virtual void OnPeer(const std::string& role, const std::string& tenant, runtime::UniqueFd socket) = 0;
  // Anything else that the supervisor says (Tenants, what was parked).
  virtual void OnSupervisor(runtime::Message message, runtime::Channel::Reply reply) = 0;
  // End cleanly; `done` ends the process with code 0.
  virtual void OnDrain(std::chrono::milliseconds deadline, UniqueFunction<void()> done) = 0;
};

struct StartInfo {
  ::hexr::node::v1::Start start;
  config::Config config;
  std::vector<runtime::UniqueFd> fds;
};

// Makes the role from what the supervisor sent. Called once, before the loop runs.
using MakeRole =
    UniqueFunction<Result<std::unique_ptr<Role>>(runtime::Loop& loop, StartInfo info, runtime::Channel& supervisor)>;

// Runs a role on the channel at `socket` until it is drained or the supervisor is gone. The process's exit code.
// `name` stands in the log until the supervisor has said which one it is.
int RunRole(const std::string& name, runtime::UniqueFd socket, MakeRole make);

}  // namespace hexr::daemon
