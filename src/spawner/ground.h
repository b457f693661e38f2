// What every agent of a tenant sees of the file system, whoever started it: fresh places of its own, the machine's
// programs and libraries, what programs need of /etc. It may be mounted ahead of need, so it comes with the means to
// tell whether the machine still has what was taken from it (INV-SPAWN-12). One thread.
#pragma once

#include <sys/mount.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "spawner/idmap.h"
#include "spawner/launch.h"
#include "spawner/plan.h"

namespace hexr::spawner {

inline constexpr uint64_t kGivenReadOnly = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

// Files of the machine as they were when a copy of them was taken, or a mount of what lay there.
class Origins {
 public:
  enum class What : uint8_t {
    kContent,  // of a file, through links
    kPlace,    // what lies there: a folder whatever is in it, or a link and where it leads
  };
  // Says what is at `path` now; nothing there is a finding too.
  void Add(std::string path, What what);
  bool Unchanged() const;

 private:
  struct Origin {
    std::string path;
    What what;
    struct Seen {
      dev_t device;
      ino_t inode;
      int64_t changed_ns;  // of folders: 0
      off_t size;
      bool operator==(const Seen&) const = default;
    };
    std::optional<Seen> seen;
  };
  static std::optional<Origin::Seen> Look(const std::string& path, What what);
  std::vector<Origin> origins_;
};

struct GroundRequest {
  std::string api_socket;        // bound to /run/hexr/api.sock
  std::string launch_socket;     // bound to /run/hexr/launch.sock
  HostIds ids;                   // the agent's on the host
  Idmapper* idmapper = nullptr;  // null: the node does not run as root
};

// Appends to `ground`, whose uid and gid are set. `weaker`: protections that this machine cannot give, for the user.
Result<Origins> PlanGround(const GroundRequest& request, Groundwork& ground, std::vector<std::string>& weaker);

// Says whether anything was mounted or unmounted in this process's view since the last look.
class MountWatch {
 public:
  MountWatch();
  bool Changed();

 private:
  UniqueFd mounts_;
};

MountStep Step(MountStep::Kind kind, std::string target, std::string source = "");
// Maps the detached `tree`'s owners and gives it to `step`. UNIMPLEMENTED where its file system cannot: the step has it
// all the same, unmapped, to be mounted with `attributes`.
Status AttachMapped(Idmapper& idmapper, UniqueFd tree, const OwnerMap& owner, uint64_t attributes, MountStep& step);
std::string UnmappedNote(const std::string& path);
// The same of a folder that a plain user's node could not lay an overlay over.
std::string PlainlyBoundNote(const std::string& path);

}  // namespace hexr::spawner
