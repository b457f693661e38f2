// What an agent sees of the file system: only what is given (docs/launch.md).
//
// System folders read-only; /tmp, /run, /dev, home fresh; the working folder and what --ro and --rw name, opened by the
// caller and passed as descriptors: nobody can give an agent what he could not open himself (INV-SPAWN-03). One thread.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "runtime/unique_fd.h"
#include "spawner/idmap.h"
#include "spawner/launch.h"
#include "spawner/node_places.h"
#include "spawner/plan.h"

namespace hexr::spawner {

// A folder or file of the caller's.
struct Given {
  std::string path;  // absolute and normalised, as the caller and the agent see it
  UniqueFd fd;       // O_PATH
  bool writable = false;
  // Mounted as a bind where an overlay would be the choice: what is hidden below has to be told from what is put in its
  // place meanwhile.
  bool bind = false;
  std::optional<FileId> id = {};
};

// As the kernel remembers it, without asking a file system: one of the caller's could stall this process.
std::optional<FileId> FileIdOf(int fd);
// A place below an open folder, as a name (O_PATH), no link followed on the way. Asks whatever file system it lies in.
UniqueFd FindBelow(int folder, const std::string& path, int flags = 0);

// What an agent does not see of what it is given.
struct Hidden {
  std::string path;            // absolute and normalised
  std::optional<FileId> what;  // what lay there when the first agent was started with it; none: nothing did
  // Hidden from the parent already: it has to be there still, or the launch is refused. The parent may have moved it.
  bool inherited = false;
};

struct FolderRequest {
  std::string working_folder;  // absolute and normalised; given where its Given is in `given`
  std::vector<Given> given;
  std::vector<Hidden> hidden;
  NodePlaces own;                  // the node's state, run folder and configuration
  std::string home;                // the caller's HOME; made fresh
  uid_t caller_uid = 0;            // whose folders these are
  std::vector<gid_t> caller_gids;  // its groups, the primary one first
  // What lies at hidden places, for those that were looked up before.
  std::map<std::string, std::optional<FileId>> found = {};
};

// Where and how the plan fell short of what is wanted, in words for the user.
struct FolderNotes {
  std::vector<std::string> warnings;  // what was not given although asked
  std::vector<std::string> weaker;    // protections that this machine cannot give
  std::string sockets;                // where sockets of the host can be reached, by its nature; empty: nowhere
  std::vector<Hidden> hidden;         // the request's, with what lies there
};

// Appends the mount steps, working folder and Landlock's writable places to `plan`. `idmapper` is null for a plain
// user. `ids` are the agent's host ids. PERMISSION_DENIED when the caller may not give a folder so, when a descriptor
// is not what lies at its path, and for what is the node's own (INV-SPAWN-14); INVALID_ARGUMENT for paths that are not
// absolute and normal; RESOURCE_EXHAUSTED beyond limits::kMaxFoldersPinned; FAILED_PRECONDITION when what was hidden
// from the parent has been moved.
Result<FolderNotes> PlanFolders(const FolderRequest& request, HostIds ids, Idmapper* idmapper, ChildPlan& plan,
                                std::vector<std::string>& writable);

// "/a/b", no "." nor "..", no empty segment, no trailing slash (but "/" itself), below PATH_MAX, no control characters.
bool IsNormalPath(const std::string& path);
// Lexical: `path` is `folder` or lies below it.
bool IsBelow(std::string_view path, std::string_view folder);
// Shared by everybody on the machine: never given as a whole.
bool IsNeverGiven(const std::string& path);
// Programs and libraries.
std::span<const char* const> SystemFolders();
// True for system folders and what lies below: given to every agent, read-only.
bool IsSystemPath(const std::string& path);

}  // namespace hexr::spawner
