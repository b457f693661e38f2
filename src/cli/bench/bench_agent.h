// Agents of a private node. This program starts them over launch.sock as `hexr run` does, and is itself what runs in
// them (`hexr bench-agent`): the two ends speak in lines over the agent's stdin and stdout.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/bench/private_node.h"
#include "cli/command.h"
#include "runtime/unique_fd.h"

namespace hexr::cli::bench {

class BenchAgent {
 public:
  // `hexr bench-agent ARGUMENTS` in this role; returns once it runs. The error is the node's refusal.
  static Result<BenchAgent> Launch(const PrivateNode& node, const std::string& role,
                                   const std::vector<std::string>& arguments, const std::string& agent = "bench");

  const std::string& instance() const { return instance_; }
  // The next line it wrote, without its end. UNAVAILABLE: it has ended. DEADLINE_EXCEEDED.
  Result<std::string> ReadLine(std::chrono::milliseconds patience);
  Status WriteLine(const std::string& line);

 private:
  std::string instance_;
  runtime::UniqueFd session_;  // the agent ends when it closes
  runtime::UniqueFd input_, output_;
  std::string read_ahead_;
};

// What runs in the agent:
//   first N PACE_US   N times: connects, takes one X.509-SVID; then a line with the nanoseconds of each
//   watch             holds one stream open; "svid" for each SVID, "end MONO_NS" when it is closed, and again after a
//   line
int RunBenchAgent(const Invocation& in);

}  // namespace hexr::cli::bench
