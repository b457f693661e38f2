// What a child does between clone3 and exec, worked out by the parent.
//
// The spawner may have threads, so its child may only make system calls: no allocation, no locks, no stdio. Everything
// that has to be computed is in these two values, and child.cc walks through them: the groundwork, which is the same
// for every agent of a tenant and can be done before there is one, and the plan of one agent, which reaches the child
// laid flat in memory that they share (shared_plan.h).
#pragma once

#include <linux/filter.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/unique_fd.h"
#include "spawner/cgroups.h"
#include "spawner/netns.h"

namespace hexr::spawner {

using runtime::UniqueFd;

// Which file it is, whatever it is called.
using FileId = std::pair<dev_t, ino_t>;

// One step of building the agent's root, in order. Targets are absolute paths as the agent sees them.
struct MountStep {
  enum class Kind : uint8_t {
    kDirectory,  // make it, and what is missing above it
    kSymlink,    // target → source
    kText,       // a file with content `source`
    kTmpfs,      // options in `source`
    kBind,       // the tree at `tree`, or at the path `source`, at target (made where it is missing)
    kOverlay,    // the folder `source` read-only through an overlay, whose sockets nobody can connect to
    kDevpts,
    kProc,
    kPin,       // the folder at target is mounted on itself: nobody in this root can rename it; skipped where none is
    kHide,      // an unreadable nothing over target
    kReadOnly,  // the mount at target becomes read-only
  };
  Kind kind;
  std::string target;
  std::string source;
  UniqueFd tree;            // kBind: a detached mount made by the parent
  uint64_t attributes = 0;  // kBind, kTmpfs: MOUNT_ATTR_*
  bool recursive = false;   // kBind: with what is mounted below
  bool directory = true;    // kBind: what the tree's root is
  bool optional = false;    // missing source, or kHide's target: skipped
  // kBind and kOverlay by path: what the caller showed us. Something else at that path by now is refused.
  // kHide: what has to lie at the target.
  std::optional<FileId> expect;
  // kBind: what has to lie at the target before. A folder that the agent's parent can rename must not lead elsewhere.
  std::optional<FileId> over;
};

struct LandlockRule {
  std::string path;
  uint64_t rights;
};

// What is made ahead of a plan: namespaces, network, and of the root what is new for each agent and holds nothing yet.
struct Groundwork {
  // Identity inside: the one uid and gid that are mapped.
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<ListenerSpec> listeners;
  std::vector<MountStep> mounts;
  // The plan's mounts name their sources by path: the host has to be in sight until they are open, so that nothing is
  // mounted before the plan is there.
  bool sources_by_path = false;
  std::vector<sock_filter> filter;
  unsigned filter_flags = 0;
  // Its control group, if any: the child is born in it and moves itself in the hierarchies of version 1. Passes to the
  // launch's handles.
  CgroupLeaf cgroup;

  // Descriptors of the child, besides trees: set by the parent.
  UniqueFd sync;               // the parent's questions and ours
  UniqueFd errors;             // write end, close-on-exec: ChildError, or end of file when exec has worked
  UniqueFd control;            // PID 1's end
  bool asks_for_maps = false;  // a plain user's node: kSyncBorn; set by the parent as well
};

struct ChildPlan {
  // The groundwork's: what is written into files for the agent.
  uid_t uid = 0;
  gid_t gid = 0;
  std::string hostname;

  std::vector<MountStep> mounts;
  std::string working_folder;  // as the agent sees it
  std::vector<std::pair<int, rlimit>> rlimits;
  mode_t umask = 022;  // the caller's

  uint64_t landlock_rights = 0;  // handled; 0: no Landlock here
  uint64_t landlock_scopes = 0;
  std::vector<LandlockRule> landlock;

  // stdin, stdout, stderr; a true in `terminal` replaces that one by the agent's own terminal.
  UniqueFd stdio[3];
  bool terminal[3] = {false, false, false};
  bool WantsTerminal() const { return terminal[0] || terminal[1] || terminal[2]; }

  std::vector<std::string> argv;
  std::vector<std::string> env;         // "NAME=value"
  std::vector<std::string> candidates;  // absolute paths to try for argv[0], in order of PATH
};

// What a failing child leaves in the error pipe before it ends.
struct ChildError {
  enum class Stage : uint32_t {
    kSync = 1,
    kIdentity,
    kNetwork,
    kListener,
    kGround,  // a mount of the groundwork
    kMount,
    kPivot,
    kWorkingFolder,
    kHostname,
    kLimits,
    kTerminal,
    kFork,
    kCapabilities,
    kLandlock,
    kFilter,
    kFindProgram,
    kExec,
    kCgroup,
  };
  Stage stage;
  int32_t errnum;
  uint32_t index;  // of the listener, mount step, network step or rule
};

// Messages on `sync`, one byte each, with descriptors.
inline constexpr char kSyncBorn = 'n';  // child → parent: its folder of /proc can be written to, for the maps
inline constexpr char kSyncGo = 'g';    // parent → child: the maps are written / the agent is registered: exec
inline constexpr char kSyncBuilt = 'b';  // PID 1 → parent: the groundwork is done: listeners in order, SOCK_DIAG socket
// parent → PID 1: stdio, then the trees of the plan's mounts, in several messages where one does not hold them; with
// the last of them the shared plan is there.
inline constexpr char kSyncMore = 'm', kSyncPlan = 'p';
// PID 2 → parent: filter's listener, program file, terminal's master if any; then the program's path
inline constexpr char kSyncReady = 'r';

}  // namespace hexr::spawner
