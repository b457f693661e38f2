// What an agent sees of the file system: only what is given (INTERFACES, "Inside an agent", Files).
//
// System folders read-only; /tmp, /run, /dev, home fresh; the working folder and what --ro and --rw name, opened by the
// caller and passed as descriptors: nobody can give an agent what he could not open himself (INV-SPAWN-03). One thread.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/unique_fd.h"
#include "spawner/idmap.h"
#include "spawner/launch.h"
#include "spawner/plan.h"

namespace hexr::spawner {

// A folder or file of the caller's.
struct Given {
  std::string path;  // absolute and normalised, as the caller and the agent see it
  UniqueFd fd;       // O_PATH
  bool writable = false;
};

struct FolderRequest {
  std::string working_folder;  // absolute and normalised; given where its Given is in `given`
  std::vector<Given> given;
  std::vector<std::string> hidden;  // absolute and normalised
  std::string home;                 // the caller's HOME; made fresh
  uid_t caller_uid = 0;             // whose folders these are
  std::string api_socket;           // bound to /run/hexr/api.sock
  std::string launch_socket;        // bound to /run/hexr/launch.sock
};

// Where and how the plan fell short of what is wanted, in words for the user.
struct FolderNotes {
  std::vector<std::string> warnings;  // what was not given although asked
  std::vector<std::string> weaker;    // protections that this machine cannot give
};

// Appends the mount steps, working folder and Landlock's writable places to `plan`. `idmapper` is null for a plain
// user. `ids` are the agent's host ids. PERMISSION_DENIED when the caller may not give a folder so; INVALID_ARGUMENT
// for paths that are not absolute and normal.
Result<FolderNotes> PlanFolders(const FolderRequest& request, HostIds ids, Idmapper* idmapper, ChildPlan& plan,
                                std::vector<std::string>& writable);

// "/a/b", no "." nor "..", no empty segment, no trailing slash (but "/" itself), below PATH_MAX, no control characters.
bool IsNormalPath(const std::string& path);
// True for system folders and what lies below: given to every agent, read-only.
bool IsSystemPath(const std::string& path);

}  // namespace hexr::spawner
