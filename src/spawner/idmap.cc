#include "spawner/idmap.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>

#include "base/limits/agents.h"

namespace hexr::spawner {
namespace {

using runtime::UniqueFd;

// An id that nothing on disk has: a map needs at least one line.
constexpr uid_t kNoOwner = 0xFFFFFFFD;
// The host's "nogroup", which no agent is in.
constexpr gid_t kNoGroup = 65534;

std::string MapLine(uint32_t inner, uint32_t outer) {
  return std::to_string(inner) + " " + std::to_string(outer) + " 1\n";
}

Status WriteMap(const std::string& folder, const char* name, const std::string& lines) {
  const UniqueFd fd(open((folder + name).c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || write(fd.get(), lines.data(), lines.size()) < 0) return ErrnoError(std::string("write ") + name, errno);
  return Ok();
}

Result<UniqueFd> MakeNamespace(const OwnerMap& owner) {
  // The namespace needs a process to be born in; the descriptor keeps it afterwards.
  int hold[2];
  if (pipe2(hold, O_CLOEXEC) != 0) return ErrnoError("pipe", errno);
  UniqueFd hold_read(hold[0]), hold_write(hold[1]);
  clone_args args{};
  args.flags = CLONE_NEWUSER;
  args.exit_signal = SIGCHLD;
  const auto pid = static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof args));
  if (pid < 0) return ErrnoError("clone3 for an id map", errno);
  if (pid == 0) {
    close(hold_write.get());
    char byte;
    (void)!read(hold_read.get(), &byte, 1);
    _exit(0);
  }
  const std::string folder = "/proc/" + std::to_string(pid) + "/";
  std::string groups = MapLine(owner.disk_gid, owner.host_gid);
  if (owner.strange_gid != owner.disk_gid) groups += MapLine(owner.strange_gid, kNoGroup);
  Status s = WriteMap(folder, "gid_map", groups);
  if (s.ok()) s = WriteMap(folder, "uid_map", MapLine(owner.disk_uid, owner.host_uid));
  UniqueFd ns(open((folder + "ns/user").c_str(), O_RDONLY | O_CLOEXEC));
  const int open_error = errno;
  hold_write.reset();
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  RETURN_IF_ERROR(std::move(s));
  if (!ns) return ErrnoError("open the id map's namespace", open_error);
  return ns;
}

}  // namespace

OwnerMap OwnerMap::Nobody(uid_t host_uid, gid_t host_gid) { return {kNoOwner, kNoOwner, host_uid, host_gid}; }

Result<int> Idmapper::NamespaceFor(const OwnerMap& owner) {
  if (const auto it = namespaces_.find(owner); it != namespaces_.end()) return it->second.get();
  if (namespaces_.size() >= limits::kMaxOwnerMaps) namespaces_.clear();
  ASSIGN_OR_RETURN(UniqueFd ns, MakeNamespace(owner));
  return namespaces_.emplace(owner, std::move(ns)).first->second.get();
}

Status Idmapper::Apply(int tree, const OwnerMap& owner, uint64_t attributes) {
  if (owner.host_uid == 0 || owner.host_gid == 0) return PermissionDenied("an id map never leads to the host's root");
  ASSIGN_OR_RETURN(const int ns, NamespaceFor(owner));
  mount_attr a{};
  a.attr_set = attributes | MOUNT_ATTR_IDMAP;
  a.userns_fd = static_cast<uint64_t>(ns);
  if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &a, sizeof a) == 0) return Ok();
  if (errno == EINVAL || errno == EPERM) return Unimplemented("this file system cannot be mounted with mapped owners");
  return ErrnoError("map owners", errno);
}

}  // namespace hexr::spawner
