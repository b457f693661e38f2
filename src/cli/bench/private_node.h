// A node of the benchmark's own: fresh folders, the hexrd beside this program, gone with the object.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/bench/cpu_time.h"
#include "cli/bench/scratch_folder.h"
#include "cli/node_process.h"
#include "config/paths.h"
#include "wire/json.h"

namespace hexr::cli::bench {

class PrivateNode {
 public:
  // `config_yaml`: the whole configuration. The error has what the node said.
  static Result<PrivateNode> Start(const std::string& config_yaml);
  ~PrivateNode();
  PrivateNode(PrivateNode&&) noexcept = default;
  PrivateNode& operator=(PrivateNode&&) = delete;

  const config::Paths& paths() const { return paths_; }
  const std::string& home() const { return folder_.path(); }
  // From fork to readiness.
  std::chrono::nanoseconds ready_after() const { return started_.ready_after; }

  struct Process {
    std::string name;  // "supervisor", "keeper", "spawner", "gateway/default"
    pid_t pid = 0;
  };
  // The processes that run now, the supervisor first.
  std::vector<Process> Processes() const;
  // NOT_FOUND when none of that name runs.
  Result<pid_t> PidOf(const std::string& name) const;
  // CPU of all of the node's processes together, agents not included.
  Result<CpuTime> Cpu() const;
  // An operator command of this node.
  Result<wire::Json> Ask(const std::string& method, const std::map<std::string, std::string>& args = {}) const;

 private:
  PrivateNode(ScratchFolder folder, config::Paths paths, StartedNode started)
      : folder_(std::move(folder)), paths_(std::move(paths)), started_(std::move(started)) {}
  ScratchFolder folder_;
  config::Paths paths_;
  StartedNode started_;
};

// Memory of a process in bytes: its share (PSS) where this user may see it, else what is resident (RSS).
struct Memory {
  uint64_t bytes = 0;
  bool share = false;
};
Result<Memory> MemoryOf(pid_t pid);

}  // namespace hexr::cli::bench
