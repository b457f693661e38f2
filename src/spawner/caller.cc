#include "spawner/caller.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/limits/agents.h"
#include "runtime/process.h"
#include "spawner/sys.h"

namespace hexr::spawner {
namespace {

using runtime::UniqueFd;

// linux/pidfd.h of 6.11.
constexpr unsigned long kPidfdGetPidNamespace = _IO(0xFF, 5);

Result<uint64_t> InodeOf(const std::string& path) {
  struct stat st {};
  if (stat(path.c_str(), &st) != 0) return ErrnoError("stat " + path, errno);
  return uint64_t{st.st_ino};
}

// As they were at connect(2). Fewer than there are, where they are too many: a group that is left out gives nothing.
std::vector<gid_t> PeerGroups(int socket) {
  std::vector<gid_t> groups(limits::kMaxCallerGroups);
  auto size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) != 0) return {};
  groups.resize(size / sizeof(gid_t));
  return groups;
}

}  // namespace

Result<Caller> IdentifyCaller(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return ErrnoError("SO_PEERCRED", errno);
  // A peer outside of our PID namespace has no number here: it cannot be looked at, so it is nobody.
  if (credentials.pid <= 0) return Unauthenticated("the caller is not visible to this node");
  Caller c;
  c.pid = credentials.pid;
  c.uid = credentials.uid;
  c.gid = credentials.gid;
  c.groups = PeerGroups(socket);
  c.groups.insert(c.groups.begin(), c.gid);
  int pidfd = -1;
  size = sizeof pidfd;
  if (getsockopt(socket, SOL_SOCKET, kSoPeerPidfd, &pidfd, &size) == 0) {
    c.pidfd = UniqueFd(pidfd);
  } else {
    Result<UniqueFd> opened = runtime::OpenPidfd(c.pid);
    if (!opened.ok()) return Unauthenticated("the caller has gone");
    c.pidfd = std::move(*opened);
    ucred again{};
    size = sizeof again;
    // The number may have passed to another process between connect and here: that one did not connect as this uid just
    // before.
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &again, &size) != 0 || again.pid != c.pid || again.uid != c.uid) {
      return Unauthenticated("the caller has changed");
    }
  }
  const Result<uint64_t> ns = PidNamespaceOf(c.pidfd.get(), c.pid);
  if (!ns.ok()) return Unauthenticated("the caller cannot be told: " + ns.error().message());
  c.pid_namespace = *ns;
  return c;
}

Result<uint64_t> PidNamespaceOf(int pidfd, pid_t pid) {
  const UniqueFd ns(ioctl(pidfd, kPidfdGetPidNamespace, 0));
  if (ns) {
    struct stat st {};
    if (fstat(ns.get(), &st) != 0) return ErrnoError("stat PID namespace", errno);
    return uint64_t{st.st_ino};
  }
  ASSIGN_OR_RETURN(const uint64_t inode, InodeOf("/proc/" + std::to_string(pid) + "/ns/pid"));
  RETURN_IF_ERROR(runtime::SignalPidfd(pidfd, 0));  // still there, so the number was its own all the time
  return inode;
}

Result<uint64_t> OwnPidNamespace() { return InodeOf("/proc/self/ns/pid"); }

std::string UserName(uid_t uid) {
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> buffer(16 * 1024);
  if (getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) return found->pw_name;
  return "uid:" + std::to_string(uid);
}

}  // namespace hexr::spawner
