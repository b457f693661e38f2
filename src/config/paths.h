// Where a node keeps its things (docs/operations.md). Value.
#pragma once

#include <map>
#include <string>

#include "base/result.h"

namespace hexr::config {

struct Paths {
  std::string config_file;  // hexr.yaml
  std::string state_dir;    // 0700
  std::string run_dir;      // 0755

  std::string ApiSocket() const { return run_dir + "/api.sock"; }
  std::string LaunchSocket() const { return run_dir + "/launch.sock"; }
  std::string AdminSocket() const { return run_dir + "/private/admin.sock"; }
  std::string PidFile() const { return run_dir + "/private/hexrd.pid"; }
  std::string LogFile() const { return state_dir + "/hexrd.log"; }

  // HEXR_HOME wins; then root's places; then XDG's. FAILED_PRECONDITION when a plain user has neither HOME nor XDG_*.
  static Result<Paths> From(bool root, const std::map<std::string, std::string>& environment);
};

}  // namespace hexr::config
