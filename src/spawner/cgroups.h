// Control groups of agents: a leaf of its own for each, where this machine lets us make one.
//
// A leaf names the agent for whoever looks from outside (attestation by cgroup, systemd-cgls), bounds its processes and
// memory where those controllers can be had, and ends all of them at one word (cgroup.kill). Version 2 is used where
// the node's own group is delegated to it; version 1 hierarchies beside it for the controllers that version 2 lacks.
// What cannot be had is said, not simulated. Values and folders; belongs to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/spiffe_id.h"
#include "runtime/unique_fd.h"

namespace hexr::spawner {

using runtime::UniqueFd;

struct CgroupLimits {
  uint64_t processes = 0;
  uint64_t memory_bytes = 0;
};
// The same for every agent: limits::kMaxAgentProcesses, and limits::kAgentMemoryPercent of this machine's memory.
CgroupLimits DefaultCgroupLimits();

// One hierarchy as it is mounted here, and where in it a process is.
struct CgroupPlace {
  std::string mount;  // "/sys/fs/cgroup/unified"
  std::string path;   // below it: "/system.slice/hexr.service", "/"
  std::string name;   // as /proc/PID/cgroup has it: longer than `path` where a part of the tree is mounted
  bool unified = false;
  std::vector<std::string> controllers;  // version 1 only
  std::string Folder() const { return path == "/" ? mount : mount + path; }
};
// From the texts of /proc/PID/cgroup and /proc/self/mountinfo. A place that lies outside of what is mounted is left
// out.
std::vector<CgroupPlace> ParseCgroupPlaces(std::string_view cgroup, std::string_view mountinfo);
Result<std::vector<CgroupPlace>> CgroupPlacesOf(pid_t pid);

// One agent's leaf. Its destruction removes it, which the kernel refuses while processes are in it.
class CgroupLeaf {
 public:
  CgroupLeaf() = default;
  CgroupLeaf(CgroupLeaf&&) noexcept = default;
  CgroupLeaf& operator=(CgroupLeaf&& o) noexcept;
  ~CgroupLeaf() { Remove(); }

  // The version 2 folder, for CLONE_INTO_CGROUP: what is born there was never elsewhere. Invalid where there is none.
  int folder() const { return folder_.get(); }
  // The version 1 `tasks` files. A process that writes "0" moves itself, which takes no lock of the whole machine.
  const std::vector<UniqueFd>& tasks() const { return tasks_; }
  // Its first process is in all of them.
  void Entered() { tasks_.clear(); }
  // As /proc/PID/cgroup names it; empty where there is no version 2 leaf.
  const std::string& path() const { return path_; }
  // Ends everything in it. UNIMPLEMENTED before kernel 5.14 and without a version 2 leaf.
  Status Kill() const;
  void Remove();

 private:
  friend class Cgroups;
  UniqueFd folder_;
  std::vector<UniqueFd> tasks_;
  std::string path_;
  std::vector<std::string> folders_;
  // The kernel lets a group go a moment after its last process has been reaped: what it refuses is tried again later.
  std::shared_ptr<std::vector<std::string>> refused_;
};

// Makes what `folder` has of `wanted` available to the groups below `leaves`, a folder in it. The kernel does so only
// for a group without processes: those of the node (`supervisor` and its children) are moved into a group beside
// `leaves`. Nothing is moved when others are in there. Returns what is available.
std::vector<std::string> ShareControllers(const std::string& folder, const std::string& leaves,
                                          std::vector<std::string> wanted, pid_t supervisor);

class Cgroups {
 public:
  // Makes this node's folder of leaves in every hierarchy where that works; `node_key` tells nodes of one machine apart
  // ([0-9a-f]+). Moves the node's own processes as ShareControllers does.
  static std::unique_ptr<Cgroups> Make(const std::vector<CgroupPlace>& places, const std::string& node_key,
                                       pid_t supervisor);
  // No groups at all: every leaf is empty.
  Cgroups() = default;
  Cgroups(const Cgroups&) = delete;
  Cgroups& operator=(const Cgroups&) = delete;
  ~Cgroups();

  Result<CgroupLeaf> NewLeaf(const InstanceId& id, const CgroupLimits& limits) const;
  // Of an agent that a predecessor has started.
  CgroupLeaf Reopen(const InstanceId& id) const;
  // Leaves without processes that a killed predecessor has left.
  void Sweep() const;

  bool unified() const { return !unified_.empty(); }
  bool limits_processes() const { return limits_processes_; }
  bool limits_memory() const { return limits_memory_; }
  // One sentence each, for the log; empty when every agent has a bounded leaf.
  std::vector<std::string> Weaker() const;

 private:
  void MakeUnified(const CgroupPlace& place, const std::string& name, pid_t supervisor);
  void MakeLegacy(const CgroupPlace& place, const std::string& name);

  // Removes what was refused before, and is not any more.
  void Tidy() const;

  struct Legacy {
    std::string folder;
    bool processes = false, memory = false;
  };
  std::string unified_;       // folder of leaves
  std::string unified_path_;  // the same as /proc/PID/cgroup names it
  bool unified_processes_ = false, unified_memory_ = false;
  std::vector<Legacy> legacy_;
  bool limits_processes_ = false, limits_memory_ = false;
  std::shared_ptr<std::vector<std::string>> refused_ = std::make_shared<std::vector<std::string>>();
};

// For `hexr doctor`: what Make would find for the process `pid`, without making anything.
struct CgroupFindings {
  std::string unified;  // folder where leaves could be made; empty: none
  bool processes = false, memory = false;
};
CgroupFindings FindCgroups(const std::vector<CgroupPlace>& places);

}  // namespace hexr::spawner
