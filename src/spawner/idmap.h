// Mounts whose owners are other ids than on disk (mount_setattr(2), MOUNT_ATTR_IDMAP). Only for a spawner that runs as
// root.
//
// The map is that of a user namespace made for the purpose, one per owner, kept for the next launch. Belongs to one
// thread.
#pragma once

#include <sys/types.h>

#include <compare>
#include <map>
#include <string>

#include "base/result.h"
#include "runtime/unique_fd.h"

namespace hexr::spawner {

// Files of `disk_uid` and `disk_gid` appear as, and are made by, `host_uid` and `host_gid`; files of all others belong
// to nobody: not writable, and their sockets not connectable, whatever their mode.
struct OwnerMap {
  uid_t disk_uid;
  gid_t disk_gid;  // Nobody's: files have no group inside, and none is written to, whoever owns it
  uid_t host_uid;
  gid_t host_gid;
  // A group on disk that the agent is not in: it stays a group, since what has none at all cannot be written even by
  // its owner. Equal to disk_gid: there is none such.
  gid_t strange_gid = disk_gid;
  auto operator<=>(const OwnerMap&) const = default;
  // Nothing on disk belongs to anybody inside.
  static OwnerMap Nobody(uid_t host_uid, gid_t host_gid);
};

class Idmapper {
 public:
  // Makes the detached `tree` (open_tree(2)) idmapped, `attributes` (MOUNT_ATTR_*) set as well, with all mounts below
  // it. UNIMPLEMENTED when one of its file systems cannot do that.
  Status Apply(int tree, const OwnerMap& owner, uint64_t attributes);

 private:
  Result<int> NamespaceFor(const OwnerMap& owner);
  std::map<OwnerMap, runtime::UniqueFd> namespaces_;
};

}  // namespace hexr::spawner
